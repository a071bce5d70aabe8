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
Blocks of a CLIP image tower with pair tokens in front of the class token and the patches.

Source: arXiv 2505.19503 and its released code, where all tokens go through one masked attention:
a pair sees itself and the patches, nothing sees the pairs. So class token and patches attend as in
CLIP, pairs attend to one key of their own and the shared patch keys, and the last block computes
pairs only. Linear layers take all tokens at once, which reads the weights once.
"""

from hoi_perception.networks.linear import linear
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
import torch
from torch import nn, Tensor
from torch.nn import functional

FEW_PAIRS = 32
"""Below this many pairs the last block reads patches without projecting all of them."""


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return (..., heads, T, width / heads) of (..., T, width)."""
    return x.unflatten(-1, (heads, -1)).transpose(-2, -3)


def merge_heads(x: Tensor) -> Tensor:
    """Undo `split_heads`."""
    return x.transpose(-2, -3).flatten(-2)


def through_block(block: ResidualAttentionBlock, x: Tensor, pairs: int) -> Tensor:
    """
    Return the (B, T, width) tokens after a block of the tower.

    x: (B, T, width), `pairs` pair tokens, class token, patches. Class token and patches attend to
    each other, a pair to itself and the patches.
    """
    attention = block.attn
    q, k, v = (split_heads(part, attention.num_heads) for part in linear(
        block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1))
    first = pairs + 1
    own = _attend_to_self_and(q[:, :, :pairs], k[:, :, :pairs], v[:, :, :pairs],
                              k[:, :, first:], v[:, :, first:])
    image = functional.scaled_dot_product_attention(q[:, :, pairs:], k[:, :, pairs:],
                                                    v[:, :, pairs:])
    return _finish(block, x, torch.cat([own, image], 2))


def through_last_block(block: ResidualAttentionBlock, x: Tensor, pairs: int) -> Tensor:
    """Return the (B, pairs, width) pair tokens after the last block; x as in `through_block`."""
    own, patches = block.ln_1(x[:, :pairs]), block.ln_1(x[:, pairs + 1:])
    read = _read_unprojected if pairs < FEW_PAIRS else _read_projected
    return _finish(block, x[:, :pairs], read(block.attn, own, patches))


def _read_projected(attention: nn.MultiheadAttention, own: Tensor, patches: Tensor) -> Tensor:
    """Return (B, heads, P, c), what tokens own (B, P, width) see of themselves and the patches."""
    weight, bias, width = attention.in_proj_weight, attention.in_proj_bias, own.shape[-1]
    parts = (*linear(own, weight, bias).chunk(3, -1),
             *linear(patches, weight[width:], bias[width:]).chunk(2, -1))
    return _attend_to_self_and(*(split_heads(part, attention.num_heads) for part in parts))


def _read_unprojected(attention: nn.MultiheadAttention, own: Tensor, patches: Tensor) -> Tensor:
    """
    Return the same as `_read_projected` at a cost that grows with the pairs alone.

    Keys are folded into the queries and values applied to the mean of what was attended to, as in
    `lain_adapters.CrossLayer`.
    """
    heads = attention.num_heads
    query, key, value = attention.in_proj_weight.unflatten(0, (3, heads, -1))
    query_bias, _, value_bias = attention.in_proj_bias.unflatten(0, (3, heads, 1, -1))
    query = (own[:, None] @ query.transpose(-1, -2) + query_bias) * key.shape[1] ** -0.5 @ key
    alone = (query * own[:, None]).sum(-1, keepdim=True)
    others = (query.flatten(1, 2) @ patches.transpose(-1, -2)).unflatten(1, (heads, -1))
    weights = torch.cat([alone, others], -1).softmax(-1)
    mean = (weights[..., 1:].flatten(1, 2) @ patches).unflatten(1, (heads, -1))
    return (mean + weights[..., :1] * own[:, None]) @ value.transpose(-1, -2) + value_bias


def _attend_to_self_and(query: Tensor, key: Tensor, value: Tensor, other_keys: Tensor,
                        other_values: Tensor) -> Tensor:
    """
    Return the (B, heads, P, c) values seen by tokens that attend to themselves and the others.

    query, key, value: (B, heads, P, c). other_keys, other_values: (B, heads, S, c).
    """
    query = query * query.shape[-1] ** -0.5
    own = (query * key).sum(-1, keepdim=True)
    weights = torch.cat([own, query @ other_keys.transpose(-1, -2)], -1).softmax(-1)
    return weights[..., 1:] @ other_values + weights[..., :1] * value


def _finish(block: ResidualAttentionBlock, x: Tensor, context: Tensor) -> Tensor:
    """Return the tokens after attention's output projection and the feed-forward part."""
    projection = block.attn.out_proj
    x = x + block.ls_1(linear(merge_heads(context), projection.weight, projection.bias))
    return x + block.ls_2(_feed_forward(block.mlp, block.ln_2(x)))


def _feed_forward(mlp: nn.Sequential, x: Tensor) -> Tensor:
    """
    Return `mlp(x)`, with QuickGELU in a single pass over the widest tensor of the tower.

    x * sigmoid(a x) is silu(a x) / a, and both factors move to where tensors are narrow.
    """
    first, second, a = mlp.c_fc, mlp.c_proj, 1.702
    if not isinstance(mlp.gelu, QuickGELU):
        inner = mlp.gelu(linear(x, first.weight, first.bias))
        return linear(inner, second.weight, second.bias)
    inner = linear(a * x, first.weight, a * first.bias)
    # In place where no gradient needs it: a fresh tensor of this size costs as much as silu.
    inner = functional.silu(inner, inplace=not inner.requires_grad)
    return linear(inner, second.weight, a * second.bias) / a
