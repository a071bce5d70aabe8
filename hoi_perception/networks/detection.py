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

"""What every detector returns."""

from typing import NamedTuple, Sequence, Tuple

from torch import Tensor


class Detections(NamedTuple):
    """
    Fixed top-K instances per image, sorted by falling score; padded entries have score 0.

    boxes: (B, K, 4) as (x1, y1, x2, y2), normalised to 0..1 of the network image, origin top left;
    where the caller asked for it they may reach outside.
    scores: (B, K) in 0..1. labels: (B, K) int64, the detector's class index. queries: (B, K, D)
    one feature vector per instance (D may be 0). coefficients: (B, K, M) mask embedding per
    instance (M = 0: no masks). prototypes: (B, M, h, w) pixel embedding; the mask logits of an
    instance are `coefficients @ prototypes`, a mask is their sigmoid inside the box.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    queries: Tensor
    coefficients: Tensor
    prototypes: Tensor

    def tensors(self) -> Tuple[Tensor, ...]:
        """Return the fields, without those of masks where there are none: a graph's outputs."""
        return tuple(self) if self.coefficients.shape[-1] else tuple(self[:4])

    @classmethod
    def from_tensors(cls, tensors: Sequence[Tensor]) -> 'Detections':
        """Undo `tensors`."""
        if len(tensors) == len(cls._fields):
            return cls(*tensors)
        boxes = tensors[0]
        return cls(*tensors, boxes.new_zeros(*boxes.shape[:2], 0),
                   boxes.new_zeros(len(boxes), 0, 1, 1))
