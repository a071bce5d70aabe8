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
CL-HOI: pairs are understood in three steps, by space, by sight and by the context of the image.

Source: arXiv 2410.15657, of which the formulas could not be read; no code is public. From the
paper: the Visual Linguistic Translator that turns CLIP's patches into context tokens that resemble
a caption, and the Interaction Cognition Network, a chain of spatial, visual and context cognition
whose last tokens are the features that meet the text of the verbs. Inferred: sizes, post-norm
layers, the unary encoder over instances (PViC). The teacher and its losses are the trainer's
(`hoi_trainer.teaching`); of the language model nothing is left here.
"""

from dataclasses import asdict, dataclass, fields
import math
from typing import Any, Mapping, NamedTuple, Optional

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.cl_hoi_layers import Adapter, QFormer, Step
from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.networks.lain import LainInputs
from hoi_perception.networks.lain_adapters import take
from hoi_perception.networks.pair_geometry import NUMBERS, pair_geometry
from hoi_perception.networks.rmlr_layers import PairEncoder
from hoi_perception.networks.seg2hoi_layers import centre_size, CODE, Perceptron, sine_code
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize, relu


@dataclass(frozen=True)
class ClHoiConfig:
    """
    Architecture of the head; the width of its tokens is that of CLIP's text.

    query_dim: length of a detector query. content_layers: of the encoder over instances.
    translator, translator_layers, context_queries: width and layers of the Q-Former and its
    number of context tokens. bottleneck: of the adapters. spatial: instances know their places
    and one another, pairs their geometry. visual, context: use that step.
    """

    query_dim: int = 256
    heads: int = 8
    content_layers: int = 2
    translator: int = 256
    translator_layers: int = 4
    context_queries: int = 16
    bottleneck: int = 256
    spatial: bool = True
    visual: bool = True
    context: bool = True
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse sizes that no layer can have."""
        sizes = {key: value for key, value in asdict(self).items() if type(value) is int}
        wrong = {key: value for key, value in sizes.items() if value < 1}
        if wrong or self.translator % self.heads or not 0 <= self.dropout < 1:
            raise BundleError('CL-HOI sizes must be at least 1, translator a multiple of heads '
                              f'and dropout 0..1, got {wrong or asdict(self)}')

    def to_mapping(self) -> dict:
        """Return the configuration as plain numbers and flags."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> 'ClHoiConfig':
        """Read what `to_mapping` wrote; unknown keys raise `BundleError`."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(mapping) - known)
        if unknown:
            raise BundleError(f'unknown CL-HOI settings {unknown}; known: {sorted(known)}')
        return cls(**mapping)


class Translated(NamedTuple):
    """
    An image for the last two steps, None where a step is not used.

    view: (B, N, width) patches. context: (B, K, width) tokens that training makes alike to the
    words of a caption.
    """

    view: Optional[Tensor]
    context: Optional[Tensor]


class Understood(NamedTuple):
    """What training looks at: (B, P, width) unit-norm pair features and (B, K, width) context."""

    features: Tensor
    context: Optional[Tensor]


class Translator(nn.Module):
    """The Visual Linguistic Translator: adapters around a Q-Former."""

    def __init__(self, given: int, wanted: int, config: ClHoiConfig) -> None:
        super().__init__()
        inner, narrow = config.translator, config.bottleneck
        self.norm = nn.LayerNorm(given)
        self.image = Adapter(given, narrow, inner)
        self.view = Adapter(inner, narrow, wanted) if config.visual else None
        self.former = self.context = None
        if config.context:
            self.former = QFormer(config.context_queries, config.translator_layers, inner,
                                  config.heads, config.dropout)
            self.context = Adapter(inner, narrow, wanted)

    def forward(self, patches: Tensor) -> Translated:
        """Return what (B, N, given) patches of CLIP show."""
        image = self.image(self.norm(patches))
        return Translated(None if self.view is None else self.view(image),
                          None if self.former is None else self.context(self.former(image)))


