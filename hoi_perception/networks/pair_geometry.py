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
Spatial relation of a human box and an object box as 36 numbers.

Source: UPT's and PViC's pairwise spatial encoding (fredzzhang/upt, pvic: ops.py): 18 numbers about
positions, sizes, overlap and direction, followed by their logarithms.
"""

import torch
from torch import Tensor

NUMBERS = 36
EPSILON, OFFICIAL_EPSILON = 1e-4, 1e-10
LARGEST = 10.0


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """
    Return intersection over union of (..., 4) xyxy boxes, broadcast; 0 where both are empty.

    Widths are x2 - x1, without the pixel that HICO-DET's evaluator adds.
    """
    sides = (torch.minimum(first[..., 2:], second[..., 2:])
             - torch.maximum(first[..., :2], second[..., :2])).clamp(min=0)
    inter = sides.prod(-1)
    union = ((first[..., 2:] - first[..., :2]).prod(-1)
             + (second[..., 2:] - second[..., :2]).prod(-1) - inter)
    return torch.where(union > 0, inter / torch.where(union > 0, union, 1.0), 0.0)


def pair_geometry(humans: Tensor, objects: Tensor, width: float, height: float,
                  official: bool = False) -> Tensor:
    """
    Return (..., 36) numbers for (..., 4) xyxy human and object boxes in pixels of the image.

    The order is that of the source: centres and sizes as shares of the image, areas, area ratio,
    aspect ratios, IoU, distance to the right, left, below and above in human widths and heights;
    then the logarithm of each. Ratios to an empty box reach 1e15 in the official form, and
    logarithms of nothing -23, which upsets training; ours is clamped to 0..10 and adds 1e-4 in
    place of 1e-10, so that all numbers lie in -9.3..10.
    """
    humans, objects = torch.broadcast_tensors(humans, objects)
    epsilon = OFFICIAL_EPSILON if official else EPSILON
    centre_h, centre_o = ((box[..., :2] + box[..., 2:]) / 2 for box in (humans, objects))
    size_h, size_o = (box[..., 2:] - box[..., :2] for box in (humans, objects))
    image = humans.new_tensor([width, height])
    area_h, area_o = size_h.prod(-1), size_o.prod(-1)
    shift = centre_o - centre_h
    distance = shift.abs() / (size_h + epsilon)
    zero = torch.zeros_like(distance)
    onward = torch.where(shift > 0, distance, zero)
    back = torch.where(shift < 0, distance, zero)
    numbers = torch.cat([
        centre_h / image, centre_o / image, size_h / image, size_o / image,
        torch.stack([area_h / image.prod(), area_o / image.prod(), area_o / (area_h + epsilon),
                     size_h[..., 0] / (size_h[..., 1] + epsilon),
                     size_o[..., 0] / (size_o[..., 1] + epsilon), box_iou(humans, objects)], -1),
        torch.stack([onward[..., 0], back[..., 0], onward[..., 1], back[..., 1]], -1)], -1)
    if not official:
        numbers = numbers.clamp(0.0, LARGEST)
    return torch.cat([numbers, (numbers + epsilon).log()], -1)
