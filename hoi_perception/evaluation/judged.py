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
Detections of a set that were matched once: everything an AP over any choice of frames needs.

Matching looks at one frame at a time (`hico_det.match`), so a choice of frames, with repeats,
has the AP of the rows of those frames; nothing is matched again.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation import average_precision
from hoi_perception.evaluation.pairs import indices
import numpy as np


@dataclass(frozen=True)
class Judged:
    """
    Detections with their verdicts, n rows sorted by `average_precision.ranking`.

    classes, frames: how many there are, C and F. labels, images: (n,) class and frame of each
    row. scores: (n,). right: (n,) bool. true_labels, true_images: (m,) class and frame of every
    ground-truth entry. Raises `HoiError`.
    """

    classes: int
    frames: int
    labels: np.ndarray
    images: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    true_labels: np.ndarray
    true_images: np.ndarray

    def __post_init__(self) -> None:
        for prefix, count in (('', len(self.scores)), ('true_', len(self.true_labels))):
            for name, limit in (('labels', self.classes), ('images', self.frames)):
                values = getattr(self, prefix + name)
                object.__setattr__(self, prefix + name, indices(
                    f'Judged.{prefix}{name}', values, count, limit))
        object.__setattr__(self, 'right', np.asarray(self.right, bool))
        if (np.diff(self.labels) < 0).any() or (
                (np.diff(self.scores) > 0) & (np.diff(self.labels) == 0)).any():
            raise HoiError('Judged rows are not sorted by class and falling score: sort them with '
                           'average_precision.ranking.')

    @cached_property
    def positives(self) -> np.ndarray:
        """Return the number of ground-truth entries per class, (C,)."""
        return np.bincount(self.true_labels, minlength=self.classes)

    @cached_property
    def ap(self) -> np.ndarray:
        """Return the 11-point AP of each class over all frames, (C,)."""
        return average_precision.eleven_points(
            average_precision.curve(self.labels, self.right, self.positives))

    @cached_property
    def agreement(self) -> np.ndarray:
        """
        Return how well each frame agrees with its truth, (F,) in 0..1.

        Scores of right rows / (ground-truth entries + scores of wrong rows), that is intersection
        over union with scores as weights; NaN where there is nothing, true or predicted.
        """
        good = np.bincount(self.images, self.scores * self.right, self.frames)
        poor = np.bincount(self.images, self.scores * ~self.right, self.frames)
        whole = np.bincount(self.true_images, minlength=self.frames) + poor
        shares: np.ndarray = np.divide(good, whole, out=np.full(self.frames, np.nan),
                                       where=whole > 0)
        return shares

    def weighted_ap(self, weights: Optional[np.ndarray] = None) -> np.ndarray:
        """
        Return the AP over frames that come weights (F,) times each, (C,).

        Equal to repeating the rows. NaN in a class with ground truth, but not in these frames.
        """
        if weights is None:
            return self.ap
        hits, firsts, rows_before = self._hits
        rank = np.concatenate(([0], np.cumsum(weights[self.images])))
        labels = self.labels[hits]
        found = np.concatenate(([0], np.cumsum(weights[self.images[hits]])))
        seen = rank[hits + 1] - rank[rows_before]
        right = found[1:] - found[firsts]
        positives = np.bincount(self.true_labels, weights[self.true_images], self.classes)
        with np.errstate(invalid='ignore', divide='ignore'):
            recall = right / positives[labels]
        precision = np.divide(right, seen, out=np.zeros(len(hits)), where=seen > 0)
        ends = np.cumsum(np.bincount(labels, minlength=self.classes))
        ap = average_precision.eleven_points(
            average_precision.Curve(labels, ends, precision, recall))
        return np.where((positives == 0) & (self.positives > 0), np.nan, ap)

    @cached_property
    def _hits(self) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Rows that are right, the first such row of the class (in them), the class's first row.

        Precision falls at a wrong row, so the best precision from some recall on is at a right
        one: the others only count.
        """
        hits = np.flatnonzero(self.right)
        starts = np.searchsorted(self.labels, np.arange(self.classes))
        firsts = np.searchsorted(self.labels[hits], self.labels[hits])
        return hits, firsts, starts[self.labels[hits]]


def mean_ap(ap: np.ndarray) -> float:
    """Return the mean of APs (C,) without those that are NaN; 0 where none is left."""
    known = ap[~np.isnan(ap)]
    return float(known.mean()) if len(known) else 0.0
