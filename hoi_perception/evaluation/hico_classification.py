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
HICO's image classification: which HOI classes an image shows, without boxes.

Average precision of each class over the images whose label is sure, by 11 points as DEFR's code
takes it; ambiguous entries (the object is there, the interaction unclear) are left out class by
class. `known_object`: only images that certainly hold the class's object, so that a class is
ranked among the interactions with its own object. Source: arXiv 2112.06392 and HICO (ICCV 2015).
"""

from dataclasses import dataclass
from typing import Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.average_precision import curve, eleven_points, ranking
from hoi_perception.evaluation.results import DEFAULT, KNOWN_OBJECT
import numpy as np

PROTOCOL = 'hico_classification'
POSITIVE, AMBIGUOUS, NEGATIVE, NO_OBJECT = 1, 0, -1, -2
"""Label of a class in an image: shown, unclear, not shown beside its object, without object."""


@dataclass(frozen=True)
class ClassificationResult:
    """
    Average precision of every class, 0..1.

    ap: (C,) float64, 0 without positives. positives: (C,) images that show the class. images: of
    the set. Classes without positives do not enter means; HICO's test set has none.
    """

    setting: str
    ap: np.ndarray
    positives: np.ndarray
    images: int
    protocol: str = PROTOCOL

    def mean(self, classes: Optional[np.ndarray] = None) -> Optional[float]:
        """Return the mean over all or some classes, (n,) indices; None where there is none."""
        chosen = np.zeros(len(self.ap), bool)
        chosen[slice(None) if classes is None else classes] = True
        chosen &= self.positives > 0
        return float(self.ap[chosen].mean()) if chosen.any() else None


def evaluate_labels(scores: np.ndarray, labels: np.ndarray,
                    known_object: bool = False) -> ClassificationResult:
    """
    Evaluate a whole set.

    scores: (images, C) float, higher = more likely, finite. labels: (images, C) of `POSITIVE`,
    `AMBIGUOUS`, `NEGATIVE` and `NO_OBJECT`. Raises `HoiError`.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise HoiError(f'scores have shape {scores.shape} and labels {labels.shape}, expected '
                       '(images, classes) for both.')
    if not np.isfinite(scores).all():
        raise HoiError('scores hold NaN or infinity: nothing can be ranked by them.')
    if not np.isin(labels, (POSITIVE, AMBIGUOUS, NEGATIVE, NO_OBJECT)).all():
        raise HoiError(f'labels hold {np.unique(labels)[:6].tolist()}, expected 1 (shown), '
                       '0 (ambiguous), -1 (not shown) or -2 (no such object).')
    counted = np.abs(labels) == 1 if known_object else labels != AMBIGUOUS
    images, classes = np.nonzero(counted)
    kept = scores[images, classes].astype(np.float64)
    order = ranking(classes, kept, images)
    positives = (labels == POSITIVE).sum(0)
    found = curve(classes[order], labels[images, classes][order] == POSITIVE, positives)
    return ClassificationResult(KNOWN_OBJECT if known_object else DEFAULT,
                                eleven_points(found), positives, len(labels))


def few_shot(train_labels: np.ndarray, most: int) -> np.ndarray:
    """
    Return the classes with 1 to `most` training images, ascending.

    HICO has 49, 125 and 162 of them for 1, 5 and 10. train_labels: (images, C) as above. Classes
    without any are zero-shot, not few-shot.
    """
    counts = (np.asarray(train_labels) == POSITIVE).sum(0)
    return np.flatnonzero((counts >= 1) & (counts <= most))
