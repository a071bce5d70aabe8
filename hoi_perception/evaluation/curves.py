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
Precision over recall, and whether scores mean what they say.

A score is calibrated when of all detections with that score that share is right. The expected
calibration error is the mean distance between the two over bins of equal width, weighted by how
many detections fall into each (ECE: Naeini et al. 2015; Guo et al. 2017). The Brier score is the
mean square of score minus 0 or 1. Both are of the detections that were published: what was missed
has no score.
"""

from dataclasses import dataclass
from typing import NamedTuple, Optional, Sequence

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation import average_precision
from hoi_perception.evaluation.judged import Judged
import numpy as np

BINS = 15
RECALLS = np.linspace(0.0, 1.0, 101)


class PrecisionRecall(NamedTuple):
    """Precision, recall and score after each detection, best first, (n,) each."""

    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray

    def envelope(self, recalls: np.ndarray = RECALLS) -> np.ndarray:
        """Return the (m,) best precision at each recall (m,) or beyond, 0 where not reached."""
        best = np.append(np.maximum.accumulate(self.precision[::-1])[::-1], 0.0)
        return best[np.searchsorted(self.recall, recalls, 'left')]


class Operating(NamedTuple):
    """What a threshold on the score gives over all classes; all 0 where nothing is right."""

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Calibration:
    """
    Scores against the share that is right, in B bins of equal width over 0..1.

    edges: (B + 1,). counts: (B,) detections. confidence, accuracy: (B,) mean score and share of
    right ones, NaN in an empty bin. ece, worst: mean and largest distance between the two, in
    0..1. brier: mean square of score minus right. All three are NaN without detections.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    ece: float
    worst: float
    brier: float


def precision_recall(judged: Judged, classes: Optional[Sequence[int]] = None) -> PrecisionRecall:
    """
    Return the curve over these classes taken together (default: all), ranked by score.

    With one class it is the curve whose AP is averaged; with several every detection counts the
    same, whatever its class (micro average). Recall is NaN without ground truth.
    """
    chosen = np.zeros(judged.classes, bool)
    chosen[slice(None) if classes is None else list(classes)] = True
    rows = np.flatnonzero(chosen[judged.labels])
    rows = rows[np.lexsort((judged.images[rows], -judged.scores[rows]))]
    found = average_precision.curve(np.zeros(len(rows), np.int64), judged.right[rows],
                                    judged.positives[chosen].sum(keepdims=True))
    return PrecisionRecall(found.precision, found.recall, judged.scores[rows])


def best_threshold(judged: Judged) -> Operating:
    """Return the threshold with the largest F1 over all classes together."""
    curve = precision_recall(judged)
    total = curve.precision + curve.recall
    f1 = np.divide(2 * curve.precision * curve.recall, total, out=np.zeros(len(total)),
                   where=total > 0)
    # Equal scores are all above a threshold or none: only the last of them is a choice.
    f1[:-1][curve.scores[:-1] == curve.scores[1:]] = 0
    if not f1.any():
        return Operating(0.0, 0.0, 0.0, 0.0)
    row = int(f1.argmax())
    return Operating(float(curve.scores[row]), float(curve.precision[row]),
                     float(curve.recall[row]), float(f1[row]))


def calibration(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> Calibration:
    """
    Return how well scores (n,) in 0..1 say which detections are right, (n,) bool.

    A score on an inner edge belongs to the bin above it. Raises `HoiError`.
    """
    scores, right = np.asarray(scores, np.float64), np.asarray(right, bool)
    if scores.shape != right.shape or not ((scores >= 0) & (scores <= 1)).all():
        raise HoiError(f'calibration got scores of shape {scores.shape} between '
                       f'{scores.min(initial=0)} and {scores.max(initial=0)} and verdicts of '
                       f'shape {right.shape}, expected one verdict per score, scores in 0..1.')
    edges = np.linspace(0, 1, bins + 1)
    index = np.minimum(np.searchsorted(edges, scores, 'right') - 1, bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid='ignore'):
        confidence = np.bincount(index, scores, bins) / counts
        accuracy = np.bincount(index, right, bins) / counts
    gaps = np.abs(confidence - accuracy)[counts > 0]
    if not len(scores):
        return Calibration(edges, counts, confidence, accuracy, *(float('nan'),) * 3)
    return Calibration(edges, counts, confidence, accuracy,
                       float(gaps @ counts[counts > 0] / len(scores)), float(gaps.max()),
                       float(np.mean((scores - right) ** 2)))
