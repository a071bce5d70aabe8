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
Whether two results bags say the same about the frames that both answered.

Identities and prompt versions depend on which frames came before, so they are not compared; what
was seen in a frame does not. Numbers may differ in the last digits, because threads add up in
another order.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from hoi_perception.replay.bag_reader import BagReader, frame_key, FrameKey
from hoi_perception.replay.message_types import DETECTIONS
import numpy as np

PIXELS, SCORE = 0.05, 1e-3
"""What a box may differ by, and a score."""


@dataclass(frozen=True)
class Agreement:
    """
    The comparison of a replay with what the node answered live.

    frames: that the replay answered. answered: of those, by the node too; the others it dropped.
    agreeing: that say the same. differences: the first sentences about frames that do not.
    """

    frames: int
    answered: int
    agreeing: int
    differences: Tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every frame that both answered says the same, and there is one."""
        return 0 < self.answered == self.agreeing

    def __str__(self) -> str:
        told = [f'live: {self.answered} of {self.frames} frames answered by the node, '
                f'{self.frames - self.answered} dropped; {self.agreeing} say what the replay '
                'says.']
        return '\n'.join([*told, *(f'  {sentence}' for sentence in self.differences)])


def agreement(replayed: Path, live: Path) -> Agreement:
    """Compare the HoiDetections of two results bags, frame by frame; raises `HoiError`."""
    ours, theirs = _answers(replayed), _answers(live)
    shared = [key for key in ours if key in theirs]
    differences = [f'frame {key[0]}.{key[1]:09d} {key[2]}: {what}' for key in shared
                   if (what := _difference(ours[key], theirs[key]))]
    return Agreement(len(ours), len(shared), len(shared) - len(differences),
                     tuple(differences[:5]))


def _answers(bag: Path) -> Dict[FrameKey, Any]:
    with BagReader(bag) as reader:
        return {frame_key(message.header): message for topic in reader.topics_of_type(DETECTIONS)
                for _, message in reader.messages(topic)}


def _difference(first: Any, second: Any) -> str:
    """Return '' or what the second says otherwise."""
    for name in ('width', 'height', 'model_id'):
        if getattr(first, name) != getattr(second, name):
            return f'{name} is {getattr(second, name)}, the replay has {getattr(first, name)}'
    one, two = _instances(first), _instances(second)
    if [name for name, _ in one] != [name for name, _ in two]:
        return f'the node sees {_named(two)}, the replay {_named(one)}'
    for (name, a), (_, b) in zip(one, two):
        apart = np.abs(np.subtract(a, b))
        if (apart[:4] > PIXELS).any() or apart[4] > SCORE:
            return f'a {name} is at {_numbers(b)}, in the replay at {_numbers(a)}'
    said, heard = _triplets(first), _triplets(second)
    for what in sorted(set(said) | set(heard)):
        if abs(said.get(what, 0.0) - heard.get(what, 0.0)) > SCORE:
            return (f'{what[0]} {what[1]} {what[2]} has score {heard.get(what, 0.0):.3f}, in the '
                    f'replay {said.get(what, 0.0):.3f}')
    return ''


def _instances(message: Any) -> List[Tuple[str, Tuple[float, ...]]]:
    return [(str(i.class_name), (i.x1, i.y1, i.x2, i.y2, i.score)) for i in message.instances]


def _triplets(message: Any) -> Dict[Tuple[int, str, int], float]:
    return {(int(t.human), str(t.verb_name), int(t.object)): float(t.score)
            for t in message.triplets}


def _named(found: List[Tuple[str, Tuple[float, ...]]]) -> str:
    return ', '.join(name for name, _ in found) or 'nothing'


def _numbers(values: Tuple[float, ...]) -> str:
    return f'({", ".join(f"{value:.2f}" for value in values)})'
