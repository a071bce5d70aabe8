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

"""From images to frames: instances found or given, chosen, and paired where the head wants it."""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from hoi_perception.core.boxes import iou
from hoi_perception.core.errors import HoiError
from hoi_perception.core.pairs import candidate_pairs, Pairs, select_instances
from hoi_perception.core.scene import Instances, NONE
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.networks.detection import Detections
from hoi_perception.runtime.bundle import BundleSpec
from hoi_perception.runtime.detect_stage import check_instances, DetectStage, Found
from hoi_perception.runtime.frame import Clock, Frame
from hoi_perception.runtime.options import PipelineOptions, value_or, wanted
from hoi_perception.runtime.preprocess import Placement
from hoi_perception.runtime.query import instance_for
import numpy as np

NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), 0)
NOTHING = Found(Instances.empty(), np.zeros(0, np.int64))
LEAST_IOU = 0.5

Focus = Optional[Union[int, Sequence[float]]]


class Wants(NamedTuple):
    """What a head needs of a frame: candidate pairs, the detector's output, its network image."""

    pairs: bool
    trunk: bool
    detector_image: bool


class _Detected(NamedTuple):
    found: Found
    placement: Optional[Placement]
    output: Optional[Tuple[Detections, int]]


class Selection:
    """The detector of a bundle with the choice among what it finds, or among what is given."""

    def __init__(self, spec: BundleSpec, detect: DetectStage, wants: Wants) -> None:
        self._spec, self._detect, self._wants = spec, detect, wants

    def frames(self, images: Sequence[np.ndarray],
               instances: Optional[Sequence[Optional[Instances]]],
               focus: Optional[Sequence[Focus]], words: Vocabulary, options: PipelineOptions,
               clock: Clock) -> List[Frame]:
        """Return one frame per image; see `HoiPipeline.run`. Raises `HoiError`."""
        given = check_instances(instances, len(images), len(words.objects))
        asked = list(focus or [None] * len(images))
        if len(asked) != len(images):
            raise HoiError(f'{len(asked)} points, boxes or classes were given for {len(images)} '
                           'images: give one per image, None where nothing is asked.')
        resized = {i: self._detect.transform.resize(images[i]) for i in range(len(images))
                   if given[i] is None or self._wants.trunk or self._wants.detector_image}
        detected = self._detected(images, resized, [
            i for i, item in enumerate(given) if item is None or self._wants.trunk], clock)
        frames = [self._frame(image, resized.get(i, image), detected.get(i), given[i], asked[i],
                              words, options) for i, image in enumerate(images)]
        clock.lap('select')
        return frames

    def _detected(self, images: Sequence[np.ndarray], resized: Dict[int, np.ndarray],
                  missing: Sequence[int], clock: Clock) -> Dict[int, _Detected]:
        if not missing:
            return {}
        inputs = self._detect.prepare([resized[i] for i in missing])
        clock.lap('preprocess')
        output, host = self._detect.detect(inputs)
        clock.lap('detect')
        detected = {}
        for row, i in enumerate(missing):
            height, width = images[i].shape[:2]
            at = self._detect.transform.place(height, width)
            detected[i] = _Detected(self._detect.find(host[row], at, width, height), at,
                                    (output, row))
        return detected

    def _frame(self, image: np.ndarray, resized: np.ndarray, detected: Optional[_Detected],
               given: Optional[Instances], asked: Focus, words: Vocabulary,
               options: PipelineOptions) -> Frame:
        found, placement, output = detected or _Detected(NOTHING, None, None)
        if given is not None:
            found = Found(given, queries_for(given, found))
        classes = wanted(words.objects, options.classes)
        if classes is not None:
            found = _only(found, classes, words.human)
        kept, focus = _with_focus(found.instances, words.human,
                                  self._select(found.instances, words.human, options), asked)
        chosen = found.instances.take(kept)
        pairs = candidate_pairs(
            chosen.scores, chosen.labels == words.human, self._budget(options),
            None if classes is None else classes[chosen.labels]) if self._wants.pairs else NO_PAIRS
        height, width = image.shape[:2]
        return Frame(width, height, resized if self._wants.detector_image else image, placement,
                     found.rows[kept], chosen, pairs, output, given is not None, focus)

    def _select(self, found: Instances, human: int, options: PipelineOptions) -> np.ndarray:
        threshold = value_or(options.instance_threshold, self._spec.thresholds.instance)
        return select_instances(found.scores, found.labels, human, threshold,
                                options.min_per_side, options.max_humans, options.max_objects)

    def _budget(self, options: PipelineOptions) -> int:
        largest = max(self._spec.buckets.pairs)
        return min(int(value_or(options.pair_budget, largest)), largest)


def queries_for(given: Instances, found: Found) -> np.ndarray:
    """
    Return (N,) the detector row whose query stands for each given box, `NONE` without one.

    That of the detected instance of its class that it overlaps best, with an IoU of at least 0.5.
    """
    if not len(found.instances) or not len(given):
        return np.full(len(given), NONE)
    overlap = iou(given.boxes, found.instances.boxes)
    overlap = overlap * (given.labels[:, None] == found.instances.labels[None])
    best = overlap.argmax(1)
    return np.where(overlap.max(1) >= LEAST_IOU, found.rows[best], NONE)


def _only(found: Found, classes: np.ndarray, human: int) -> Found:
    """Return the people, and the objects of the wanted classes."""
    labels = found.instances.labels
    kept = np.flatnonzero(classes[labels] | (labels == human))
    return Found(found.instances.take(kept), found.rows[kept])


def _with_focus(found: Instances, human: int, kept: np.ndarray,
                asked: Focus) -> Tuple[np.ndarray, int]:
    """Return the rows to keep with the one that is asked for, and its place among them."""
    row = NONE if asked is None else instance_for(found, asked)
    if row == NONE:
        return kept, NONE
    kept = np.union1d(kept, row).astype(np.int64)
    kept = kept[np.lexsort((-found.scores[kept], found.labels[kept] != human))]
    return kept, int(np.flatnonzero(kept == row)[0])
