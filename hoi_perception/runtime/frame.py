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

"""A frame on its way through a pipeline: what its stages hand on to each other."""

import time
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from hoi_perception.core.pairs import bucket_for, Pairs
from hoi_perception.core.scene import Instances, NONE, Scene
from hoi_perception.networks.detection import Detections
from hoi_perception.runtime.bundle import Buckets
from hoi_perception.runtime.pair_batch import Chosen, instance_bucket, pack_pairs, PairBatch
from hoi_perception.runtime.preprocess import ImageTransform, Placement
import numpy as np
import torch
from torch import Tensor

STAGES = ('preprocess', 'detect', 'select', 'interact', 'masks')


class Result(NamedTuple):
    """A scene and how long its stages took, in milliseconds (of the whole batch it came in)."""

    scene: Scene
    stages: Dict[str, float]


class Frame(NamedTuple):
    """
    One image with its instances, before its interactions are known.

    picture: what CLIP's image is made from. rows: of the instances among the detector's, `NONE`
    for a given box without one. output: of the detector and the image's place in it, where it
    ran. given: the boxes came from outside. focus: the instance that was asked for, `NONE` = none.
    """

    width: int
    height: int
    picture: np.ndarray
    placement: Optional[Placement]
    rows: np.ndarray
    instances: Instances
    pairs: Pairs
    output: Optional[Tuple[Detections, int]]
    given: bool
    focus: int


class Answer(NamedTuple):
    """
    Best first triplets of one frame.

    human, object: (T,) index of the frame's instances. verb: (T,) index. scores: (T,). union,
    intersection: (T, M + 1) embeddings of their masks, on the device, from heads that make some.
    """

    human: np.ndarray
    object: np.ndarray
    verb: np.ndarray
    scores: np.ndarray
    union: Optional[Tensor] = None
    intersection: Optional[Tensor] = None

    def about(self, instance: int, count: int) -> 'Answer':
        """Return the best `count` triplets that an instance of the frame takes part in."""
        rows = np.flatnonzero((self.human == instance) | (self.object == instance))[:count]
        union, intersection = (
            None if part is None else part[torch.from_numpy(rows).to(part.device)]
            for part in (self.union, self.intersection))
        return Answer(self.human[rows], self.object[rows], self.verb[rows], self.scores[rows],
                      union, intersection)


class Clock:
    """Measures stages one after the other."""

    def __init__(self) -> None:
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap to a stage."""
        now = time.perf_counter()
        self.stages[stage] += 1000 * (now - self._last)
        self._last = now


def pack_frames(frames: Sequence[Frame], transform: ImageTransform, buckets: Buckets,
                query_dim: int, device: torch.device) -> PairBatch:
    """
    Pad to the smallest buckets that hold every frame of the batch.

    transform: into whose network image the boxes are put. query_dim: length of the detector
    queries that the head reads; 0 = none.
    """
    instances = max(len(frame.instances) for frame in frames)
    pairs = max(len(frame.pairs.human) for frame in frames)
    queries = next((frame.output[0].queries for frame in frames if frame.output), None)
    chosen = []
    for frame in frames:
        rows = np.full(len(frame.rows), NONE)
        if frame.output is not None:
            output, image = frame.output
            rows = np.where(frame.rows == NONE, NONE, frame.rows + image * output.queries.shape[1])
        chosen.append(Chosen(frame.instances, frame.pairs, rows,
                             transform.place(frame.height, frame.width)))
    return pack_pairs(chosen, instance_bucket(instances, buckets.instances),
                      bucket_for(pairs, buckets.pairs), queries, query_dim, device)
