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
Points at which masks are compared: most of them where the network is unsure (PointRend).

They lie in the box around both boxes of a pair and count within either box only, as masks are cut
there at run time.
"""

from dataclasses import dataclass

from hoi_trainer.set_prediction.pseudo_masks import enclosing
import torch
from torch import Tensor
from torch.nn.functional import grid_sample


@dataclass(frozen=True)
class PointSampling:
    """
    How points are drawn (arXiv:1912.08193).

    points: per mask. oversample: so many times as many are drawn, of which the least certain
    become the share `uncertain`; the others are drawn anew.
    """

    points: int = 12544
    oversample: int = 3
    uncertain: float = 0.75


def read(maps: Tensor, points: Tensor) -> Tensor:
    """Return (n, p) values of (n, h, w) maps, bilinear, at (n, p, 2) points x, y in 0..1."""
    return grid_sample(maps[:, None], points[:, None] * 2 - 1, align_corners=False,
                       padding_mode='border')[:, 0, 0]


def inside_either(points: Tensor, humans: Tensor, objects: Tensor) -> Tensor:
    """Return (n, p) bool: the point lies in one of the two (n, 4) boxes."""
    return _inside(points, humans) | _inside(points, objects)


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    return ((points >= boxes[:, None, :2]) & (points <= boxes[:, None, 2:])).all(-1)


@torch.no_grad()
def sample_points(logits: Tensor, humans: Tensor, objects: Tensor,
                  sampling: PointSampling) -> Tensor:
    """Return (n, points, 2) points of 0..1 for (n, h, w) mask logits."""
    hull = enclosing(humans, objects)
    hard = int(sampling.points * sampling.uncertain)

    def draw(count: int) -> Tensor:
        dice = torch.rand(len(hull), count, 2, device=hull.device)
        return hull[:, None, :2] + dice * (hull[:, None, 2:] - hull[:, None, :2])

    many = draw(sampling.points * sampling.oversample)
    doubt = -read(logits, many).abs()
    doubt = doubt.masked_fill(~inside_either(many, humans, objects), float('-inf'))
    index = doubt.topk(hard, dim=1).indices[..., None].expand(-1, -1, 2)
    return torch.cat([many.gather(1, index), draw(sampling.points - hard)], 1)
