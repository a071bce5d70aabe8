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
Union masks of triplets: mean average precision by them, and how well they fit.

`union_masks_11_point` is `mask_pairs_11_point` with the IoU of the two union masks in place of the
smaller of the two instance masks' IoUs. It is the kinder measure: a large person hides a small
object that is not found at all. Say which of the two a figure is.
"""

from typing import Any, Dict, List, Tuple

from hoi_perception.core.masks import triplet_masks
from hoi_perception.core.scene import Mask, MaskKind, Scene
from hoi_perception.evaluation.mask_iou import MaskIou
from hoi_perception.evaluation.mask_pairs import MaskPairEvaluator
from hoi_perception.evaluation.one_to_one import instance_matches, names_of
import numpy as np
from pycocotools import mask as coco_mask

PROTOCOL = 'union_masks_11_point'


def union_run_lengths(scene: Scene) -> List[Dict[str, Any]]:
    """
    Return one COCO run-length mask per triplet, empty where there is none.

    A scene without union masks (the annotation) has those of its instance masks.
    """
    masks: Dict[int, Mask] = {mask.owner: mask for mask in scene.masks
                              if mask.kind == MaskKind.UNION}
    if not masks:
        made = triplet_masks(scene.masks, scene.triplets.human, scene.triplets.object)
        masks = {mask.owner: mask for mask in made if mask.kind == MaskKind.UNION}
    empty = np.zeros((scene.height, scene.width), dtype=bool)
    full = (masks[owner].full(scene.width, scene.height) if owner in masks else empty
            for owner in range(len(scene.triplets)))
    return [coco_mask.encode(np.asfortranarray(bitmap, dtype=np.uint8)) for bitmap in full]


class UnionMaskEvaluator(MaskPairEvaluator):
    """As `MaskPairEvaluator`, by union masks; it refuses the same scenes."""

    protocol = PROTOCOL

    def _overlap(self, predicted: Scene, truth: Scene, found: np.ndarray,
                 real: np.ndarray) -> np.ndarray:
        overlap: np.ndarray = coco_mask.iou(
            union_run_lengths(predicted), union_run_lengths(truth),
            [0] * len(truth.triplets))[found, real]
        return overlap


class UnionIouCounter:
    """
    Frame by frame: IoU of the union masks of pairs that were found.

    A true pair is found where both of its instances are (one to one, by class and box) and a
    triplet connects them, whatever its verb; the best scored one's mask is compared.
    """

    def __init__(self) -> None:
        self._values: List[float] = []
        self._classes: List[str] = []
        self._truth = 0

    def add(self, predicted: Scene, truth: Scene) -> None:
        """Add one frame."""
        real = _first_rows(truth)
        self._truth += len(real)
        partner = {int(b): int(a) for a, b in zip(*instance_matches(predicted, truth))}
        said = _first_rows(predicted)
        both = [(said[partner[human], partner[thing]], row) for (human, thing), row in real.items()
                if human in partner and thing in partner
                and (partner[human], partner[thing]) in said]
        if not both:
            return
        found, rows = np.array(both).T
        iou = coco_mask.iou(union_run_lengths(predicted), union_run_lengths(truth),
                            [0] * len(truth.triplets))
        self._values += iou[found, rows].tolist()
        labels = truth.instances.labels[truth.triplets.object[rows]]
        self._classes += names_of(truth, labels).tolist()

    def result(self) -> MaskIou:
        """Return the figures so far; classes are the objects'."""
        return MaskIou(np.array(self._values), tuple(self._classes), len(self._values),
                       self._truth)


def _first_rows(scene: Scene) -> Dict[Tuple[int, int], int]:
    """Return the first, best triplet of every pair of instances."""
    rows: Dict[Tuple[int, int], int] = {}
    for row, pair in enumerate(zip(scene.triplets.human.tolist(),
                                   scene.triplets.object.tolist())):
        rows.setdefault(pair, row)
    return {pair: row for pair, row in rows.items() if pair[1] >= 0}
