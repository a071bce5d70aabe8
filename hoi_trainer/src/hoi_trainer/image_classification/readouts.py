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
Pairs read from an image classifier without further training: mask-1 and its controls.

`mask-n`: in the last n blocks the class token attends only to itself and the patches of the two
boxes. For n = 1 patches never see that, so one token per pair is enough (`RegionReadout`); for
more, the last n blocks run once per pair. `ave-pool`: in the last block the class token takes the
mean of the values of the patches in the boxes, itself excluded. Source: arXiv 2112.06392.
"""

import re
from typing import Callable, Sequence

from hoi_perception.core.errors import HoiError
from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.networks.region_readout import box_regions, masked_class_tokens
from open_clip.transformer import ResidualAttentionBlock
import torch
from torch import Tensor
from torch.nn.functional import linear

CHUNK = 64
"""Pairs that run through whole blocks at once."""

Readout = Callable[[ClipTrunk, Tensor, Tensor], Tensor]
"""
(trunk, (B, 3, S, S) normalised images, (B, P, N) regions) to (B, P, width) class tokens.

An empty region marks padding, whose token is finite and means nothing.
"""


def tokens_before(trunk: ClipTrunk, images: Tensor, blocks: int) -> Tensor:
    """Return the (B, 1 + N, width) tokens that enter the last so many blocks."""
    x = trunk.visual._embeds(images)
    for block in trunk.visual.transformer.resblocks[:-blocks]:
        x = block(x)
    return x


def masked_blocks(blocks: Sequence[ResidualAttentionBlock], tokens: Tensor,
                  region: Tensor) -> Tensor:
    """
    Return the (M, width) class tokens after blocks in which they attend to their regions only.

    tokens: (M, 1 + N, width), one set per region. region: (M, N) bool.
    """
    count, length, _ = tokens.shape
    mask = tokens.new_zeros(count, length, length)
    mask[:, 0, 1:].masked_fill_(~region, -torch.inf)
    for block in blocks:
        heads = mask[:, None].expand(-1, block.attn.num_heads, -1, -1).flatten(0, 1)
        tokens = block(tokens, attn_mask=heads)
    return tokens[:, 0]


def mean_pooled(block: ResidualAttentionBlock, tokens: Tensor, region: Tensor) -> Tensor:
    """Return (B, P, width): as `masked_class_tokens`, but with the mean value of the region."""
    attention = block.attn
    width = tokens.shape[-1]
    value = linear(block.ln_1(tokens[:, 1:]), attention.in_proj_weight[2 * width:],
                   attention.in_proj_bias[2 * width:])
    share = region.float() / region.sum(-1, keepdim=True).clamp(min=1)
    x = tokens[:, :1] + block.ls_1(attention.out_proj(share @ value))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def readout(name: str) -> Readout:
    """Return the read-out `mask-1`, `mask-2`, ... or `ave-pool`; raises `HoiError`."""
    if name == 'ave-pool':
        return lambda trunk, images, region: mean_pooled(
            trunk.last_block, tokens_before(trunk, images, 1), region)
    found = re.fullmatch(r'mask-([1-9]\d*)', name)
    if not found:
        raise HoiError(f'read-out {name!r} is not known; choose mask-1, mask-2, ... or ave-pool.')
    count = int(found[1])
    if count == 1:
        return lambda trunk, images, region: masked_class_tokens(
            trunk.last_block, tokens_before(trunk, images, 1), region)
    return lambda trunk, images, region: _last_blocks(trunk, images, region, count)


def _last_blocks(trunk: ClipTrunk, images: Tensor, region: Tensor, count: int) -> Tensor:
    blocks = trunk.visual.transformer.resblocks
    if count > len(blocks):
        raise HoiError(f'read-out mask-{count} needs {count} blocks, the backbone has '
                       f'{len(blocks)}.')
    tokens = tokens_before(trunk, images, count)
    found = tokens[:, :1].repeat(1, region.shape[1], 1)
    for pairs in region.any(-1).nonzero().split(CHUNK):
        image, pair = pairs.unbind(1)
        found[image, pair] = masked_blocks(blocks[-count:], tokens[image], region[image, pair])
    return found


def regions_of(trunk: ClipTrunk, human_boxes: Tensor, object_boxes: Tensor,
               mask: Tensor) -> Tensor:
    """Return (B, P, N) bool: the patches that either box of a pair touches, none in padding."""
    return mask[..., None] & (box_regions(human_boxes, trunk.grid, trunk.patch) | box_regions(
        object_boxes, trunk.grid, trunk.patch))
