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
Layers of CL-HOI: adapters, a Q-Former that sums an image up, and steps of cognition.

Source: arXiv 2410.15657; no code is public, so forms and sizes beyond the specification are
inferred. The Q-Former is BLIP-2's (arXiv 2301.12597), smaller and trained from scratch.
"""

from hoi_perception.networks.seg2hoi_layers import Attention, Perceptron
import torch
from torch import nn, Tensor
from torch.nn.functional import gelu

LOOK_EVERY = 2
"""Every how many layers a Q-Former looks at the image (BLIP-2)."""


class Adapter(nn.Module):
    """A bottleneck beside a linear layer; a fresh one is that linear layer alone."""

    def __init__(self, given: int, bottleneck: int, wanted: int) -> None:
        super().__init__()
        self.linear, self.down, self.up = (nn.Linear(*sizes) for sizes in (
            (given, wanted), (given, bottleneck), (bottleneck, wanted)))
        for layer in (self.linear, self.down, self.up):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., wanted) of (..., given)."""
        return self.linear(x) + self.up(gelu(self.down(x)))


class Step(nn.Module):
    """One step of cognition: tokens look at a memory, then think; post-norm."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.look = Attention(width, heads)
        self.ffn = Perceptron(width, ffn, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return (B, P, width) tokens; query: (B, P, width); keys, values: (B, M, width)."""
        tokens = self.norms[0](tokens + self.dropout(self.look(query, keys, values)))
        return self.norms[1](tokens + self.dropout(self.ffn(tokens)))


class QFormer(nn.Module):
    """
    Learned queries that attend to one another and, in every second layer, to the image.

    The first layer looks. Post-norm with GELU, as BERT.
    """

    def __init__(self, queries: int, layers: int, width: int, heads: int,
                 dropout: float) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, width) * 0.02)
        self.layers = nn.ModuleList(
            QFormerLayer(width, heads, dropout, number % LOOK_EVERY == 0)
            for number in range(layers))

    def forward(self, image: Tensor) -> Tensor:
        """Return the (B, queries, width) context of an image (B, N, width)."""
        tokens = self.queries.expand(len(image), -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, image)
        return tokens


class QFormerLayer(nn.Module):
    """Self-attention of the queries, cross-attention to the image where it looks, perceptron."""

    def __init__(self, width: int, heads: int, dropout: float, looks: bool) -> None:
        super().__init__()
        self.attend = Attention(width, heads)
        self.look = Attention(width, heads) if looks else None
        self.expand, self.reduce = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if looks else 2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, image: Tensor) -> Tensor:
        """Return the (B, queries, width) tokens."""
        tokens = self.norms[0](tokens + self.dropout(self.attend(tokens, tokens, tokens)))
        if self.look is not None:
            tokens = self.norms[2](tokens + self.dropout(self.look(tokens, image, image)))
        return self.norms[1](tokens + self.dropout(self.reduce(gelu(self.expand(tokens)))))
