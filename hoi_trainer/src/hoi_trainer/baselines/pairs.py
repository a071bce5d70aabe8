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

"""Ground-truth pairs of synthetic scenes as arrays, and how verb scores for them are judged."""

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from hoi_trainer.synthetic.dataset import SyntheticSet
from hoi_trainer.synthetic.vocabulary import COMBINATIONS, NO_INTERACTION, OBJECTS, PERSON, VERBS
import numpy as np

N_VERBS, N_OBJECTS = NO_INTERACTION, len(OBJECTS)


def validity() -> np.ndarray:
    """Return which verbs go with which object class, (objects, verbs) bool."""
    valid = np.zeros((N_OBJECTS, N_VERBS), bool)
    for verb, label in COMBINATIONS:
        valid[label, verb] = True
    return valid


@dataclass(frozen=True)
class Pairs:
    """
    All (person, other instance) pairs of a set.

    image: (P,) index. humans, objects: (P, 4) boxes in pixels. labels: (P,) of the object.
    targets: (P, verbs) bool. size: (width, height) of the images.
    """

    image: np.ndarray
    humans: np.ndarray
    objects: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    size: Tuple[int, int]

    def __getitem__(self, index) -> 'Pairs':
        return Pairs(self.image[index], self.humans[index], self.objects[index],
                     self.labels[index], self.targets[index], self.size)

    def __len__(self) -> int:
        return len(self.image)


def pairs_of(data: SyntheticSet, limit: Optional[int] = None) -> Pairs:
    """Enumerate the pairs of the first `limit` scenes, persons as objects included."""
    rows = []
    for i, scene in enumerate(data.scenes[:limit]):
        human, thing = np.nonzero(
            (scene.labels == PERSON)[:, None] & ~np.eye(len(scene.labels), dtype=bool))
        targets = np.zeros((len(scene.labels), len(scene.labels), N_VERBS), bool)
        targets[scene.triplets[:, 0], scene.triplets[:, 2], scene.triplets[:, 1]] = True
        rows.append((np.full(len(human), i), scene.boxes[human], scene.boxes[thing],
                     scene.labels[thing], targets[human, thing]))
    first = data.scenes[0]
    return Pairs(*map(np.concatenate, zip(*rows)), (first.width, first.height))


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the interpolated precision-recall curve; ties go to the negative."""
    order = np.lexsort((positive, -scores))
    hits = positive[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(precision[hits].mean())


def evaluate(scores: np.ndarray, pairs: Pairs) -> Dict[str, float]:
    """
    Return AP by 'verb object' over all pairs with that object.

    Only combinations with at least one positive; scores: (P, verbs).
    """
    result = {}
    for verb, label in sorted(COMBINATIONS):
        mine = pairs.labels == label
        positive = pairs.targets[mine, verb]
        if positive.any():
            result[f'{VERBS[verb]} {OBJECTS[label]}'] = average_precision(
                scores[mine, verb], positive)
    return result


def mean(values) -> float:
    """Return the mean of a mapping's values."""
    return float(np.mean(list(values.values())))
