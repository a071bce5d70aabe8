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
LAIN's adapters: what is added to the tokens of a frozen CLIP block before its attention.

Source: arXiv 2505.19503 and its released code. Locality: patches learn from their neighbourhood
and from a map of what was detected where. Interaction: a pair's token looks at contexts of its
human and its object, each read from the box's patches and then from one another. Parameter names
are those of the released code, so that its checkpoints load by a change of prefix.

What differs from a literal transcription is algebra only: both convolutions are one, `down_proj2`
comes before RoIAlign, the decoder layers project keys and values once per box, and the last one,
whose query is a single token, moves its key and value projections to the query's side.
"""

from typing import NamedTuple, Tuple

from hoi_perception.networks.roi_align import roi_align, RoiWeights
import torch
from torch import nn, Tensor
from torch.nn import functional
from torch.nn.functional import linear

HEADS = 2
DROPOUT = 0.1
GATE_START = 1e-9
"""First value of the gates on both outputs: a fresh adapter leaves CLIP as it is."""


class Layout(NamedTuple):
    """
    What all adapters of one forward pass share.

    prior: (B, rows, columns, d) map of the detections. rois: weights of the boxes. human, object:
    (B, M) int64, the boxes of the first M tokens.
    """

    prior: Tensor
    rois: RoiWeights
    human: Tensor
    object: Tensor


def take(items: Tensor, index: Tensor) -> Tensor:
    """Return (B, M, ...) `items[b, index[b, m]]` of items (B, n, ...) and index (B, M)."""
    offsets = torch.arange(len(items), device=index.device)[:, None] * items.shape[1]
    return items.flatten(0, 1)[(index + offsets).flatten()].unflatten(0, index.shape)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return (..., heads, T, width / heads) of (..., T, width)."""
    return x.unflatten(-1, (heads, -1)).transpose(-2, -3)


def merge_heads(x: Tensor) -> Tensor:
    """Undo `split_heads`."""
    return x.transpose(-2, -3).flatten(-2)


class CrossLayer(nn.Module):
    """
    A post-norm decoder layer without self-attention, in separable steps.

    Holds the parameters of `nn.MultiheadAttention` for checkpoints, but lets the caller project
    queries, keys and values where there are fewest of them.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(width, HEADS, dropout=DROPOUT)
        self.linear1 = nn.Linear(width, 2 * width)
        self.linear2 = nn.Linear(2 * width, width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(DROPOUT)

    def _projection(self, first: int, last: int) -> Tuple[Tensor, Tensor]:
        width, attention = self.norm2.normalized_shape[0], self.multihead_attn
        rows = slice(first * width, last * width)
        return attention.in_proj_weight[rows], attention.in_proj_bias[rows]

    def query(self, x: Tensor) -> Tensor:
        """Return the (..., T, width) queries."""
        return linear(x, *self._projection(0, 1))

    def key_value(self, x: Tensor) -> Tensor:
        """Return the (..., T, 2 * width) keys and values, side by side."""
        return linear(x, *self._projection(1, 3))

    def attend(self, query: Tensor, key_value: Tensor) -> Tensor:
        """Return (N, T, width) attended values of queries (N, T, width) on (N, S, 2 * width)."""
        key, value = key_value.chunk(2, -1)
        q, k, v = (split_heads(x, HEADS) for x in (query, key, value))
        return merge_heads(functional.scaled_dot_product_attention(
            q, k, v, dropout_p=DROPOUT if self.training else 0.))

    def attend_once(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """
        Return (..., width) attended values of one query each, tokens (..., width).

        memory: (..., S, width); leading dimensions broadcast. The memory is not projected:
        q . (W m + b) = (W^T q) . m + const, a constant drops out of the softmax, and the mean of
        values is the value of the mean.
        """
        key_weight, _ = self._projection(1, 2)
        value_weight, value_bias = self._projection(2, 3)
        query = self.query(tokens).unflatten(-1, (HEADS, -1))
        query = query * query.shape[-1] ** -0.5
        query = torch.einsum('...hc,hcd->...hd', query, key_weight.unflatten(0, (HEADS, -1)))
        weights = self.dropout((query @ memory.transpose(-1, -2)).softmax(-1))
        value = torch.einsum('...hd,hcd->...hc', weights @ memory,
                             value_weight.unflatten(0, (HEADS, -1)))
        bias = value_bias.unflatten(0, (HEADS, -1)) * weights.sum(-1, keepdim=True)
        return (value + bias).flatten(-2)

    def forward(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Return the (..., width) tokens after the attended values and the feed-forward part."""
        x = self.norm2(tokens + self.dropout(self.multihead_attn.out_proj(attended)))
        update = self.linear2(self.dropout(functional.relu(self.linear1(x))))
        return self.norm3(x + self.dropout(update))


