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
From what Seg2HOI's queries say to pairs of the frame's instances.

A query is an instance itself; its counterpart is a predicted box and class, which becomes the
instance that fits them best. One that fits none stands for nothing: a box without detection, mask
or track behind it is not published.
"""

from typing import NamedTuple

from hoi_perception.networks.pair_geometry import box_iou
from hoi_perception.networks.seg2hoi import Relations, rows_of, Seg2HoiInputs, Selected
from hoi_perception.networks.seg2hoi_layers import corners
import torch
from torch import Tensor

LEAST_IOU = 0.3
"""Overlap of a predicted counterpart with the instance it is taken for, at least."""


class Resolved(NamedTuple):
    """
    The pair of instances behind each of Q relation queries.

    human, object: (B, Q) int64 into the instances. prior: (B, Q) float, probability of the two
    classes by the head, p_human * p_object; 0 where there is no pair.
    """

    human: Tensor
    object: Tensor
    prior: Tensor


def resolve(inputs: Seg2HoiInputs, chosen: Selected, relations: Relations,
            human: int) -> Resolved:
    """
    Return the pairs; the counterpart maximises IoU with the predicted box times class probability.

    human: class that acts. The counterpart of an object query is a person, and never itself.
    """
    own, acts = chosen.index, chosen.acts()
    count = inputs.boxes.shape[1]
    overlap = box_iou(corners(relations.pair_boxes)[:, :, None], inputs.boxes[:, None])
    likely = _class_probability(relations.pair_logits, inputs.labels)
    others = torch.arange(count, device=own.device) != own[..., None]
    fits = inputs.mask[:, None] & others & (overlap >= LEAST_IOU)
    fits &= acts[:, None] | (inputs.labels == human)[:, None]
    fit, partner = (overlap * likely * fits).topk(1)
    fit, partner = fit[..., 0], partner[..., 0]
    sure = likely.gather(2, partner[..., None])[..., 0]
    sure = sure * _class_probability(relations.self_logits, inputs.labels).gather(
        2, own[..., None])[..., 0]
    return Resolved(torch.where(acts, own, partner), torch.where(acts, partner, own),
                    sure * (chosen.mask & (fit > 0)))


def _class_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (B, Q, n): how likely each query's class is that of each instance."""
    classes = logits.shape[-1] - 1
    at = labels.clamp(max=classes - 1)[:, None].expand(-1, logits.shape[1], -1)
    # Labels beyond the head's classes come with boxes from outside.
    return logits.float().softmax(-1).gather(2, at) * (labels < classes)[:, None]


def object_labels(inputs: Seg2HoiInputs, pairs: Resolved) -> Tensor:
    """Return the (B, Q) classes of the pairs' objects."""
    return rows_of(inputs.labels, pairs.object)
