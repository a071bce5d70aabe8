# Copyright 2026 The hoi_perception authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""
What the networks are given when real frames pass a pipeline: inputs for the parity check.

Frames show few people and few pairs, so each passes several times: as the node computes it, and
with thresholds so low that the larger buckets fill up too.
"""

from dataclasses import replace
from typing import Any, Dict, List, Sequence, Tuple

from hoi_perception.runtime.engines.backend import Tensors
import numpy as np

PER_BUCKET = 6
"""Inputs kept per network and bucket: enough to see a wrong decision, a second or two to check."""
FILLING = (None, 0.05, 0.0)
"""Instance thresholds the frames pass with; None = the bundle's."""

Recorded = Dict[Tuple[str, str], List[Tensors]]


def record(pipeline: Any, frames: Sequence[np.ndarray], batch: int = 1) -> Recorded:
    """
    Return inputs by (graph name, bucket) as frames (H, W, 3) uint8 RGB gave them.

    pipeline: a `HoiPipeline`; its options and counters are as before afterwards. Its networks run
    as they are set up, engines included. batch: frames per call.
    """
    recorded: Recorded = {}

    def keep(name: str, bucket: str, tensors: Tensors) -> None:
        kept = recorded.setdefault((name, bucket), [])
        if len(kept) < PER_BUCKET:
            kept.append(tuple(tensor.clone() for tensor in tensors))

    stages, options = pipeline.stages, pipeline.options
    counted = [stage.eager_calls for stage in stages]
    try:
        for stage in stages:
            stage.recorder = lambda bucket, tensors, name=stage.title: keep(name, bucket, tensors)
        for threshold in FILLING:
            pipeline.options = replace(options, instance_threshold=threshold)
            for start in range(0, len(frames) - batch + 1, batch):
                pipeline.run(frames[start:start + batch])
    finally:
        pipeline.options = options
        for stage, count in zip(stages, counted):
            stage.recorder, stage.eager_calls = None, count
    return recorded
