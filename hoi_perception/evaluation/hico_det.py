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
HICO-DET mean average precision under two named protocols, over a whole set at once.

Both: a detection takes the ground-truth pair of its image and class with the largest
min(IoU_human, IoU_object), the first of equals, taken or not; it is right if they overlap enough
and no better detection took that pair (a duplicate gets no second best); 11-point AP; a class
without ground truth has AP 0 and is averaged.

`hico_official`: VOCevaldet_bboxpair.m and eval_one.m of HICO-DET. Enough is >= 0.5. Its boxes
name pixels (sides are x2 - x1 + 1): turn such boxes into edges with `edges_of_pixels`.
`lain`: what LAIN and its relatives compute in Python. Enough is > 0.5, in single precision;
scores in single precision; images without ground truth are skipped with all their detections.
Its code has no known-object setting; here that is the same filter under either protocol.
"""

from dataclasses import dataclass
from typing import Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation import average_precision
from hoi_perception.evaluation.judged import Judged
from hoi_perception.evaluation.matching import best_truth, box_overlap, first_claims, same_group
from hoi_perception.evaluation.pairs import BoxPairs, indices
from hoi_perception.evaluation.results import (
    DEFAULT,
    KNOWN_OBJECT,
    MapResult,
    NO_SUBSETS,
    Subsets,
)
import numpy as np

OVERLAP = 0.5


@dataclass(frozen=True)
class Protocol:
    """
    Rules of an evaluation.

    strict: the overlap must be above 0.5, not just reach it. precision: float type of overlaps
    and scores. skip_empty: detections on images without ground truth do not count.
    """

    name: str
    strict: bool
    precision: type
    skip_empty: bool


HICO_OFFICIAL = Protocol('hico_official', strict=False, precision=np.float64, skip_empty=False)
LAIN = Protocol('lain', strict=True, precision=np.float32, skip_empty=True)
PROTOCOLS = {protocol.name: protocol for protocol in (HICO_OFFICIAL, LAIN)}


def match(protocol: Protocol, detections: BoxPairs, truth: BoxPairs, classes: int) -> np.ndarray:
    """Return which detections are right, (n,) bool; rows must be sorted by `ranking`."""
    pairs = same_group(detections.images * classes + detections.classes,
                       truth.images * classes + truth.classes)
    overlaps = []
    for found, real in ((detections.humans, truth.humans), (detections.objects, truth.objects)):
        overlaps.append(box_overlap(found[pairs.detection].astype(protocol.precision),
                                    real[pairs.truth].astype(protocol.precision)))
    best = best_truth(pairs, np.minimum(*overlaps), len(detections))
    enough = best.overlap > OVERLAP if protocol.strict else best.overlap >= OVERLAP
    return first_claims(best.truth, enough)


def evaluate(protocol: Protocol, detections: BoxPairs, truth: BoxPairs, classes: int,
             images: int, known: Optional[np.ndarray] = None,
             positives: Optional[np.ndarray] = None,
             subsets: Subsets = NO_SUBSETS) -> MapResult:
    """
    Evaluate a whole set.

    detections, truth: with `images` set; both in edges of the same frame. classes, images:
    number of HOI classes C (600) and of images. known: (images, C) bool from `known_object`;
    given, the setting is known-object: detections of class c count on image i only where
    known[i, c]. positives: (C,) ground-truth pairs per class where `truth` holds only a part of
    them. Raises `HoiError`.
    """
    judged = judge(protocol, detections, truth, classes, images, known)
    positives = judged.positives if positives is None else np.asarray(positives)
    if positives.shape != (classes,) or (positives < judged.positives).any():
        raise HoiError(f'positives has shape {positives.shape} or is smaller than what the truth '
                       f'holds, expected {(classes,)} counts of all ground-truth pairs.')
    curve = average_precision.curve(judged.labels, judged.right, positives)
    return MapResult(
        protocol.name, DEFAULT if known is None else KNOWN_OBJECT,
        average_precision.eleven_points(curve), average_precision.last_recall(curve), positives,
        len(np.unique(truth.images)) if protocol.skip_empty else images, len(judged.labels),
        subsets)


def judge(protocol: Protocol, detections: BoxPairs, truth: BoxPairs, classes: int, images: int,
          known: Optional[np.ndarray] = None) -> Judged:
    """
    Return the detections that count with their verdicts, ranked; arguments as for `evaluate`.

    known: (images, classes) bool. Scores are in the precision of the protocol. Raises `HoiError`.
    """
    for name, part in (('detections', detections), ('truth', truth)):
        indices(f'{name}.classes', part.classes, len(part), classes)
        indices(f'{name}.images', part.images, len(part), images)
    keep = np.ones(len(detections), dtype=bool)
    if known is not None:
        if np.shape(known) != (images, classes):
            raise HoiError(f'known has shape {np.shape(known)}, expected (images, classes) = '
                           f'{(images, classes)}: see known_object().')
        keep &= np.asarray(known, bool)[detections.images, detections.classes]
    if protocol.skip_empty:
        keep &= (np.bincount(truth.images, minlength=images) > 0)[detections.images]
    scores: np.ndarray = detections.scores.astype(protocol.precision)
    order = average_precision.ranking(detections.classes, scores, detections.images)
    order = order[keep[order]]
    ranked = detections.take(order)
    return Judged(classes, images, ranked.classes, ranked.images, scores[order],
                  match(protocol, ranked, truth, classes), truth.classes, truth.images)


def known_object(labels: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """
    Return where a class counts under the known-object setting, (images, C) bool.

    labels: (C, images) image-level labels; only 1 says that the image holds the class (0 is
    ambiguous, -1 absent). objects: (C,) object of each class. A class counts on every image that
    holds any class of its object.
    """
    of_object = np.asarray(objects)[None] == np.unique(objects)[:, None]
    present = of_object.astype(np.float32) @ (np.asarray(labels) == 1).astype(np.float32) > 0
    shown: np.ndarray = present[np.unique(objects, return_inverse=True)[1]].T
    return shown
