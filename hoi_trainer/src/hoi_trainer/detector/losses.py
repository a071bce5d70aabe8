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
Loss of the dense detector.

Quality focal loss (arXiv:2006.04388) with task-aligned targets, GIoU (arXiv:1902.09630), mask
cross-entropy and Dice inside the box (YOLACT, arXiv:1904.02689), and dense semantic segmentation
as an auxiliary task of the backbone.
"""

from dataclasses import dataclass
from typing import Dict

from hoi_perception.networks.dense_detector import (
    boxes_of,
    DensePredictions,
    PROTOTYPE_STRIDE,
    STRIDE,
)
from hoi_trainer.detector.assignment import assign, Assignment, Targets
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LossWeights:
    """Factor of each term; masks_per_instance: locations per instance whose mask is learnt."""

    score: float = 1.0
    box: float = 2.0
    mask: float = 1.5
    dice: float = 1.0
    semantic: float = 0.5
    masks_per_instance: int = 2


def detector_loss(dense: DensePredictions, semantic_logits: Tensor, centres: Tensor,
                  targets: Targets, weights: LossWeights) -> Dict[str, Tensor]:
    """Return the weighted terms by name; their sum is the loss. No step waits for the device."""
    logits = dense.class_logits.float().flatten(2)
    boxes = boxes_of(dense.distances.float().flatten(2).transpose(1, 2), centres)
    with torch.no_grad():
        assignment = assign(logits.sigmoid(), boxes, centres, targets, STRIDE)
    total = assignment.quality.sum().clamp(min=1.0)
    mask, dice = mask_losses(dense, targets, assignment, weights.masks_per_instance)
    return {
        'score': weights.score * score_loss(logits, targets, assignment) / total,
        'box': weights.box * box_loss(boxes, targets, assignment) / total,
        'mask': weights.mask * mask,
        'dice': weights.dice * dice,
        'semantic': weights.semantic * functional.cross_entropy(
            semantic_logits.float(), targets.semantic),
    }


def score_loss(logits: Tensor, targets: Targets, assignment: Assignment) -> Tensor:
    """Return the summed quality focal loss of (B, C, N) logits."""
    label = targets.labels.gather(1, assignment.owner)
    goal = torch.zeros_like(logits).scatter_(1, label[:, None], assignment.quality[:, None])
    weight = (logits.detach().sigmoid() - goal).square()
    return (weight * functional.binary_cross_entropy_with_logits(
        logits, goal, reduction='none')).sum()


def box_loss(boxes: Tensor, targets: Targets, assignment: Assignment) -> Tensor:
    """Return the sum of 1 - GIoU over locations (B, N, 4), weighted by their quality."""
    index = assignment.owner[..., None].expand(-1, -1, 4)
    goal = targets.boxes.gather(1, index)
    shared = (torch.minimum(boxes[..., 2:], goal[..., 2:])
              - torch.maximum(boxes[..., :2], goal[..., :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(boxes[..., 2:], goal[..., 2:])
            - torch.minimum(boxes[..., :2], goal[..., :2])).clamp(min=0).prod(-1)
    union = ((boxes[..., 2:] - boxes[..., :2]).prod(-1)
             + (goal[..., 2:] - goal[..., :2]).prod(-1) - shared)
    giou = shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
    return ((1 - giou) * assignment.quality).sum()


def mask_losses(dense: DensePredictions, targets: Targets, assignment: Assignment,
                count: int):
    """
    Return mean mask cross-entropy and Dice loss inside the boxes.

    Each instance is read from its best location and `count - 1` random ones of its others.
    """
    best, valid = assignment.best, assignment.best_valid
    batch, instances, candidates = best.shape
    column = torch.randint(candidates, (batch, instances, count), device=best.device)
    column[..., 0] = 0
    location = best.gather(2, column).flatten(1)
    weight = valid.gather(2, column).float()
    coefficients = dense.coefficients.float().flatten(2).transpose(1, 2)
    coefficients = coefficients.gather(
        1, location[..., None].expand(-1, -1, coefficients.shape[-1]))
    prototypes = dense.prototypes.float()
    logits = torch.einsum('bnm,bmhw->bnhw', coefficients, prototypes)
    logits = logits.unflatten(1, (instances, count))
    goal = targets.masks[:, :, None].float().expand_as(logits)
    inside = _window(targets.boxes, logits.shape[-2:])[:, :, None]
    loss = functional.binary_cross_entropy_with_logits(logits, goal, reduction='none')
    loss = (loss * inside).sum((-2, -1)) / inside.sum((-2, -1)).clamp(min=1.0)
    predicted, goal = logits.sigmoid() * inside, goal * inside
    shared = (predicted * goal).sum((-2, -1))
    dice = 1 - (2 * shared + 1) / ((predicted.square() + goal.square()).sum((-2, -1)) + 1)
    total = weight.sum().clamp(min=1.0)
    return (loss * weight).sum() / total, (dice * weight).sum() / total


def _window(boxes: Tensor, size) -> Tensor:
    """Return 1 in the prototype cells that a box and a margin of one cell cover, else 0."""
    boxes = boxes / PROTOTYPE_STRIDE
    x = torch.arange(size[1], device=boxes.device) + 0.5
    y = torch.arange(size[0], device=boxes.device) + 0.5
    across = (x > boxes[..., 0:1] - 1) & (x < boxes[..., 2:3] + 1)
    down = (y > boxes[..., 1:2] - 1) & (y < boxes[..., 3:4] + 1)
    return (down[..., None] & across[..., None, :]).float()
