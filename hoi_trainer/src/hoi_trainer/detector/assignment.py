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
Which location answers for which instance (task-aligned assignment, TOOD, arXiv:2108.07755).

Everything is computed for all locations and a fixed number G of padded instances at once.
"""

from typing import NamedTuple

import torch
from torch import Tensor

CLASS_EXPONENT = 0.5
OVERLAP_EXPONENT = 6.0
CANDIDATES = 10


class Targets(NamedTuple):
    """
    Padded ground truth of B network images.

    boxes: (B, G, 4) network pixels, xyxy. labels: (B, G) int64. valid: (B, G) bool. masks:
    (B, G, h, w) share of each prototype cell that the instance covers, 0..1. semantic: (B, h, w)
    int64, 0 background, 1 + label elsewhere.
    """

    boxes: Tensor
    labels: Tensor
    valid: Tensor
    masks: Tensor
    semantic: Tensor


class Assignment(NamedTuple):
    """
    Answer for N locations and G instances.

    owner: (B, N) int64 instance of each location, 0 where there is none. quality: (B, N) target of
    the class score, 0 where there is none. best: (B, G, k) int64 locations, best first.
    best_valid: (B, G, k) bool, the location belongs to the instance.
    """

    owner: Tensor
    quality: Tensor
    best: Tensor
    best_valid: Tensor


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap (B, G, N) of boxes (B, G, 4) and (B, N, 4)."""
    a, b = first[:, :, None], second[:, None]
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area = (first[..., 2:] - first[..., :2]).prod(-1)[:, :, None]
    other = (second[..., 2:] - second[..., :2]).prod(-1)[:, None]
    return shared / (area + other - shared).clamp(min=1e-6)


def assign(scores: Tensor, boxes: Tensor, centres: Tensor, targets: Targets,
           stride: int) -> Assignment:
    """
    Choose up to `CANDIDATES` locations per instance by `score^0.5 * overlap^6`.

    scores: (B, C, N) in 0..1. boxes: (B, N, 4) predictions and centres: (N, 2), network pixels. A
    candidate lies inside the box or within a stride of its centre, so that an instance smaller
    than a cell is not lost.
    """
    overlap = pairwise_iou(targets.boxes, boxes)
    middle = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2
    reach = ((targets.boxes[..., 2:] - targets.boxes[..., :2]) / 2).clamp(min=0.75 * stride)
    away = ((centres - middle[:, :, None]).abs() / reach[:, :, None]).amax(-1)
    candidate = (away < 1) & targets.valid[..., None]
    index = targets.labels[..., None].expand(-1, -1, boxes.shape[1])
    score = scores.gather(1, index)
    # The tiny second term ranks by nearness while the network still predicts nothing useful.
    metric = score ** CLASS_EXPONENT * overlap ** OVERLAP_EXPONENT + 1e-9 * (1 - away)
    metric = torch.where(candidate, metric, torch.zeros_like(metric))
    value, best = metric.topk(CANDIDATES)
    chosen = torch.zeros_like(candidate).scatter_(2, best, value > 0)
    metric = torch.where(chosen, metric, torch.zeros_like(metric))
    strength, owner = metric.max(1)
    owned = torch.zeros_like(candidate).scatter_(1, owner[:, None], (strength > 0)[:, None])
    metric = torch.where(owned, metric, torch.zeros_like(metric))
    peak = metric.amax(2, keepdim=True).clamp(min=1e-12)
    top_overlap = torch.where(owned, overlap, torch.zeros_like(overlap)).amax(2, keepdim=True)
    quality = (metric / peak * top_overlap).amax(1)
    return Assignment(owner, quality, best, owned.gather(2, best))
