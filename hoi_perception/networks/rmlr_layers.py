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
Layers of RmLR's two modules: pair tokens that look at one another and at the image.

Source: arXiv 2307.13529, sections 3.2 and 3.5; layer counts and widths are inferred, since no
code is public.
"""

from typing import NamedTuple, Optional

from hoi_perception.networks.seg2hoi_layers import Attention, Perceptron
from torch import nn, Tensor


class ImageMap(NamedTuple):
    """What pairs look at: (B, N, width) keys with their positions, and values."""

    keys: Tensor
    values: Tensor


class PairLayer(nn.Module):
    """
    One transformer layer over the pair tokens of each image, post-norm.

    looks: with cross-attention to the image map between self-attention and perceptron.
    """

    def __init__(self, width: int, heads: int, ffn: int, dropout: float, looks: bool) -> None:
        super().__init__()
        self.attend = Attention(width, heads)
        self.look = Attention(width, heads) if looks else None
        self.ffn = Perceptron(width, ffn, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if looks else 2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, pairs: Tensor, mask: Tensor, place: Optional[Tensor] = None,
                image: Optional[ImageMap] = None) -> Tensor:
        """
        Return the (B, P, width) tokens of the pairs.

        mask: (B, P) bool, False = padding, which no pair sees. place: (B, P, width) added to
        queries and keys. image: what `look` sees.
        """
        at = pairs if place is None else pairs + place
        pairs = self.norms[0](pairs + self.dropout(self.attend(at, at, pairs, mask)))
        if self.look is not None and image is not None:
            at = pairs if place is None else pairs + place
            pairs = self.norms[2](pairs + self.dropout(self.look(at, *image)))
        return self.norms[1](pairs + self.dropout(self.ffn(pairs)))


class PairEncoder(nn.Module):
    """Layers in a row; none of them is the identity."""

    def __init__(self, layers: int, width: int, heads: int, ffn: int, dropout: float,
                 looks: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            PairLayer(width, heads, ffn, dropout, looks) for _ in range(layers))

    def forward(self, pairs: Tensor, mask: Tensor, place: Optional[Tensor] = None,
                image: Optional[ImageMap] = None) -> Tensor:
        """Return the (B, P, width) tokens; see `PairLayer`."""
        for layer in self.layers:
            pairs = layer(pairs, mask, place, image)
        return pairs
