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

"""Boxes of another detector: messages of rclpy or rosbags to `Instances`; for node and replay."""

from typing import List, Sequence, Tuple

from hoi_perception.core.boxes import FARTHEST
from hoi_perception.core.scene import Instances
import numpy as np

MAX_EXTRA_OBJECTS = 1000
"""More new class names than this from another detector are a fault, not a vocabulary."""


def class_names(message) -> Tuple[str, ...]:
    """Return the distinct class names in order of appearance."""
    return tuple(dict.fromkeys(instance.class_name for instance in message.instances))


def new_names(names: Sequence[str], known: Sequence[str]) -> List[str]:
    """Return the names to learn: usable, not known, and not too many in all (then none)."""
    new = [name for name in names if name not in known and _usable(name)]
    return [] if len(known) + len(new) > MAX_EXTRA_OBJECTS else new


def _usable(name: str) -> bool:
    # A number is the class of a model whose names were not passed on; no text describes it.
    return (0 < len(name) <= 64 and name.isprintable() and name == name.strip()
            and not name.isdecimal())


def instances(message, objects: Sequence[str]) -> Tuple[Instances, List[str]]:
    """
    Return usable boxes with labels by class name, and a sentence about each that is not.

    Boxes must have positive area and lie within `FARTHEST` pixels, scores in 0..1, names among
    `objects`.
    """
    index = {name: label for label, name in enumerate(objects)}
    boxes, scores, labels, tracks, faults = [], [], [], [], []
    for row, given in enumerate(message.instances):
        box = (given.x1, given.y1, given.x2, given.y2)
        # NaN is not within anything.
        if not (np.abs(box) <= FARTHEST).all() or given.x2 <= given.x1 or given.y2 <= given.y1:
            faults.append(f'instance {row} has the box {box}: expected pixels within '
                          f'{FARTHEST:.0f} of the corner, x1 < x2 and y1 < y2.')
        elif not 0.0 <= given.score <= 1.0:
            faults.append(f'instance {row} has the score {given.score}: expected 0..1.')
        elif given.class_name not in index:
            faults.append(f'instance {row} has the class {given.class_name[:40]!r}, which cannot '
                          'be used: give a name, no number, of at most 64 printable characters.')
        else:
            boxes.append(box)
            scores.append(given.score)
            labels.append(index[given.class_name])
            # A foreign id may use all 64 bits; core keeps signed integers.
            tracks.append(int(given.track_id) & 0x7fffffffffffffff)
    if not boxes:
        return Instances.empty(), faults
    return Instances(np.array(boxes), np.array(scores), np.array(labels), np.array(tracks)), faults
