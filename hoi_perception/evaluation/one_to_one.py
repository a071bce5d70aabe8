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

"""Which predicted instances and pairs are which true ones: one to one, by overlap."""

from typing import NamedTuple, Sequence, Tuple

from hoi_perception.core.scene import NONE, Scene
from hoi_perception.core.vocabulary import same_name
from hoi_perception.evaluation.matching import box_overlap
import numpy as np
from scipy.optimize import linear_sum_assignment

OVERLAP = 0.5


class ScenePairs(NamedTuple):
    """The distinct (human, object) of a scene's triplets, (k, 2), and of each triplet its row."""

    rows: np.ndarray
    of_triplet: np.ndarray


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU of every box of (n, 4) with every one of (m, 4), (n, m) float64."""
    n, m = len(first), len(second)
    return box_overlap(np.repeat(first, m, 0).astype(np.float64),
                       np.tile(second, (n, 1)).astype(np.float64)).reshape(n, m)


def assign(overlap: np.ndarray, least: float = OVERLAP) -> Tuple[np.ndarray, np.ndarray]:
    """
    Return the rows and columns (k,) that belong together: as many as reach `least`, best in sum.

    overlap: (n, m). Source: the assignment problem (`scipy.optimize.linear_sum_assignment`).
    """
    reached = overlap >= least
    # Being above the limit outweighs any overlap, so that as many as possible are matched.
    rows, columns = linear_sum_assignment(np.where(reached, 2 * min(overlap.shape) + overlap, 0.0),
                                          maximize=True)
    good = reached[rows, columns]
    return rows[good], columns[good]


def names_of(scene: Scene, labels: np.ndarray) -> np.ndarray:
    """Return the class names of labels (n,) as they are compared, '' where there is none."""
    names = [same_name(name) for name in scene.vocabulary.objects] + ['']
    return np.array(names, dtype=object)[np.where(labels == NONE, len(names) - 1, labels)]


def same_class(predicted: Scene, truth: Scene) -> np.ndarray:
    """Return which instances have the same class, (n, m) bool."""
    same: np.ndarray = (names_of(predicted, predicted.instances.labels)[:, None]
                        == names_of(truth, truth.instances.labels)[None])
    return same


def instance_matches(predicted: Scene, truth: Scene,
                     least: float = OVERLAP) -> Tuple[np.ndarray, np.ndarray]:
    """Return the instances that belong together, predicted and true (k,): class and box agree."""
    overlap = overlaps(predicted.instances.boxes, truth.instances.boxes)
    return assign(overlap * same_class(predicted, truth), least)


def pairs_of(scene: Scene, keep: np.ndarray) -> ScenePairs:
    """Return the pairs of the triplets where keep (T,) is set; object NONE = no object."""
    rows = np.stack([scene.triplets.human, scene.triplets.object], 1)[keep]
    distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
    return ScenePairs(distinct.reshape(-1, 2), inverse.reshape(-1))


def pair_overlaps(predicted: Scene, truth: Scene, found: np.ndarray,
                  real: np.ndarray) -> np.ndarray:
    """
    Return min(IoU of the humans, IoU of the objects) of pairs (k, 2) and (l, 2), (k, l).

    0 where the objects' classes differ; a pair without object agrees with pairs without object.
    """
    boxes = overlaps(predicted.instances.boxes, truth.instances.boxes) * same_class(
        predicted, truth)
    # One more row and column, reached by NONE: no object agrees with no object.
    boxes = np.pad(boxes, ((0, 1), (0, 1)))
    boxes[-1, -1] = 1.0
    smaller: np.ndarray = np.minimum(*(boxes[np.ix_(found[:, side], real[:, side])]
                                       for side in (0, 1)))
    return smaller


def selected(seen: Scene, verbs: Sequence[str], threshold: float) -> Tuple[np.ndarray, np.ndarray]:
    """Return which triplets count, (T,) bool, and each one's index in `verbs` (-1 = none)."""
    index = {same_name(name): row for row, name in enumerate(verbs)}
    table = np.array([index.get(same_name(name), -1) for name in seen.vocabulary.verb_names]
                     + [-1])
    verb = table[seen.triplets.verb]
    return (verb >= 0) & (seen.triplets.scores >= threshold), verb