class LainAdapter(nn.Module):
    """Locality and interaction adapter of one block; either may be left out."""

    def __init__(self, width: int, dim: int, context_queries: int, locality: bool,
                 interaction: bool) -> None:
        super().__init__()
        self.has_locality, self.has_interaction = locality, interaction
        if locality:
            self.down_proj3 = _down(width, dim)
            self.ln3, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.down_proj6 = nn.Linear(dim, dim)
            self.down_proj4 = nn.Conv2d(dim, dim, 3, padding=1)
            self.down_proj5 = nn.Conv2d(dim, dim, 5, padding=2)
            self.up_proj2 = nn.Linear(dim, width)
            self.scale2 = nn.Parameter(torch.full((width,), GATE_START))
        if interaction:
            self.down_proj = _down(width, dim)
            self.down_proj2 = nn.Linear(width, dim)
            self.ln = nn.LayerNorm(dim)
            self.prompt = nn.Embedding(context_queries, dim)
            self.mhsa_layers = nn.ModuleList([CrossLayer(dim)])
            self.mhsa_layers2 = nn.ModuleList([CrossLayer(dim)])
            self.mhsa_layers3 = nn.ModuleList([CrossLayer(dim)])
            self.up_proj = nn.Linear(2 * dim, width)
            self.scale = nn.Parameter(torch.full((width,), GATE_START))

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """
        Return the (B, T, width) tokens with both updates added.

        x: pair tokens, class token, patches row-major. The first `layout.human.shape[1]` tokens
        take part in the interaction.
        """
        rows, columns, count = *layout.prior.shape[1:3], layout.human.shape[1]
        patches, rest = x[:, -rows * columns:], x[:, :-rows * columns]
        if self.has_locality:
            patches = patches + self.locality(patches, layout.prior)
        if self.has_interaction:
            tokens = rest[:, :count]
            tokens = tokens + self.interaction(tokens, patches, layout)
            return torch.cat([tokens, rest[:, count:], patches], 1)
        return torch.cat([rest, patches], 1) if self.has_locality else x

    def locality(self, patches: Tensor, prior: Tensor) -> Tensor:
        """Return the (B, N, width) update of the patches; prior: (B, rows, columns, d)."""
        x = functional.relu(self.down_proj3(patches)).view_as(prior) + prior
        x = self.down_proj6(self.ln3(x)).permute(0, 3, 1, 2)
        kernel = self.down_proj5.weight + functional.pad(self.down_proj4.weight, (1, 1, 1, 1))
        x = functional.conv2d(x, kernel, self.down_proj4.bias + self.down_proj5.bias, padding=2)
        x = self.ln2(functional.leaky_relu(x).permute(0, 2, 3, 1)).flatten(1, 2)
        return self.up_proj2(x) * self.scale2

    def interaction(self, tokens: Tensor, patches: Tensor, layout: Layout) -> Tensor:
        """Return the (B, M, width) update of the tokens; patches: after their own update."""
        t = functional.leaky_relu(self.down_proj(tokens))
        mutual = self._mutual_context(self._context(patches, layout), layout)
        layer = self.mhsa_layers2[0]
        sides = layer(t[:, None], layer.attend_once(t[:, None], mutual))
        return self.up_proj(merge_heads(sides)) * self.scale

    def _context(self, patches: Tensor, layout: Layout) -> Tensor:
        """Return the (B, n, queries, d) context of every box."""
        size = layout.prior.shape[1:3]
        reduced = (patches @ self.down_proj2.weight.T).unflatten(1, size)
        pooled = self.ln(roi_align(reduced, layout.rois) + self.down_proj2.bias)
        layer, prompt = self.mhsa_layers[0], self.prompt.weight
        query = layer.query(prompt).expand(pooled.shape[0] * pooled.shape[1], -1, -1)
        attended = layer.attend(query, layer.key_value(pooled).flatten(0, 1))
        return layer(prompt, attended).unflatten(0, pooled.shape[:2])

    def _mutual_context(self, context: Tensor, layout: Layout) -> Tensor:
        """Return (B, 2, M, queries, d): the human's context given the object's, and reversed."""
        layer = self.mhsa_layers3[0]
        own = torch.cat([layout.human, layout.object], 1)
        other = torch.cat([layout.object, layout.human], 1)
        attended = layer.attend(take(layer.query(context), own).flatten(0, 1),
                                take(layer.key_value(context), other).flatten(0, 1))
        tokens = take(context, own)
        return layer(tokens, attended.view_as(tokens)).unflatten(1, (2, -1))


def _down(width: int, dim: int) -> nn.Linear:
    """Return a projection whose weights start as PyTorch's and whose bias starts at zero."""
    layer = nn.Linear(width, dim)
    nn.init.zeros_(layer.bias)
    return layer
