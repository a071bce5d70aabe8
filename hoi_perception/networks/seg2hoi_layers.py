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

"""Layers of the Seg2HOI decoder: positional codes of boxes, attention with masks, one layer."""

import math
from typing import NamedTuple, Optional, Tuple

import torch
from torch import nn, Tensor
from torch.nn.functional import relu, scaled_dot_product_attention

FREQUENCIES = 16
CODE = 8 * FREQUENCIES
"""Length of a box's sine code: sine and cosine of four numbers."""
MASKED = -1e4
"""Added to what attention must not see: its weight is exactly 0, in half precision too."""


def centre_size(boxes: Tensor) -> Tensor:
    """Return (..., 4) xyxy boxes as centre and size."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def corners(boxes: Tensor) -> Tensor:
    """Return (..., 4) centre-size boxes as xyxy."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def sine_code(boxes: Tensor) -> Tensor:
    """Return (..., CODE) sines and cosines of (..., 4) centre-size boxes in 0..1."""
    step = torch.arange(FREQUENCIES, device=boxes.device, dtype=boxes.dtype)
    # From 16 waves across the image down to a third of one: boxes need no more, no less.
    angles = boxes[..., None] * (2 * math.pi * 16 * 64 ** (-step / FREQUENCIES))
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


class Perceptron(nn.Module):
    """Linear layers with rectifiers between them; zero_last: begins as the zero function."""

    def __init__(self, *widths: int, zero_last: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        if zero_last:
            nn.init.zeros_(self.layers[-1].weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., last width) of (..., first width)."""
        for layer in self.layers[:-1]:
            x = relu(layer(x))
        return self.layers[-1](x)


class Attention(nn.Module):
    """Multi-head attention; masked keys get weight 0."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor,
                mask: Optional[Tensor] = None) -> Tensor:
        """Return (B, q, width); mask: (B, k) bool, False = not there. All masked: the mean."""
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
                   for part in (self.query(query), self.key(key), self.value(value)))
        bias = None
        if mask is not None:
            bias = torch.where(mask, 0.0, MASKED).to(q.dtype)[:, None, None, :]
            bias = bias.expand(-1, 1, q.shape[2], -1)
        return self.out(scaled_dot_product_attention(q, k, v, bias).transpose(1, 2).flatten(2))


class Branch(NamedTuple):
    """
    The queries of one branch.

    states: (B, q, width) Q. own: (B, q, width) P^1, where the query is. counterpart: (B, q, width)
    P^2, where it is for the other branch. mask: (B, q) bool, False = null query.
    """

    states: Tensor
    own: Tensor
    counterpart: Tensor
    mask: Tensor


class BranchLayer(nn.Module):
    """
    One decoder layer of one branch, post-norm.

    relation: cross-attention to the other branch; False puts a perceptron with as many weights in
    its place (the ablation). image: cross-attention to the pixels.
    """

    def __init__(self, width: int, heads: int, ffn: int, dropout: float, relation: bool,
                 image: bool) -> None:
        super().__init__()
        self.attend = Attention(width, heads)
        self.relation: nn.Module = Attention(width, heads) if relation \
            else Perceptron(width, 2 * width, width)
        self.image = Attention(width, heads) if image else None
        self.ffn = Perceptron(width, ffn, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4 if image else 3))
        self.dropout = nn.Dropout(dropout)

    def attend_self(self, branch: Branch) -> Branch:
        """Return the branch after self-attention (step a)."""
        place = branch.states + branch.own
        return self._add(0, branch, self.attend(place, place, branch.states, branch.mask))

    def relate(self, branch: Branch, other: Branch) -> Branch:
        """Return the branch after it looked at the other one (step b)."""
        if isinstance(self.relation, Perceptron):
            return self._add(1, branch, self.relation(branch.states))
        return self._add(1, branch, self.relation(
            branch.states + branch.own, other.states + other.counterpart, other.states,
            other.mask))

    def finish(self, branch: Branch, image: Optional[Tuple[Tensor, Tensor]]) -> Branch:
        """Return the branch after pixels and perceptron (c, d); image: keys and values."""
        if self.image is not None and image is not None:
            branch = self._add(3, branch, self.image(branch.states + branch.own, *image))
        return self._add(2, branch, self.ffn(branch.states))

    def _add(self, norm: int, branch: Branch, change: Tensor) -> Branch:
        return branch._replace(states=self.norms[norm](branch.states + self.dropout(change)))


class DecoderLayer(nn.Module):
    """Both branches side by side; each looks at the other as it was before it looked back."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float, relation: bool,
                 image: bool) -> None:
        super().__init__()
        self.human, self.object = (
            BranchLayer(width, heads, ffn, dropout, relation, image) for _ in range(2))

    def forward(self, human: Branch, thing: Branch,
                image: Optional[Tuple[Tensor, Tensor]]) -> Tuple[Branch, Branch]:
        """Return both branches."""
        human, thing = self.human.attend_self(human), self.object.attend_self(thing)
        human, thing = self.human.relate(human, thing), self.object.relate(thing, human)
        return self.human.finish(human, image), self.object.finish(thing, image)
