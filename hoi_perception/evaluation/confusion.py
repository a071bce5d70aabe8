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
Which verbs are taken for which others, on pairs of person and object that were found.

Pairs have several verbs at once, so this is a confusion matrix for multi-label results (after
Heydarian, Doyle and Samavi, MLCM, 2022). Predicted pairs are matched to true ones, one to one, by
boxes and class of the object. In a matched pair a true verb that was predicted is right; one that
was not is shared equally among the wrong verbs of that pair, and is missed where there is none. A
wrong verb that no missed one explains, and every verb of a pair that is not there, is on the row
`background`. So a row of the matrix sums to how often its verb is true, and `background` counts
what was made up.
"""

from dataclasses import dataclass
from typing import Sequence, Tuple

from hoi_perception.core.scene import Scene
from hoi_perception.evaluation.one_to_one import assign, OVERLAP, pair_overlaps, pairs_of, selected
import numpy as np

BACKGROUND, MISSED = 'background', 'missed'


@dataclass(frozen=True)
class Confusion:
    """
    How often each true verb was taken for each verb.

    verbs: the V names. counts: (V + 1, V + 1) float64, row = true verb, column = predicted verb;
    the last row is `background` (nothing there), the last column `missed` (nothing predicted).
    pairs: true pairs, predicted pairs and matched pairs. threshold: least score of a prediction.
    """

    verbs: Tuple[str, ...]
    counts: np.ndarray
    pairs: Tuple[int, int, int]
    threshold: float

    def shares(self) -> np.ndarray:
        """Return the rows divided by their sums, shape as `counts`; NaN in rows of nothing."""
        total = self.counts.sum(1, keepdims=True)
        shares: np.ndarray = np.divide(self.counts, total, where=total > 0,
                                       out=np.full_like(self.counts, np.nan))
        return shares


class ConfusionCounter:
    """
    Counts frame by frame; ask any time.

    verbs: names that count, on both sides (case and underscores do not matter). threshold: least
    score of a predicted triplet; `curves.best_threshold` gives a fair one.
    """

    def __init__(self, verbs: Sequence[str], threshold: float, overlap: float = OVERLAP) -> None:
        self.verbs, self.threshold, self._overlap = tuple(verbs), threshold, overlap
        size = len(self.verbs) + 1
        self._counts = np.zeros((size, size))
        self._pairs = np.zeros(3, np.int64)

    def add(self, predicted: Scene, truth: Scene) -> None:
        """Add one frame."""
        sides = []
        for scene, threshold in ((truth, 0.0), (predicted, self.threshold)):
            keep, verb = selected(scene, self.verbs, threshold)
            pairs = pairs_of(scene, keep)
            present = np.zeros((len(pairs.rows), len(self.verbs)), bool)
            present[pairs.of_triplet, verb[keep]] = True
            sides.append((pairs.rows, present))
        (real, true), (found, seen) = sides
        rows, columns = assign(pair_overlaps(predicted, truth, found, real), self._overlap)
        self._pairs += (len(real), len(found), len(rows))
        self._count(true[columns], seen[rows])
        lonely = np.ones(len(real), bool), np.ones(len(found), bool)
        lonely[0][columns] = lonely[1][rows] = False
        self._counts[:-1, -1] += true[lonely[0]].sum(0)
        self._counts[-1, :-1] += seen[lonely[1]].sum(0)

    def _count(self, true: np.ndarray, seen: np.ndarray) -> None:
        """Add matched pairs; both (k, V) bool."""
        right, missed, wrong = true & seen, true & ~seen, seen & ~true
        number = wrong.sum(1, keepdims=True)
        share = np.divide(wrong, number, out=np.zeros(wrong.shape), where=number > 0)
        self._counts[:-1, :-1] += missed.T.astype(np.float64) @ share
        diagonal = np.arange(len(self.verbs))
        self._counts[diagonal, diagonal] += right.sum(0)
        self._counts[:-1, -1] += missed[number[:, 0] == 0].sum(0)
        self._counts[-1, :-1] += wrong[~missed.any(1)].sum(0)

    def result(self) -> Confusion:
        """Return the counts so far."""
        real, found, matched = self._pairs.tolist()
        return Confusion(self.verbs, self._counts.copy(), (real, found, matched), self.threshold)
