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
Mean average precision of triplets by masks instead of boxes ('mask_pairs_11_point').

As `hico_official`, with min(mask IoU of the humans, mask IoU of the objects) >= 0.5: a detection
takes the ground-truth pair of its image and class with the largest overlap, free or not. The AP
is interpolated at 11 points so that figures stand beside box figures of the HICO-DET protocols;
COCO's mask AP (101 points, ten thresholds) is another measure.
"""

from typing import Any, Dict, List, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import MaskKind, NONE, Scene
from hoi_perception.evaluation import average_precision
from hoi_perception.evaluation.matching import best_truth, first_claims, same_group
from hoi_perception.evaluation.pairs import finite
from hoi_perception.evaluation.results import DEFAULT, MapResult, NO_SUBSETS, Subsets
from hoi_perception.evaluation.triplet_map import chosen_triplets, ClassName
import numpy as np
from pycocotools import mask as coco_mask

PROTOCOL = 'mask_pairs_11_point'
OVERLAP = 0.5
_ROW = np.dtype([('classes', np.int32), ('scores', np.float32), ('right', np.bool_)])


def run_lengths(scene: Scene) -> List[Dict[str, Any]]:
    """Return one COCO run-length mask of the image's size per instance, empty where none."""
    canvas = np.zeros((scene.height, scene.width), dtype=bool)
    bitmaps = {mask.owner: mask.full(scene.width, scene.height) for mask in scene.masks
               if mask.kind == MaskKind.INSTANCE}
    return [coco_mask.encode(np.asfortranarray(bitmaps.get(owner, canvas), dtype=np.uint8))
            for owner in range(len(scene.instances))]


def _check_masks(where: str, predicted: Scene, truth: Scene, triplets: int,
                 real: Sequence[np.ndarray]) -> None:
    if (predicted.width, predicted.height) != (truth.width, truth.height):
        raise HoiError(f'{where}: the prediction is {predicted.width}x{predicted.height}, the '
                       f'truth {truth.width}x{truth.height}; masks are compared pixel by pixel, '
                       'so both must have the size of the source image.')
    masked = [{mask.owner for mask in scene.masks if mask.kind == MaskKind.INSTANCE}
              for scene in (predicted, truth)]
    bare = set(np.concatenate(real).tolist()) - masked[1]
    if bare:
        raise HoiError(f'{where}: instance {min(bare)} of the truth is in a triplet but has no '
                       'mask; mask pairs need a mask of every such instance.')
    if triplets and not masked[0]:
        raise HoiError(f'{where}: the prediction has {triplets} triplets and no instance mask; '
                       'run the pipeline with masks on.')


def _sides(scene: Scene) -> Tuple[np.ndarray, np.ndarray]:
    """Return human and object of all triplets; without an object the human stands in for it."""
    human, thing = scene.triplets.human, scene.triplets.object
    return human, np.where(thing == NONE, human, thing)


class MaskPairEvaluator:
    """
    Streaming evaluation: add scenes with instance masks one by one, ask for results any time.

    classes: (verb, object) names to average over. Keeps 9 bytes per triplet and no mask.
    """

    protocol = PROTOCOL

    def __init__(self, classes: Sequence[ClassName], subsets: Subsets = NO_SUBSETS) -> None:
        self.subsets = subsets
        self._index: Dict[ClassName, int] = {name: i for i, name in enumerate(classes)}
        self._positives = np.zeros(len(self._index), dtype=np.int64)
        self._rows: List[np.ndarray] = []

    def add(self, predicted: Scene, truth: Scene) -> None:
        """
        Add one image; a predicted instance without mask overlaps nothing. Raises `HoiError`.

        Refused: scenes of different size, truth with a triplet whose instance has no mask, and a
        prediction that has triplets but no instance mask at all (masks were switched off).
        """
        kept, classes, *found = chosen_triplets(predicted, self._index)
        true, true_classes, *real = chosen_triplets(truth, self._index)
        _check_masks(f'Image {len(self._rows)}', predicted, truth, len(kept), real)
        scores = finite('scores', predicted.triplets.scores[kept], (len(kept),))
        order = average_precision.ranking(classes, scores, np.zeros(len(kept)))
        pairs = same_group(classes[order], true_classes)
        overlap = np.zeros(len(pairs.truth))
        if len(pairs.truth):
            overlap = self._overlap(predicted, truth, kept[order][pairs.detection],
                                    true[pairs.truth])
        best = best_truth(pairs, overlap, len(order))
        right = first_claims(best.truth, best.overlap >= OVERLAP)
        rows = np.empty(len(order), _ROW)
        rows['classes'], rows['scores'], rows['right'] = classes[order], scores[order], right
        self._rows.append(rows)
        self._positives += np.bincount(true_classes, minlength=len(self._positives))

    def _overlap(self, predicted: Scene, truth: Scene, found: np.ndarray,
                 real: np.ndarray) -> np.ndarray:
        """Return (n,) overlaps of predicted triplets with true ones, both by index."""
        iou = coco_mask.iou(run_lengths(predicted), run_lengths(truth),
                            [0] * len(truth.instances))
        smaller: np.ndarray = np.minimum(*(iou[a[found], b[real]] for a, b in
                                           zip(_sides(predicted), _sides(truth))))
        return smaller

    def result(self) -> MapResult:
        """Return the result over the images so far."""
        images = np.repeat(np.arange(len(self._rows)), [len(rows) for rows in self._rows])
        rows = np.concatenate([np.empty(0, _ROW), *self._rows])
        rows = rows[average_precision.ranking(rows['classes'], rows['scores'], images)]
        curve = average_precision.curve(rows['classes'], rows['right'], self._positives)
        return MapResult(self.protocol, DEFAULT, average_precision.eleven_points(curve),
                         average_precision.last_recall(curve), self._positives.copy(),
                         len(self._rows), len(rows), self.subsets)
