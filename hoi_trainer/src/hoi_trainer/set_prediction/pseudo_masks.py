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
Masks of annotated pairs from the frozen trunk's own instances, made offline with validity flags.

Rules of the Seg2HOI specification: the person is the trunk's best instance (IoU * score) of class
human with IoU >= 0.5, the object the best of its class, or of any class where none of its class
overlaps enough; both or no mask. Trunks here cannot be asked by box, so the fall-back of prompting
is that choice by overlap. The union is m_h or m_o. The intersection is m_h and m_o; where that is
less than 4 cells, as of masks that exclude each other it mostly is, the contact band: what both
reach after growing by one cell on every side.
"""

from typing import NamedTuple, Tuple

from hoi_perception.networks.detection import Detections
from hoi_perception.networks.pair_geometry import box_iou
from hoi_perception.networks.seg2hoi import rows_of
from hoi_perception.networks.seg_trunk import boxes_of_masks, instance_mask_logits
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

OVERLAP = 0.5
CONTACT = 3
"""Side of the square that masks grow by for the contact band, in cells."""
LEAST_AREA = 4


class PseudoMasks(NamedTuple):
    """
    Masks of G annotated pairs of each of B images.

    union, intersection: (B, G, h, w) bool at the pixel embedding's size. valid_union,
    valid_intersection: (B, G) bool. contact: (B, G) bool, the intersection is a contact band.
    """

    union: Tensor
    intersection: Tensor
    valid_union: Tensor
    valid_intersection: Tensor
    contact: Tensor


def inside_boxes(boxes: Tensor, height: int, width: int, margin: float = 0.0) -> Tensor:
    """
    Return (..., height, width) bool: cells whose middle lies in the (..., 4) xyxy boxes of 0..1.

    margin: in cells, added on every side.
    """
    x = torch.arange(width, device=boxes.device) + 0.5
    y = torch.arange(height, device=boxes.device) + 0.5
    x1, y1, x2, y2 = (boxes * boxes.new_tensor([width, height, width, height])).unbind(-1)
    across = (x > x1[..., None] - margin) & (x < x2[..., None] + margin)
    down = (y > y1[..., None] - margin) & (y < y2[..., None] + margin)
    return down[..., :, None] & across[..., None, :]


def instance_bitmaps(found: Detections) -> Tensor:
    """Return (B, K, h, w) bool masks of the trunk, each cut to its box as at run time."""
    height, width = found.prototypes.shape[-2:]
    return (instance_mask_logits(found) > 0) & inside_boxes(found.boxes, height, width)


def best_instance(boxes: Tensor, found: Detections, allowed: Tensor) -> Tuple[Tensor, Tensor]:
    """
    Return (B, G) index of the best IoU * score with IoU >= 0.5, and whether there is one.

    boxes: (B, G, 4) annotated. allowed: (B, G, K) bool.
    """
    overlap = box_iou(boxes[:, :, None], found.boxes[:, None])
    value = torch.where(allowed & (overlap >= OVERLAP), overlap * found.scores[:, None], 0.0)
    best, index = value.max(-1)
    return index, best > 0


def pseudo_masks(found: Detections, humans: Tensor, objects: Tensor, labels: Tensor, mask: Tensor,
                 human: int) -> PseudoMasks:
    """
    Return the masks of annotated pairs.

    found: of the trunk, with labels in the bundle's objects. humans, objects: (B, G, 4) xyxy of
    0..1. labels: (B, G) int64. mask: (B, G) bool, False = padding. human: class that acts.
    """
    everything = torch.ones_like(labels, dtype=torch.bool)[..., None]
    person, has_person = best_instance(humans, found, (found.labels == human)[:, None])
    same, has_same = best_instance(objects, found, found.labels[:, None] == labels[..., None])
    near, has_near = best_instance(objects, found, everything)
    bitmaps = instance_bitmaps(found)
    first = rows_of(bitmaps, person)
    second = rows_of(bitmaps, torch.where(has_same, same, near))
    union, both = first | second, first & second
    valid = mask & has_person & (has_same | has_near) & first.any((-1, -2)) & second.any((-1, -2))
    band = _grown(first) & _grown(second)
    contact = both.sum((-1, -2)) < LEAST_AREA
    both = torch.where(contact[..., None, None], band, both)
    shown = valid & (both.sum((-1, -2)) >= LEAST_AREA)
    return PseudoMasks(union & valid[..., None, None], both & shown[..., None, None], valid, shown,
                       contact & shown)


def _grown(masks: Tensor) -> Tensor:
    return max_pool2d(masks.float(), CONTACT, 1, CONTACT // 2) > 0


def union_boxes(masks: PseudoMasks) -> Tensor:
    """Return the (B, G, 4) boxes around the union masks, 0..1."""
    return boxes_of_masks(masks.union.float())


def enclosing(humans: Tensor, objects: Tensor) -> Tensor:
    """Return the (..., 4) smallest boxes around two."""
    return torch.cat([torch.minimum(humans[..., :2], objects[..., :2]),
                      torch.maximum(humans[..., 2:], objects[..., 2:])], -1)


def pack(masks: Tensor) -> np.ndarray:
    """Return (..., h, w) bool masks as (..., bytes) uint8."""
    return np.packbits(masks.flatten(-2).cpu().numpy(), axis=-1)


def unpack(packed: Tensor, height: int, width: int) -> Tensor:
    """Undo `pack`: (..., bytes) uint8 to (..., h, w) bool."""
    shifts = torch.arange(7, -1, -1, device=packed.device, dtype=torch.uint8)
    bits = ((packed[..., None] >> shifts) & 1).flatten(-2)[..., :height * width]
    return bits.bool().unflatten(-1, (height, width))
