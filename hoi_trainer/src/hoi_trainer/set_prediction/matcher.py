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
Which query answers for which annotated pair: one Hungarian assignment per branch and image.

Weights are those of CDN's and the H-Decoder's released code (1 verb, 1 object, 2.5 boxes, 1 GIoU).
A query is an instance of the trunk and cannot become another one: it may only answer for a pair on
whose side it lies itself (IoU >= 0.5; inferred). A person with two objects is thus one human query
for one of the pairs; the other pair is left to its object's query.
"""

from typing import NamedTuple

from hoi_perception.networks.pair_geometry import box_iou
from hoi_perception.networks.seg2hoi import Relations, rows_of, Seg2HoiInputs, Selected
from hoi_perception.networks.seg2hoi_layers import centre_size, corners
from hoi_trainer.set_prediction.targets import PairTargets
import numpy as np
from scipy.optimize import linear_sum_assignment
import torch
from torch import Tensor

OWN_OVERLAP = 0.5
NEVER = 1e6


class Canonical(NamedTuple):
    """
    Relations in one order for both branches.

    human_boxes, object_boxes: (B, Q, 4) centre and size. human_logits, object_logits:
    (B, Q, classes + 1).
    """

    human_boxes: Tensor
    object_boxes: Tensor
    human_logits: Tensor
    object_logits: Tensor


class VerbTargets(NamedTuple):
    """
    What the prompt rows should say of each annotated pair.

    rows: (B, G, R) bool. valid: (B, G, R) bool, rows that can go with the pair's object and are
    not held back. seen: (R,) bool, rows that training may judge at all.
    """

    rows: Tensor
    valid: Tensor
    seen: Tensor


class CostWeights(NamedTuple):
    """Factors of the matching cost."""

    verb: float = 1.0
    object: float = 1.0
    boxes: float = 2.5
    giou: float = 1.0


COST = CostWeights()


def canonical(relations: Relations, chosen: Selected) -> Canonical:
    """Return human and object of every query, whichever of them it is itself."""
    acts = chosen.acts()[:, None]
    own, other = relations.self_boxes, relations.pair_boxes
    own_logits, other_logits = relations.self_logits, relations.pair_logits
    return Canonical(torch.where(acts, own, other), torch.where(acts, other, own),
                     torch.where(acts, own_logits, other_logits),
                     torch.where(acts, other_logits, own_logits))


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalised IoU of (..., 4) xyxy boxes, broadcast (arXiv:1902.09630)."""
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    hull = (high - low).clamp(min=0).prod(-1)
    shared = (torch.minimum(first[..., 2:], second[..., 2:])
              - torch.maximum(first[..., :2], second[..., :2])).clamp(min=0).prod(-1)
    union = ((first[..., 2:] - first[..., :2]).prod(-1)
             + (second[..., 2:] - second[..., :2]).prod(-1) - shared)
    return shared / union.clamp(min=1e-7) - (hull - union) / hull.clamp(min=1e-7)


def verb_cost(probabilities: Tensor, verbs: VerbTargets) -> Tensor:
    """Return (B, Q, G): -(p.y / |y| + (1 - p).(1 - y) / |1 - y|) / 2 over the valid rows."""
    shown = (verbs.rows & verbs.valid).float()
    not_shown = (verbs.valid & ~verbs.rows).float()
    hits = probabilities @ (shown / shown.sum(-1, keepdim=True).clamp(min=1)).transpose(1, 2)
    rest = (1 - probabilities) @ (
        not_shown / not_shown.sum(-1, keepdim=True).clamp(min=1)).transpose(1, 2)
    return -(hits + rest) / 2


@torch.no_grad()
def matching_cost(inputs: Seg2HoiInputs, chosen: Selected, relations: Relations,
                  verb_logits: Tensor, targets: PairTargets, verbs: VerbTargets,
                  weights: CostWeights = COST) -> Tensor:
    """
    Return the (B, Q, G) cost, at least `NEVER` where query and pair must not meet.

    verb_logits: (B, Q, R).
    """
    said = canonical(relations, chosen)
    real = targets.has_object()[:, None]
    parts, gious = [], []
    for boxes, truth in ((said.human_boxes, targets.humans), (said.object_boxes,
                                                              targets.objects)):
        parts.append((boxes[:, :, None] - centre_size(truth)[:, None]).abs().sum(-1))
        gious.append(-giou(corners(boxes)[:, :, None], truth[:, None]))
    # The worse of the two boxes counts; a pair without object has only one.
    distance = torch.where(real, torch.maximum(*parts), parts[0])
    worse = torch.where(real, torch.maximum(*gious), gious[0])
    classes = said.object_logits.softmax(-1)
    labels = targets.labels[:, None].expand(-1, classes.shape[1], -1)
    objects = torch.where(real, -classes.gather(2, labels), 0.0)
    cost = (weights.verb * verb_cost(verb_logits.sigmoid(), verbs) + weights.object * objects
            + weights.boxes * distance + weights.giou * worse)
    own = rows_of(inputs.boxes, chosen.index)[:, :, None]
    sides = torch.where(chosen.acts()[:, None, None], targets.humans[:, None],
                        targets.objects[:, None])
    allowed = (box_iou(own, sides) >= OWN_OVERLAP) & targets.mask[:, None]
    return torch.where(allowed & chosen.mask[..., None], cost, NEVER)


def assign(cost: Tensor, humans: int) -> Tensor:
    """
    Return (B, Q) int64: the pair that each query answers for, -1 = none.

    cost: (B, Q, G). humans: how many of the queries are the human branch; branches are assigned
    separately, so both learn every pair. One transfer to the host for the whole batch.
    """
    host = cost.cpu().double().numpy()
    result = np.full(host.shape[:2], -1, np.int64)
    for image in range(len(host)):
        for branch in (slice(None, humans), slice(humans, None)):
            table = host[image, branch]
            query, pair = linear_sum_assignment(table)
            good = table[query, pair] < NEVER
            result[image, branch][query[good]] = pair[good]
    return torch.from_numpy(result).to(cost.device)
