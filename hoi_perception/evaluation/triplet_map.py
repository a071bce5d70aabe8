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
Mean average precision of triplets by the official HICO-DET protocol ('hico_official').

Per class all detections of the set are sorted by score; a detection takes the ground-truth pair
of its image and class with the largest min(IoU_human, IoU_object), free or not; it is right if
that is at least 0.5 and the pair was free, else wrong; 11-point interpolated AP; mean over
classes.
Source: VOCevaldet_bboxpair.m and eval_one.m of the HICO-DET benchmark.
"""

from dataclasses import dataclass
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from hoi_perception.core.scene import NONE, Scene
import numpy as np

PROTOCOL = 'hico_official'
IOU_THRESHOLD = 0.5
# MATLAB's 0:0.1:1; numpy.linspace and arange differ in the last bit, which changes APs.
RECALL_POINTS = (0.0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

ClassName = Tuple[str, str]


class BoxPairs(NamedTuple):
    """
    Pairs of one image: (n, 4) human and object boxes, (n,) class index and score.

    Scores of ground truth are not looked at.
    """

    humans: np.ndarray
    objects: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


class ClassResults(NamedTuple):
    """
    Per class, (C,) each: average precision, largest recall and number of ground-truth pairs.

    A class without ground truth has AP 0 and, where it has detections, recall NaN (as MATLAB
    does).
    """

    ap: np.ndarray
    recall: np.ndarray
    positives: np.ndarray


@dataclass(frozen=True)
class TripletReport:
    """
    What to print: mean AP over the classes, AP and ground-truth count by (verb, object).

    protocol: name of the rules; means over different rules must not be compared.
    """

    protocol: str
    full: float
    per_class: Dict[ClassName, float]
    positives: Dict[ClassName, int]
    images: int


def pair_overlap(first: BoxPairs, second: BoxPairs, inclusive: bool) -> np.ndarray:
    """
    Return min(IoU_human, IoU_object) as (n, m) float64.

    inclusive: boxes name their first and last pixel, so a side is x2 - x1 + 1 long; otherwise
    real coordinates.
    """
    return np.minimum(_iou(first.humans, second.humans, inclusive),
                      _iou(first.objects, second.objects, inclusive))


def _iou(first: np.ndarray, second: np.ndarray, inclusive: bool) -> np.ndarray:
    a, b = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    one = 1.0 if inclusive else 0.0
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + one
    inter = np.where((sides > 0).all(-1), sides.prod(-1), 0.0)
    union = ((a[..., 2:] - a[..., :2] + one).prod(-1) + (b[..., 2:] - b[..., :2] + one).prod(-1)
             - inter)
    return np.where(inter > 0, inter / np.where(union > 0, union, 1.0), 0.0)


def match_image(predicted: BoxPairs, truth: BoxPairs, inclusive: bool = False) -> np.ndarray:
    """
    Return which predictions of one image are right, (n,) bool.

    Greedy by score; because ground truth belongs to one image, this equals the official pass over
    the sorted detections of all images.
    """
    right = np.zeros(len(predicted.scores), dtype=bool)
    if not len(right) or not len(truth.classes):
        return right
    overlap = pair_overlap(predicted, truth, inclusive)
    overlap[predicted.classes[:, None] != truth.classes[None]] = -1.0
    best = overlap.argmax(1)
    close = overlap[np.arange(len(best)), best] >= IOU_THRESHOLD
    order = np.argsort(-predicted.scores, kind='stable')
    order = order[close[order]]
    _, first = np.unique(best[order], return_index=True)
    right[order[first]] = True
    return right


def average_precision(right: np.ndarray, positives: int) -> Tuple[float, float]:
    """Return the 11-point AP and the largest recall of predictions sorted best first."""
    if positives == 0:
        return 0.0, float('nan') if len(right) else 0.0
    if not len(right):
        return 0.0, 0.0
    hits = np.cumsum(right)
    recall, precision = hits / positives, hits / np.arange(1, len(hits) + 1)
    best_from = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALL_POINTS)
    padded = np.append(best_from, 0.0)
    return float(padded[at].sum() / len(RECALL_POINTS)), float(recall[-1])


class TripletMap:
    """
    Streaming evaluation: add images one by one, in the order of the set, ask for results any time.

    classes: number of classes. inclusive: see `pair_overlap`.
    """

    def __init__(self, classes: int, inclusive: bool = False) -> None:
        self.classes, self.inclusive, self.images = classes, inclusive, 0
        self._positives = np.zeros(classes, dtype=np.int64)
        self._seen: List[Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, predicted: BoxPairs, truth: BoxPairs,
            known: Optional[np.ndarray] = None) -> None:
        """
        Add one image.

        known: (C,) bool, the classes for which this image counts under 'Known Object' (it holds
        the class's object); needed only for that variant.
        """
        self.images += 1
        self._positives += np.bincount(truth.classes, minlength=self.classes)
        right = match_image(predicted, truth, self.inclusive)
        counts = np.ones(len(right), dtype=bool) if known is None else known[predicted.classes]
        self._seen.append((np.asarray(predicted.classes), np.asarray(predicted.scores), right,
                           counts))

    def results(self, known_object: bool = False) -> ClassResults:
        """Return the results over the images so far; ties of scores keep the order of images."""
        ap, recall = np.zeros(self.classes), np.zeros(self.classes)
        if self._seen:
            classes, scores, right, counts = (np.concatenate(part) for part in zip(*self._seen))
            keep = counts if known_object else np.ones(len(counts), dtype=bool)
            classes, scores, right = classes[keep], scores[keep], right[keep]
            order = np.lexsort((-scores, classes))
            bounds = np.searchsorted(classes[order], np.arange(self.classes + 1))
            for c in range(self.classes):
                ap[c], recall[c] = average_precision(
                    right[order[bounds[c]:bounds[c + 1]]], int(self._positives[c]))
        return ClassResults(ap, recall, self._positives.copy())


def named_triplets(scene: Scene) -> List[ClassName]:
    """Return (verb, object) of every triplet; the object is '' where there is none."""
    names, verbs = scene.vocabulary.objects, scene.vocabulary.verb_names
    labels = scene.instances.labels
    return [(verbs[verb], names[labels[thing]] if thing != NONE else '')
            for verb, thing in zip(scene.triplets.verb, scene.triplets.object)]


def _box_pairs(scene: Scene, index: Dict[ClassName, int]) -> BoxPairs:
    triplets, boxes = scene.triplets, scene.instances.boxes
    classes = np.array([index.get(name, -1) for name in named_triplets(scene)], dtype=np.int64)
    kept = np.flatnonzero(classes >= 0)
    human, thing = triplets.human[kept], triplets.object[kept]
    # Without an object there is nothing to overlap: the human's box stands in on both sides.
    thing = np.where(thing == NONE, human, thing)
    return BoxPairs(boxes[human], boxes[thing], classes[kept], triplets.scores[kept])


def evaluate_scenes(pairs: Iterable[Tuple[Scene, Scene]],
                    classes: Optional[Sequence[ClassName]] = None,
                    ignore_verbs: Sequence[str] = ('no_interaction',)) -> TripletReport:
    """
    Compare (prediction, truth) scenes by names, whatever vocabulary each was made with.

    classes: (verb, object) names to average over; default: those that occur in the truth, where
    the official protocol averages over all 600. ignore_verbs: not evaluated by default, because
    the pipeline never publishes a missing interaction.
    """
    pairs = list(pairs)
    if classes is None:
        classes = sorted({name for _, truth in pairs for name in named_triplets(truth)
                          if name[0] not in ignore_verbs})
    index = {name: i for i, name in enumerate(classes)}
    evaluation = TripletMap(len(index))
    for predicted, truth in pairs:
        evaluation.add(_box_pairs(predicted, index), _box_pairs(truth, index))
    results = evaluation.results()
    return TripletReport(
        PROTOCOL, float(results.ap.mean()) if len(index) else 0.0,
        {name: float(results.ap[i]) for name, i in index.items()},
        {name: int(results.positives[i]) for name, i in index.items()}, evaluation.images)
