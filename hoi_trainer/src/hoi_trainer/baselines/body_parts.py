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
Where hands, feet and faces are: what the crop classifier's features are asked for beside verbs.

Contact is a matter of a few pixels around a hand. Features that know hands find it in a few
thousand images, others do not.
"""

from typing import Sequence

from hoi_trainer.synthetic.dataset import SceneRecord
from hoi_trainer.synthetic.people import FACE_LEFT, FACE_RIGHT, PARTS
import torch
from torch import Tensor
from torch.nn import functional

SPREAD = 1.0
"""Standard deviation of a part's spot in cells."""
RARE = -4.0
"""First bias of the logits: hardly any cell holds a part."""


def padded_parts(scenes: Sequence[SceneRecord]) -> Tensor:
    """Return (N, M, 3) parts as x, y in 0..1 and index into `PARTS`, -1 where there is none."""
    table = torch.full((len(scenes), max(len(scene.parts) for scene in scenes), 3), -1.0)
    for row, scene in zip(table, scenes):
        size = torch.tensor([scene.width, scene.height, 1.0])
        row[:len(scene.parts)] = torch.from_numpy(scene.parts) / size
    return table


def mirrored_parts(parts: Tensor) -> Tensor:
    """Return (..., 3) parts of images turned left to right."""
    x, y, kind = parts.unbind(-1)
    turned = torch.where(kind == FACE_LEFT, FACE_RIGHT,
                         torch.where(kind == FACE_RIGHT, FACE_LEFT, kind))
    return torch.stack([1 - x, y, turned], -1)


def spots(parts: Tensor, height: int, width: int) -> Tensor:
    """Return (B, PARTS, height, width) in 0..1, a Gaussian spot around each part (B, M, 3)."""
    x, y, kind = parts.unbind(-1)
    across, down = (
        torch.exp(-0.5 * ((torch.arange(size, device=parts.device) + 0.5 - place[..., None] * size)
                          / SPREAD) ** 2) for place, size in ((x, width), (y, height)))
    spot = (down[..., :, None] * across[..., None, :]).flatten(2)
    spot = spot * (kind >= 0)[..., None]
    index = kind.long().clamp(min=0)[..., None].expand_as(spot)
    empty = parts.new_zeros(len(parts), len(PARTS), height * width)
    return empty.scatter_reduce(1, index, spot, 'amax').unflatten(2, (height, width))


def parts_loss(logits: Tensor, parts: Tensor) -> Tensor:
    """Return the quality focal loss (arXiv:2006.04388) of (B, PARTS, h, w) per body part."""
    wanted = spots(parts, *logits.shape[2:])
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction='none')
    loss = (loss * (logits.sigmoid() - wanted).square()).sum()
    return loss / (parts[..., 2] >= 0).sum().clamp(min=1)
