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
comes before RoIAlign, and the decoder layers fold their key and value projections into those of
query and output, so that what is attended to is never projected.
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


class Folded(NamedTuple):
    """
    Attention whose memory is used as it is, (weight, bias) of what remains.

    query: from tokens to one query per head in the memory's own space. output: from the means of
    the memory, one per head, to the attended values.
    """

    query: Tuple[Tensor, Tensor]
    output: Tuple[Tensor, Tensor]


class CrossLayer(nn.Module):
    """
    A post-norm decoder layer without self-attention.

    Holds the parameters of `nn.MultiheadAttention` for checkpoints, and computes the same without
    projecting the memory: q . (K m + k) = (K^T q) . m + const, a constant drops out of the
    softmax, and the mean of projected values is the projection of their mean.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(width, HEADS, dropout=DROPOUT)
        self.linear1 = nn.Linear(width, 2 * width)
        self.linear2 = nn.Linear(2 * width, width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(DROPOUT)

    def folded(self) -> Folded:
        """Return the attention's parameters with key into query and value into output folded."""
        attention = self.multihead_attn
        parts = torch.cat([attention.in_proj_weight, attention.in_proj_bias[:, None]], 1)
        query, key, value = parts.unflatten(0, (3, HEADS, -1))
        query = key[..., :-1].transpose(-1, -2) @ query * query.shape[-2] ** -0.5
        output = attention.out_proj.weight.unflatten(1, (HEADS, -1)).transpose(0, 1) @ value
        return Folded((query[..., :-1].flatten(0, 1), query[..., -1].flatten()),
                      (output[..., :-1].transpose(0, 1).flatten(1),
                       output[..., -1].sum(0) + attention.out_proj.bias))

    def attend(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return (..., T, d) attended values of tokens (..., T, d) on memory (..., S, d)."""
        query, output = self.folded()
        heads = linear(tokens, *query).unflatten(-1, (HEADS, -1)).flatten(-3, -2)
        weights = self.dropout((heads @ memory.transpose(-1, -2)).softmax(-1))
        return linear((weights @ memory).unflatten(-2, (-1, HEADS)).flatten(-2), *output)

    def attend_across(self, items: Tensor, own: Tensor, other: Tensor) -> Tensor:
        """
        Return (B, M, T, d) attended values of the tokens of items `own` on those of `other`.

        items: (B, n, T, d). own, other: (B, M) int64. Weights and means are computed for all
        n * n combinations, which are few and dense, and then picked.
        """
        query, output = self.folded()
        count, tokens = items.shape[1:3]
        flat = items.flatten(1, 2)
        heads = linear(flat, *query).unflatten(-1, (HEADS, -1)).flatten(1, 2)
        # Memory before queries: a softmax over few elements is fast along an outer dimension.
        logits = (flat @ heads.transpose(-1, -2)).unflatten(1, (count, tokens))
        weights = self.dropout(logits.softmax(2))
        means = (weights.transpose(-1, -2) @ items).unflatten(2, (count, tokens, -1)).flatten(-2)
        return linear(take(means.flatten(1, 2), other * count + own), *output)

    def forward(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Return the (..., d) tokens after the attended values and the feed-forward part."""
        x = self.norm2(tokens + self.dropout(attended))
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
        layer, t = self.mhsa_layers2[0], t[:, None, :, None]
        sides = layer(t, layer.attend(t, mutual)).squeeze(-2)
        return self.up_proj(sides.transpose(1, 2).flatten(-2)) * self.scale

    def _context(self, patches: Tensor, layout: Layout) -> Tensor:
        """Return the (B, n, queries, d) context of every box."""
        size = layout.prior.shape[1:3]
        reduced = (patches @ self.down_proj2.weight.T).unflatten(1, size)
        pooled = self.ln(roi_align(reduced, layout.rois) + self.down_proj2.bias)
        layer, prompt = self.mhsa_layers[0], self.prompt.weight
        return layer(prompt, layer.attend(prompt, pooled))

    def _mutual_context(self, context: Tensor, layout: Layout) -> Tensor:
        """Return (B, 2, M, queries, d): the human's context given the object's, and reversed."""
        layer = self.mhsa_layers3[0]
        own = torch.cat([layout.human, layout.object], 1)
        other = torch.cat([layout.object, layout.human], 1)
        attended = layer.attend_across(context, own, other)
        return layer(take(context, own), attended).unflatten(1, (2, -1))


def _down(width: int, dim: int) -> nn.Linear:
    """Return a projection whose weights start as PyTorch's and whose bias starts at zero."""
    layer = nn.Linear(width, dim)
    nn.init.zeros_(layer.bias)
    return layer