class SpatialCognition(nn.Module):
    """Pair tokens of two instances: where they are and what the detector saw."""

    def __init__(self, width: int, config: ClHoiConfig) -> None:
        super().__init__()
        spatial = config.spatial
        self.norm = nn.LayerNorm(config.query_dim)
        self.content = Perceptron(config.query_dim, width)
        self.place = Perceptron(CODE, width) if spatial else None
        self.encoder = PairEncoder(config.content_layers, width, config.heads, 4 * width,
                                   config.dropout) if spatial else None
        self.geometry = nn.Sequential(nn.LayerNorm(NUMBERS), Perceptron(
            NUMBERS, width // 4, width // 2, width)) if spatial else None
        self.sides = nn.ModuleList(
            nn.Sequential(nn.Linear(size, width), nn.LayerNorm(width))
            for size in ((2 * width, width) if spatial else (2 * width,)))
        self.fuse = Perceptron(width * len(self.sides), width, width)

    def forward(self, inputs: LainInputs, codes: Tensor, width: int, height: int) -> Tensor:
        """Return (B, P, width); codes: (B, n, CODE) of the boxes; width, height: of the image."""
        entities = self.content(self.norm(inputs.queries))
        if self.encoder is not None:
            entities = self.encoder(entities, inputs.box_mask, self.place(codes))
        human, thing = inputs.human, inputs.object
        parts = [torch.cat([take(entities, human), take(entities, thing)], -1)]
        if self.geometry is not None:
            parts.append(self.geometry(pair_geometry(
                take(inputs.boxes, human), take(inputs.boxes, thing), width, height)))
        return self.fuse(torch.cat([relu(side(part)) for side, part in zip(self.sides, parts)],
                                   -1))


class ClHoi(nn.Module):
    """
    Pair features from an image and its detections.

    The trunk is shared and frozen: it is not a submodule. logit_scale: log of the factor on
    cosines between the features and unit-norm texts.
    """

    def __init__(self, trunk: ClipTrunk, config: ClHoiConfig) -> None:
        super().__init__()
        width = trunk.embed_dim
        if width % config.heads:
            raise BundleError(f"CL-HOI is as wide as CLIP's text, {width}, which must be a "
                              f'multiple of heads, got {config.heads}')
        self._trunk = (trunk,)
        self.config = config
        self.spatial = SpatialCognition(width, config)
        step = width, config.heads, 4 * width, config.dropout
        self.translator = Translator(trunk.width, width, config) \
            if config.visual or config.context else None
        self.visual = Step(*step) if config.visual else None
        self.query = Perceptron(width, width, width) if config.visual else None
        self.place = Perceptron(CODE // 2, width) if config.visual else None
        self.context = Step(*step) if config.context else None
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        rows, columns = trunk.grid
        self.size = trunk.patch[1] * columns, trunk.patch[0] * rows
        self.register_buffer('sides', torch.tensor(2 * self.size).float(), persistent=False)
        self.register_buffer('cell_codes', sine_code(_middles(rows, columns)), persistent=False)

    @property
    def trunk(self) -> ClipTrunk:
        """The frozen image tower."""
        return self._trunk[0]

    def forward(self, inputs: LainInputs) -> Tensor:
        """
        Return the (B, P, embed_dim) unit-norm features of the pairs.

        Of the inputs images, boxes, box_mask, queries, human and object are read.
        """
        return self.understand(inputs).features

    def understand(self, inputs: LainInputs) -> Understood:
        """Return the features and the context of the images."""
        boxes = inputs.boxes / self.sides
        tokens = self.spatial(inputs, sine_code(centre_size(boxes)), *self.size)
        if self.translator is None:
            return Understood(normalize(tokens, dim=-1), None)
        view, context = self.translator(self.trunk.tokens_before_last(inputs.images)[:, 1:])
        if self.visual is not None:
            human, thing = take(boxes, inputs.human), take(boxes, inputs.object)
            centre = (torch.minimum(human, thing)[..., :2]
                      + torch.maximum(human, thing)[..., 2:]) / 2
            query = self.query(tokens) + self.place(sine_code(centre))
            tokens = self.visual(tokens, query, view + self.place(self.cell_codes), view)
        if self.context is not None:
            tokens = self.context(tokens, tokens, context, context)
        return Understood(normalize(tokens, dim=-1), context)


def _middles(rows: int, columns: int) -> Tensor:
    """Return the (rows * columns, 2) centres of a map's cells in 0..1, x first."""
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows,
                          (torch.arange(columns) + 0.5) / columns, indexing='ij')
    return torch.stack([x, y], -1).flatten(0, 1)
