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
LAIN: one token per human-object pair travels through a frozen CLIP image tower with adapters.

Source: arXiv 2505.19503 and its released code. `LainConfig.official` reproduces the released
code in everything that its checkpoints depend on; the default leaves three accidents out, see
there.

Keys of the released checkpoints (`clip_head.image_encoder.` is the CLIP trunk, in OpenAI's names):

| released | here |
|---|---|
| clip_head.image_encoder.transformer.resblocks.{l}.adaptermlp.X | adapters.{l}.X |
| query_proj.layers.{i}.X, priors_downproj.layers.{i}.X | the same |
| logit_scale_text | logit_scale |
| object_embedding | input `LainInputs.object_embeddings` |
"""

from dataclasses import asdict, dataclass, fields
from itertools import chain, islice
import math
from typing import Any, List, Mapping, NamedTuple, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.networks.lain_adapters import (
    fold,
    Folded,
    LainAdapter,
    Layout,
    layout_of,
    take,
)
from hoi_perception.networks.lain_blocks import through_block, through_last_block
from hoi_perception.networks.roi_align import roi_weights
import torch
from torch import nn, Tensor
from torch.nn import functional
from torch.nn.functional import normalize


@dataclass(frozen=True)
class LainConfig:
    """
    Architecture of the head; sizes of the tower come from the tower.

    adapter_dim: width of the adapters. query_dim: length of a detector query. object_dim: length
    of an object's text embedding. hidden: width of the two perceptrons. context_queries: context
    tokens per box. locality, interaction: use that adapter.

    official: as the released code. Otherwise boxes that start left of or above the image are cut
    at its edge (the released code counts negative cells from the far end) and the class token has
    no interaction update (the released code treats it as a pair of two whole images, 20 pixels
    too tall at 224).
    """

    adapter_dim: int = 32
    query_dim: int = 256
    object_dim: int = 512
    hidden: int = 128
    context_queries: int = 10
    locality: bool = True
    interaction: bool = True
    official: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that no layer can have."""
        sizes = {key: value for key, value in asdict(self).items() if not isinstance(value, bool)}
        wrong = {key: value for key, value in sizes.items() if value < 1}
        if wrong or self.adapter_dim % 2:
            raise BundleError('LAIN sizes must be at least 1 and adapter_dim even (two heads), '
                              f'got {wrong or self.adapter_dim}')

    def to_mapping(self) -> dict:
        """Return the configuration as plain numbers and flags."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> 'LainConfig':
        """Read what `to_mapping` wrote; unknown keys raise `BundleError`."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(mapping) - known)
        if unknown:
            raise BundleError(f'unknown LAIN settings {unknown}; known: {sorted(known)}')
        return cls(**mapping)


class LainInputs(NamedTuple):
    """
    A batch of images with their boxes and pairs; what masks leave out changes nothing else.

    images: (B, 3, S, S) normalised CLIP input. boxes: (B, n, 4) xyxy in pixels of the CLIP input,
    humans by falling score, then objects. scores: (B, n) in 0..1. labels: (B, n) int64 rows of
    object_embeddings. box_mask: (B, n) bool, False = padding. queries: (B, n, query_dim) detector
    feature of each box, zeros where the detector gave none. human, object: (B, P) int64 indices
    into boxes. pair_mask: (B, P) bool. object_embeddings: (O + 1, object_dim), last row for cells
    without a box.
    """

    images: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    box_mask: Tensor
    queries: Tensor
    human: Tensor
    object: Tensor
    pair_mask: Tensor
    object_embeddings: Tensor


class Perceptron(nn.Module):
    """Linear layers with rectifiers between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., last width) of (..., first width)."""
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


class Lain(nn.Module):
    """
    Pair features from an image and its detections.

    The trunk is shared and frozen: it is not a submodule, so that `state_dict`, `parameters` and
    `to` concern the head alone. logit_scale: log of the factor on cosines between the features
    and unit-norm texts.
    """

    def __init__(self, trunk: ClipTrunk, config: LainConfig) -> None:
        super().__init__()
        self._trunk = (trunk,)
        self.config = config
        dim = config.adapter_dim
        self.adapters = nn.ModuleList(
            LainAdapter(trunk.width, dim, config.context_queries, config.locality,
                        config.interaction) for _ in trunk.visual.transformer.resblocks)
        self.query_proj = Perceptron(2 * config.query_dim, config.hidden, trunk.width)
        if config.locality:
            self.priors_downproj = Perceptron(5 + config.object_dim, config.hidden, config.hidden,
                                              dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        height, width = trunk.visual.image_size
        self.register_buffer('whole_image', torch.tensor(
            [0, 0, width, height + 20 * height / 224]), persistent=False)

    @property
    def trunk(self) -> ClipTrunk:
        """The frozen image tower."""
        return self._trunk[0]

    def forward(self, inputs: LainInputs) -> Tensor:
        """Return the (B, P, embed_dim) unit-norm features of the pairs."""
        visual = self.trunk.visual
        pairs = inputs.human.shape[1]
        queries = torch.cat([take(inputs.queries, inputs.human),
                             take(inputs.queries, inputs.object)], -1)
        x = torch.cat([visual.ln_pre(self.query_proj(queries)), visual._embeds(inputs.images)], 1)
        layout = self.layout(inputs)
        *blocks, last = zip(visual.transformer.resblocks, self.adapters, self.folded())
        for block, adapter, folded in blocks:
            x = through_block(block, adapter(x, layout, folded), pairs)
        block, adapter, folded = last
        x = through_last_block(block, adapter(x, layout, folded), pairs)
        return normalize(visual.ln_post(x) @ visual.proj, dim=-1)

    def folded(self) -> List[Tuple[Folded, ...]]:
        """Return the folded attention of every adapter's decoder layers."""
        layers = [adapter.cross_layers() for adapter in self.adapters]
        if not self.config.interaction:
            return [()] * len(layers)
        flat = iter(fold(list(chain(*layers))))
        return [tuple(islice(flat, len(part))) for part in layers]

    def layout(self, inputs: LainInputs) -> Layout:
        """Return what the adapters need to know of boxes and pairs."""
        boxes = torch.where(inputs.box_mask[..., None], inputs.boxes, 0.)
        human, thing = inputs.human, inputs.object
        prior = self._prior(inputs, boxes)
        if self.config.official:
            # The class token is one more pair, of twice the whole image.
            index = torch.full_like(human[:, :1], boxes.shape[1])
            boxes = torch.cat([boxes, self.whole_image.expand(len(boxes), 1, 4)], 1)
            human, thing = torch.cat([human, index], 1), torch.cat([thing, index], 1)
        return layout_of(prior, roi_weights(boxes, self.trunk.grid, self.trunk.patch), human,
                         thing)

    def _prior(self, inputs: LainInputs, boxes: Tensor) -> Tensor:
        """Return the (B, rows, columns, d) spatial prior, one of n + 1 vectors in each cell."""
        if not self.config.locality:
            return boxes.new_zeros(len(boxes), *self.trunk.grid, self.config.adapter_dim)
        height, width = self.trunk.patch
        x1, y1, x2, y2 = boxes.unbind(-1)
        cells = torch.stack([x1 / width, y1 / height, x2 / width + 0.5, y2 / height + 0.5], -1)
        features = torch.cat([inputs.scores[..., None], cells,
                              inputs.object_embeddings[inputs.labels]], -1)
        nothing = torch.cat([features.new_full((5,), -1.), inputs.object_embeddings[-1]])
        nothing = nothing.expand(len(features), 1, -1)
        vectors = self.priors_downproj(torch.cat([features, nothing], 1))
        owner = box_of_cell(cells, inputs.box_mask, self.trunk.grid, self.config.official)
        return take(vectors, owner.flatten(1)).unflatten(1, self.trunk.grid)


def box_of_cell(cells: Tensor, mask: Tensor, grid: Tuple[int, int], official: bool) -> Tensor:
    """
    Return (B, rows, columns), the last box that covers each cell, n where none does.

    cells: (B, n, 4) xyxy in cells, rounded half to even here; ends are exclusive. mask: (B, n),
    False = not there. official: negative ends count from the far end, as Python slices do.
    """
    x1, y1, x2, y2 = cells.round().unbind(-1)
    rows, columns = (_covered(*ends, size, official)
                     for ends, size in (((y1, y2), grid[0]), ((x1, x2), grid[1])))
    covered = rows[..., :, None] & columns[..., None, :] & mask[..., None, None]
    count = cells.shape[1]
    index = torch.arange(count, device=cells.device)[:, None, None]
    owner = torch.where(covered, index, -1).amax(1)
    return torch.where(owner < 0, count, owner)


def _covered(first: Tensor, last: Tensor, size: int, official: bool) -> Tensor:
    """Return (..., size), the cells in first <= cell < last."""
    if official:
        first, last = (torch.where(end < 0, (end + size).clamp(min=0), end)
                       for end in (first, last))
    cell = torch.arange(size, device=first.device)
    return (cell >= first[..., None]) & (cell < last[..., None])
