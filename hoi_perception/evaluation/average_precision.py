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

"""Average precision of all classes at once, from rows sorted by class and then best first."""

from typing import NamedTuple

import numpy as np

# MATLAB's 0:0.1:1 and torch.linspace(0, 1, 11) in float64; numpy.linspace and arange differ in
# the last bit at 0.6 and 0.7, which changes APs.
RECALL_POINTS = (0.0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Curve(NamedTuple):
    """
    Precision and recall after each row, (n,) float64, of classes one after another.

    classes: (n,) ascending. ends: (C,) first row after each class. Recall is NaN in a class
    without ground truth.
    """

    classes: np.ndarray
    ends: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


def ranking(classes: np.ndarray, scores: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the (n,) order by class, then falling score; ties by image, then as they came."""
    return np.lexsort((images, -scores, classes))


def curve(classes: np.ndarray, right: np.ndarray, positives: np.ndarray) -> Curve:
    """
    Return precision and recall of rows sorted by `ranking`.

    right: (n,) bool. positives: (C,) number of ground-truth entries per class.
    """
    counts = np.bincount(classes, minlength=len(positives))
    ends = np.cumsum(counts)
    starts = np.repeat(ends - counts, counts)
    total = np.concatenate(([0], np.cumsum(right)))
    hits = total[1:] - total[starts]
    with np.errstate(invalid='ignore', divide='ignore'):
        recall = hits / positives[classes]
    return Curve(classes, ends, hits / (np.arange(1, len(hits) + 1) - starts), recall)


def eleven_points(found: Curve) -> np.ndarray:
    """
    Return the (C,) mean over 11 recalls of the best precision at that recall or beyond.

    0 in a class without detections or ground truth. Source: PASCAL VOC 2007, as in HICO-DET's
    VOCevaldet_bboxpair.m; summed in its order, so that results agree to the last bit.
    """
    padded = np.append(found.precision, 0.0)
    ap = np.zeros(len(found.ends))
    for point in RECALL_POINTS:
        # Recall never falls within a class: the rows that reach the point are its last ones.
        reached = np.bincount(found.classes[found.recall >= point], minlength=len(found.ends))
        bounds = np.stack([found.ends - reached, found.ends], 1).ravel()
        best = np.maximum.reduceat(padded, bounds)[::2]
        ap += np.where(reached > 0, best, 0.0) / len(RECALL_POINTS)
    return ap


def area(found: Curve, positives: np.ndarray) -> np.ndarray:
    """
    Return the (C,) area under the precision envelope (PASCAL VOC from 2010 on).

    0 in a class without detections, NaN in one without ground truth.
    """
    ap = np.where(positives > 0, 0.0, np.nan)
    for c, (start, end) in enumerate(zip(np.append(0, found.ends), found.ends)):
        if end > start and positives[c] > 0:
            envelope = np.maximum.accumulate(found.precision[start:end][::-1])[::-1]
            ap[c] = np.sum(np.diff(found.recall[start:end], prepend=0.0) * envelope)
    return ap


def last_recall(found: Curve) -> np.ndarray:
    """Return the (C,) recall over all detections; 0 without any, NaN without ground truth."""
    counts = np.diff(found.ends, prepend=0)
    padded = np.append(found.recall, 0.0)
    return np.where(counts > 0, padded[found.ends - 1], 0.0)
