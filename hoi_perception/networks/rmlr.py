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
RmLR: pairs of detector tokens look at the image again and reason about one another.

Source: arXiv 2307.13529, of which only summaries could be read; no code is public. From the paper:
pair tokens of detector tokens and boxes, the Interactive Relation Encoder that re-mines the image,
global context and geometry beside it, the Interaction Reasoning Module over all pairs, language in
training only. Inferred: sizes, cross-attention as the way to the image, post-norm layers. Ours:
the image map is the patches of a frozen CLIP tower, encoded once whatever the pairs are, and in
place of a classifier the features are compared with the text of the verbs, so that prompts stay
inputs. The losses from text are the trainer's (`hoi_trainer.distillation`).
"""

from dataclasses import asdict, dataclass, fields
import math
from typing import Any, Mapping

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.networks.lain import LainInputs
from hoi_perception.networks.lain_adapters import take
from hoi_perception.networks.pair_geometry import NUMBERS, pair_geometry
from hoi_perception.networks.rmlr_layers import ImageMap, PairEncoder
from hoi_perception.networks.seg2hoi_layers import centre_size, CODE, Perceptron, sine_code
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class RmlrConfig:
    """
    Architecture of the head; sizes of the image tower come from the tower.

    width: of a pair token; the reasoning module is twice as wide. query_dim: length of a detector
    query. ffn: width inside the layers of the relation encoder. ire_layers: layers of the
    relation encoder, 0 = without re-mining (then the head is a UPT-style baseline). looks: its
    cross-attention to the image map. irm_layers: layers of the reasoning module.
    """

    width: int = 512
    query_dim: int = 256
    heads: int = 8
    ffn: int = 2048
    ire_layers: int = 2
    irm_layers: int = 1
    looks: bool = True
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse sizes that no layer can have."""
        least = {'width': 1, 'query_dim': 1, 'heads': 1, 'ffn': 1, 'ire_layers': 0,
                 'irm_layers': 0}
        wrong = {name: getattr(self, name) for name, low in least.items()
                 if getattr(self, name) < low}
        if wrong or self.width % self.heads or not 0 <= self.dropout < 1:
            raise BundleError('RmLR sizes must be at least 1 (layers at least 0), width a '
                              f'multiple of heads and dropout 0..1, got {wrong or asdict(self)}')

    def to_mapping(self) -> dict:
        """Return the configuration as plain numbers and flags."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> 'RmlrConfig':
        """Read what `to_mapping` wrote; unknown keys raise `BundleError`."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(mapping) - known)
        if unknown:
            raise BundleError(f'unknown RmLR settings {unknown}; known: {sorted(known)}')
        return cls(**mapping)


class Rmlr(nn.Module):
    """
    Pair features from an image and its detections.

    pair, ire and irm give the tokens before re-mining, after it and after reasoning: what training
    teaches and diagnostics compare. The trunk is shared and frozen: it is not a submodule.
    logit_scale: log of the factor on cosines between the features and unit-norm texts.
    """

    def __init__(self, trunk: ClipTrunk, config: RmlrConfig) -> None:
        super().__init__()
        self._trunk = (trunk,)
        self.config = config
        width = config.width
        self.entity_norm = nn.LayerNorm(config.query_dim)
        self.pair = Perceptron(2 * config.query_dim + 2 * CODE, width)
        self.patch_norm = nn.LayerNorm(trunk.width)
        self.patches = Perceptron(trunk.width, width)
        # Only where something reads them: processes that train together want no idle weights.
        self.place = Perceptron(2 * CODE, width) if config.ire_layers else None
        self.cell = Perceptron(CODE, width) if config.ire_layers and config.looks else None
        self.ire = PairEncoder(config.ire_layers, width, config.heads, config.ffn,
                               config.dropout, config.looks)
        self.geometry_norm = nn.LayerNorm(NUMBERS)
        self.geometry = Perceptron(NUMBERS, width // 4, width // 2, width)
        self.visual = Perceptron(3 * width, 2 * width, 2 * width)
        self.irm = PairEncoder(config.irm_layers, 2 * width, config.heads, config.ffn,
                               config.dropout)
        self.out = Perceptron(2 * width, trunk.embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        rows, columns = trunk.grid
        self.size = trunk.patch[1] * columns, trunk.patch[0] * rows
        self.register_buffer('sides', torch.tensor(2 * self.size).float(), persistent=False)
        self.register_buffer('cell_codes', sine_code(_cells(rows, columns)), persistent=False)

    @property
    def trunk(self) -> ClipTrunk:
        """The frozen image tower."""
        return self._trunk[0]

    def forward(self, inputs: LainInputs) -> Tensor:
        """
        Return the (B, P, embed_dim) unit-norm features of the pairs.

        Of the inputs images, boxes, queries, human, object and pair_mask are read.
        """
        human, thing, mask = inputs.human, inputs.object, inputs.pair_mask
        codes = sine_code(centre_size(inputs.boxes / self.sides))
        codes = torch.cat([take(codes, human), take(codes, thing)], -1)
        queries = self.entity_norm(inputs.queries)
        pairs = self.pair(torch.cat([take(queries, human), take(queries, thing), codes], -1))
        values = self.patches(self.patch_norm(self.trunk.tokens_before_last(inputs.images)[:, 1:]))
        keys = values if self.cell is None else values + self.cell(self.cell_codes)
        place = None if self.place is None else self.place(codes)
        remined = self.ire(pairs, mask, place, ImageMap(keys, values))
        numbers = pair_geometry(take(inputs.boxes, human), take(inputs.boxes, thing), *self.size)
        geometry = self.geometry(self.geometry_norm(numbers))
        context = values.mean(1, keepdim=True).expand_as(remined)
        reasoned = self.irm(self.visual(torch.cat([remined, context, geometry], -1)), mask)
        return normalize(self.out(reasoned), dim=-1)


def _cells(rows: int, columns: int) -> Tensor:
    """Return the (rows * columns, 4) cells of a map, centre and size in 0..1."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing='ij')
    sides = torch.tensor([1 / columns, 1 / rows])
    middles = (torch.stack([x, y], -1).flatten(0, 1) + 0.5) * sides
    return torch.cat([middles, sides.expand(len(middles), 2)], -1)
