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
DEFR's region-masked read-out ('mask-1'): CLIP's class token looks at one pair at a time.

Source: arXiv 2112.06392, detection transfer. Only in the last block, the class token may attend to
itself and to the patches that the two boxes of a pair touch; every other patch gets minus
infinity. Because patches never see the class token's mask, keys and values are computed once for
all pairs, and a pair costs one token. The released code adds +1 to the masked patches instead
(a Boolean mask cast to float); this is the paper's form.
"""

from typing import Tuple

from hoi_perception.networks.clip import ClipTrunk
from open_clip.transformer import ResidualAttentionBlock
import torch
from torch import nn, Tensor
from torch.nn.functional import linear, normalize


def _cells(low: Tensor, high: Tensor, patch: int, count: int) -> Tensor:
    """Return the (..., count) cells of one axis that the interval touches, at least one."""
    first = (low / patch).floor().clamp(0, count - 1)
    last = torch.maximum((high / patch).ceil().clamp(0, count), first + 1)
    cell = torch.arange(count, device=low.device, dtype=low.dtype)
    return (cell >= first[..., None]) & (cell < last[..., None])


def box_regions(boxes: Tensor, grid: Tuple[int, int], patch: Tuple[int, int]) -> Tensor:
    """
    Return the (..., rows * columns) patches that each box touches, row-major, at least one.

    boxes: (..., 4) xyxy in pixels of the network image; they may reach outside of it.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    rows = _cells(torch.minimum(y1, y2), torch.maximum(y1, y2), patch[0], grid[0])
    columns = _cells(torch.minimum(x1, x2), torch.maximum(x1, x2), patch[1], grid[1])
    return (rows[..., :, None] & columns[..., None, :]).flatten(-2)


def masked_class_tokens(block: ResidualAttentionBlock, tokens: Tensor, region: Tensor) -> Tensor:
    """
    Return the class token after the block, (B, P, width), once per region.

    block: a pre-norm block of open_clip. tokens: (B, 1 + N, width) before the block, class token
    first. region: (B, P, N) bool, the patches the class token may attend to besides itself.
    Equal to running the whole block P times with the mask in the class token's row.
    """
    attention = block.attn
    heads = attention.num_heads
    batch, count, width = tokens.shape
    q, k, v = linear(block.ln_1(tokens), attention.in_proj_weight,
                     attention.in_proj_bias).chunk(3, dim=-1)
    query = q[:, 0].reshape(batch, heads, width // heads)
    key, value = (x.reshape(batch, count, heads, width // heads) for x in (k, v))
    logits = torch.einsum('bhd,bthd->bht', query, key) * (width // heads) ** -0.5
    allowed = torch.cat([torch.ones_like(region[..., :1]), region], -1)
    weights = logits[:, None].masked_fill(~allowed[:, :, None], -torch.inf).softmax(-1)
    context = torch.einsum('bpht,bthd->bphd', weights, value).flatten(2)
    x = tokens[:, :1] + block.ls_1(attention.out_proj(context))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


class RegionReadout(nn.Module):
    """
    Pair features from tokens and boxes; no weights but the trunk's.

    projected: into CLIP's joint space, where text is; without, features stay as the trunk's last
    norm leaves them, as the rows of a trained `CosineTextClassifier` expect. feature_dim: D.
    """

    def __init__(self, trunk: ClipTrunk, projected: bool = True) -> None:
        super().__init__()
        self.trunk, self.projected = trunk, projected
        self.feature_dim = trunk.embed_dim if projected else trunk.width

    def forward(self, tokens: Tensor, human_boxes: Tensor, object_boxes: Tensor) -> Tensor:
        """
        Return the (B, P, D) unit-norm features of the pairs.

        tokens: (B, 1 + N, width) of `ClipTrunk.tokens_before_last`. human_boxes, object_boxes:
        (B, P, 4) xyxy in pixels of the network image; the region is the union of the patches of
        the two boxes, not of their hull. Padding pairs may hold any finite boxes.
        """
        grid, patch = self.trunk.grid, self.trunk.patch
        region = box_regions(human_boxes, grid, patch) | box_regions(object_boxes, grid, patch)
        x = self.trunk.ln_post(masked_class_tokens(self.trunk.last_block, tokens, region))
        return normalize(x @ self.trunk.proj if self.projected else x, dim=-1)
