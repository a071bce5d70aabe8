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

"""Role AP of V-COCO over the frames of a replay."""

from typing import Iterable, List, Optional, Tuple

from hoi_perception.core.scene import Scene
from hoi_perception.evaluation.vcoco import VcocoResult
from hoi_perception.evaluation.vcoco_scenes import evaluate_scenes
from hoi_perception.replay.bag_reader import FrameKey
from hoi_perception.replay.truth.frames import Truth


def role_ap(truth: Truth, frames: Iterable[Tuple[FrameKey, Optional[Scene]]]
            ) -> Optional[VcocoResult]:
    """
    Return agent AP and role AP by both scenarios, None where the truth is not V-COCO.

    frames: what was seen in each frame, None where it was not answered: then what it shows was
    missed. Only frames that the truth knows count. `print(result)` says everything in one line.
    """
    if truth.vcoco is None:
        return None
    rows: List[Tuple[int, Optional[Scene]]] = []
    for key, scene in frames:
        row = truth.row(key)
        if row is not None:
            rows.append((row, scene))
    return evaluate_scenes(truth.vcoco, rows)
