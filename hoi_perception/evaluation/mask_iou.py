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

"""How well the masks of instances that were found fit the true ones."""

from dataclasses import dataclass
from typing import Dict, List, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import MaskKind, Scene
from hoi_perception.evaluation.mask_pairs import run_lengths
from hoi_perception.evaluation.one_to_one import instance_matches, names_of, OVERLAP
import numpy as np
from pycocotools import mask as coco_mask


@dataclass(frozen=True)
class MaskIou:
    """
    IoU of the masks of matched instances.

    values: (k,) float64, 0 where only the truth has a mask. classes: (k,) names. found, truth:
    masked true instances that were matched, and all of them. mean: NaN where none was matched.
    """

    values: np.ndarray
    classes: Tuple[str, ...]
    found: int
    truth: int

    @property
    def mean(self) -> float:
        """Return the mean over matched instances."""
        return float(self.values.mean()) if len(self.values) else float('nan')

    def per_class(self) -> Dict[str, Tuple[float, int]]:
        """Return mean and number of matched instances by class name."""
        names = np.array(self.classes, dtype=object)
        return {name: (float(self.values[names == name].mean()), int((names == name).sum()))
                for name in sorted(set(self.classes))}


class MaskIouCounter:
    """
    Frame by frame: instances are matched one to one by class and box, then masks are compared.

    Only true instances with a mask count. What was not found has no IoU; `found` of `truth` says
    how many that is.
    """

    def __init__(self, overlap: float = OVERLAP) -> None:
        self._overlap = overlap
        self._values: List[float] = []
        self._classes: List[str] = []
        self._truth = 0

    def add(self, predicted: Scene, truth: Scene) -> None:
        """Add one frame; `HoiError` where masks of different image sizes would be compared."""
        masked = np.zeros(len(truth.instances), bool)
        masked[[mask.owner for mask in truth.masks if mask.kind == MaskKind.INSTANCE]] = True
        self._truth += int(masked.sum())
        if not masked.any():
            return
        if (predicted.width, predicted.height) != (truth.width, truth.height):
            raise HoiError(f'the prediction is {predicted.width}x{predicted.height}, the truth '
                           f'{truth.width}x{truth.height}; masks are compared pixel by pixel, so '
                           'both must have the size of the source image.')
        found, real = instance_matches(predicted, truth, self._overlap)
        found, real = found[masked[real]], real[masked[real]]
        if not len(real):
            return
        masks = run_lengths(predicted), run_lengths(truth)
        self._values += [float(coco_mask.iou([masks[0][a]], [masks[1][b]], [0])[0, 0])
                         for a, b in zip(found.tolist(), real.tolist())]
        self._classes += names_of(truth, truth.instances.labels[real]).tolist()

    def result(self) -> MaskIou:
        """Return the figures so far."""
        return MaskIou(np.array(self._values), tuple(self._classes), len(self._values),
                       self._truth)
