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

"""Suppression of triplets that two queries tell: same class, both boxes much the same."""

from hoi_perception.networks.pair_geometry import box_iou
import torch
from torch import Tensor

OVERLAP = 0.7


def triplet_nms(humans: Tensor, objects: Tensor, classes: Tensor, scores: Tensor,
                overlap: float = OVERLAP) -> Tensor:
    """
    Return (B, T) bool: triplets to keep, exactly as one by one in falling order of scores.

    humans, objects: (B, T, 4) xyxy. classes, scores: (B, T); entries without a score are dropped.
    A triplet goes when a better one that stays has its class and IoU(h) * IoU(o) > `overlap`.
    Whole batches at once: repeated until nothing changes, which takes as many rounds as the
    longest chain of triplets that suppress each other.
    """
    product = (box_iou(humans[:, :, None], humans[:, None])
               * box_iou(objects[:, :, None], objects[:, None]))
    same = classes[:, :, None] == classes[:, None]
    order = torch.arange(scores.shape[1], device=scores.device)
    better = (scores[:, None] > scores[:, :, None]) | (
        (scores[:, None] == scores[:, :, None]) & (order[None, None] < order[:, None]))
    beaten_by = same & better & (product > overlap) & (scores > 0)[:, None]
    keep = scores > 0
    while True:
        after = (scores > 0) & ~(beaten_by & keep[:, None]).any(-1)
        if torch.equal(after, keep):
            return keep
        keep = after
