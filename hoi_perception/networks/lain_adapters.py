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

from typing import List, NamedTuple, Sequence, Tuple

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
    What all adapters of one forward pass share; the first M tokens take part in the interaction.

    prior: (B, rows, columns, d) map of the detections. rois: weights of the boxes. own: (B, 2 M)
    int64 rows of B * n boxes, the tokens' humans, then their objects. across: (B, 2 M) int64 rows
    of B * n * n combinations (the other one, own).
    """

    prior: Tensor
    rois: RoiWeights
    own: Tensor
    across: Tensor


def layout_of(prior: Tensor, rois: RoiWeights, human: Tensor, thing: Tensor) -> Layout:
    """Return the layout of tokens whose boxes are human, thing (B, M) int64."""
    batch, count = rois.rows.shape[:2]
    first = torch.arange(batch, device=human.device)[:, None] * count
    own, other = torch.cat([human, thing], 1), torch.cat([thing, human], 1)
    return Layout(prior, rois, first + own, (first + other) * count + own)


def take(items: Tensor, index: Tensor) -> Tensor:
    """Return (B, M, ...) `items[b, index[b, m]]` of items (B, n, ...) and index (B, M)."""
    offsets = torch.arange(len(items), device=index.device)[:, None] * items.shape[1]
    return items.flatten(0, 1)[(index + offsets).flatten()].unflatten(0, index.shape)


class Folded(NamedTuple):
    """
    Attention whose memory is used as it is, (weight, bias) of what remains.

    q . (K m + k) = (K^T q) . m + const, a constant drops out of the softmax, and the mean of
    projected values is the projection of their mean. query: from tokens to one query per head in
    the memory's own space. output: from the means of the memory, one per head, to the attended
    values.
    """

    query: Tuple[Tensor, Tensor]
    output: Tuple[Tensor, Tensor]


class CrossLayer(nn.Module):
    """
    A post-norm decoder layer without self-attention.

    Holds the parameters of `nn.MultiheadAttention` for checkpoints and computes with them folded.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(width, HEADS, dropout=DROPOUT)
        self.linear1 = nn.Linear(width, 2 * width)
        self.linear2 = nn.Linear(2 * width, width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(DROPOUT)

    def attend(self, folded: Folded, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return (..., T, d) attended values of tokens (..., T, d) on memory (..., S, d)."""
        heads = linear(tokens, *folded.query).unflatten(-1, (HEADS, -1)).flatten(-3, -2)
        weights = self.dropout((heads @ memory.transpose(-1, -2)).softmax(-1))
        means = (weights @ memory).unflatten(-2, (-1, HEADS)).flatten(-2)
        return linear(means, *folded.output)

    def attend_across(self, folded: Folded, items: Tensor, across: Tensor) -> Tensor:
        """
        Return (B, M, T, d) attended values of items on one another, items (B, n, T, d).

        across: (B, M) rows of the B * n * n combinations (memory, tokens). Weights and means are
        computed for all of them, which are few and dense, and then picked.
        """
        count, tokens = items.shape[1:3]
        flat = items.flatten(1, 2)
        heads = linear(flat, *folded.query).unflatten(-1, (HEADS, -1)).flatten(1, 2)
        # Memory before queries: a softmax over few elements is fast along an outer dimension.
        logits = (flat @ heads.transpose(-1, -2)).unflatten(1, (count, tokens))
        weights = self.dropout(logits.softmax(2))
        means = (weights.transpose(-1, -2) @ items).unflatten(2, (count, tokens, -1)).flatten(-2)
        return linear(means.flatten(0, 2)[across], *folded.output)

    def forward(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Return the (..., d) tokens after the attended values and the feed-forward part."""
        x = self.norm2(tokens + self.dropout(attended))
        update = self.linear2(self.dropout(functional.relu(self.linear1(x))))
        return self.norm3(x + self.dropout(update))


def fold(layers: Sequence[CrossLayer]) -> List[Folded]:
    """Return the folded attention of each layer, all in one go."""
    attention = [layer.multihead_attn for layer in layers]
    parts = torch.cat([torch.stack([a.in_proj_weight for a in attention]),
                       torch.stack([a.in_proj_bias for a in attention])[..., None]], -1)
    query, key, value = parts.unflatten(1, (3, HEADS, -1)).unbind(1)
    query = key[..., :-1].transpose(-1, -2) @ query * query.shape[-2] ** -0.5
    output = torch.stack([a.out_proj.weight for a in attention])
    output = output.unflatten(2, (HEADS, -1)).transpose(1, 2) @ value
    bias = output[..., -1].sum(1) + torch.stack([a.out_proj.bias for a in attention])
    return [Folded(parts[:2], parts[2:]) for parts in zip(
        query[..., :-1].flatten(1, 2), query[..., -1].flatten(1),
        output[..., :-1].transpose(1, 2).flatten(2), bias)]


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

    def cross_layers(self) -> Tuple[CrossLayer, ...]:
        """Return the decoder layers in the order in which `interaction` uses them."""
        return (self.mhsa_layers[0], self.mhsa_layers3[0], self.mhsa_layers2[0]) \
            if self.has_interaction else ()

    def forward(self, x: Tensor, layout: Layout, folded: Sequence[Folded]) -> Tensor:
        """
        Return the (B, T, width) tokens with both updates added.

        x: pair tokens, class token, patches row-major. folded: attention of `cross_layers`.
        """
        rows, columns, count = *layout.prior.shape[1:3], layout.own.shape[1] // 2
        patches, rest = x[:, -rows * columns:], x[:, :-rows * columns]
        if self.has_locality:
            patches = patches + self.locality(patches, layout.prior)
        if self.has_interaction:
            tokens = rest[:, :count]
            tokens = tokens + self.interaction(tokens, patches, layout, folded)
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

    def interaction(self, tokens: Tensor, patches: Tensor, layout: Layout,
                    folded: Sequence[Folded]) -> Tensor:
        """Return the (B, M, width) update of the tokens; patches: after their own update."""
        size = layout.prior.shape[1:3]
        reduced = (patches @ self.down_proj2.weight.T).unflatten(1, size)
        pooled = self.ln(roi_align(reduced, layout.rois) + self.down_proj2.bias)
        boxes, both, pairs = self.cross_layers()
        # What each box is about, (B, n, queries, d).
        prompt = self.prompt.weight
        context = boxes(prompt, boxes.attend(folded[0], prompt, pooled))
        # The human's context given the object's, and reversed, (B, 2, M, queries, d).
        attended = both.attend_across(folded[1], context, layout.across)
        mutual = both(context.flatten(0, 1)[layout.own], attended).unflatten(1, (2, -1))
        t = functional.leaky_relu(self.down_proj(tokens))[:, None, :, None]
        sides = pairs(t, pairs.attend(folded[2], t, mutual)).squeeze(-2)
        return self.up_proj(sides.transpose(1, 2).flatten(-2)) * self.scale


def _down(width: int, dim: int) -> nn.Linear:
    """Return a projection whose weights start as PyTorch's and whose bias starts at zero."""
    layer = nn.Linear(width, dim)
    nn.init.zeros_(layer.bias)
    return layer
