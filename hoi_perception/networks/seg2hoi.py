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
Seg2HOI: human-object-verb-mask quadruplets from the queries of a frozen instance segmenter.

Source: arXiv 2504.19847, of which only the abstract and summaries could be read; no code is
public. From the summaries: the two branches, their queries and positional codes, the implicit
cross-attention, the list of heads, the frozen trunk. Inferred here: what the second positional
code means, image cross-attention, boxes as residuals on the query's own box (of the counterpart
too), heads shared by the branches, a bias channel beside the mask embeddings, masks that count
only within the two boxes (as the trunk's own do).

A human query says what it does with which object, an object query who does what with it. No pair
is enumerated: cost depends on the number of queries, which is fixed.
"""

from dataclasses import asdict, dataclass, fields
import math
from typing import Any, List, Mapping, NamedTuple, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.seg2hoi_layers import (
    Branch,
    centre_size,
    CODE,
    DecoderLayer,
    Perceptron,
    sine_code,
)
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize

RARE = -math.log(99)
"""Bias of a verb's logit at the start: a probability of 0.01."""
EDGE = 1e-4


@dataclass(frozen=True)
class Seg2HoiConfig:
    """
    Architecture of the head.

    query_dim, pixel_dim: of the trunk. embed_dim: length of a verb's text embedding. classes:
    object classes, of which `human` acts. human_queries, object_queries: capacity of the branches
    (N_h, N_o); the best are kept. relation: cross-attention between the branches, else a
    perceptron in its place. image: cross-attention to the pixel embedding, cut into patches of
    `patch` cells (4 cells of stride 4: plain attention at 1/16).
    """

    query_dim: int = 256
    pixel_dim: int = 256
    embed_dim: int = 512
    classes: int = 80
    human: int = 0
    human_queries: int = 60
    object_queries: int = 60
    layers: int = 6
    width: int = 256
    heads: int = 8
    ffn: int = 2048
    dropout: float = 0.1
    relation: bool = True
    image: bool = True
    patch: int = 4

    def __post_init__(self) -> None:
        """Refuse sizes that no layer can have."""
        small = {name: value for name, value in asdict(self).items()
                 if name not in ('human', 'dropout', 'relation', 'image') and value < 1}
        if small or self.width % self.heads or not 0 <= self.human < self.classes:
            raise BundleError('Seg2HOI sizes must be at least 1, width a multiple of heads and '
                              f'human one of the classes, got {small or asdict(self)}')

    def to_mapping(self) -> dict:
        """Return the configuration as plain numbers and flags."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> 'Seg2HoiConfig':
        """Read what `to_mapping` wrote; unknown keys raise `BundleError`."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(mapping) - known)
        if unknown:
            raise BundleError(f'unknown Seg2HOI settings {unknown}; known: {sorted(known)}')
        return cls(**mapping)


class Seg2HoiInputs(NamedTuple):
    """
    The trunk's instances and pixel embedding for a batch.

    queries: (B, n, query_dim). boxes: (B, n, 4) xyxy, 0..1 of the trunk's image. scores: (B, n) in
    0..1. labels: (B, n) int64 object classes. mask: (B, n) bool, False = padding. pixels:
    (B, pixel_dim, h, w).
    """

    queries: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    mask: Tensor
    pixels: Tensor


class Selected(NamedTuple):
    """
    Which instance each of the Q relation queries is: the humans' first, then the objects'.

    index: (B, Q) int64 into the instances. mask: (B, Q) bool, False = null query. humans: how many
    of the Q belong to the human branch.
    """

    index: Tensor
    mask: Tensor
    humans: int

    def acts(self) -> Tensor:
        """Return (Q,) bool: queries of the human branch."""
        return torch.arange(self.index.shape[1], device=self.index.device) < self.humans


class Relations(NamedTuple):
    """
    What each query says of itself and its counterpart.

    features: (B, Q, embed_dim) unit norm, to be compared with the text of verbs. self_logits,
    pair_logits: (B, Q, classes + 1), the last class is none. self_boxes, pair_boxes: (B, Q, 4)
    centre and size, 0..1. union, intersection: (B, Q, pixel_dim + 1) embeddings of the masks, the
    last number their bias.
    """

    features: Tensor
    self_logits: Tensor
    pair_logits: Tensor
    self_boxes: Tensor
    pair_boxes: Tensor
    union: Tensor
    intersection: Tensor


def mask_logits(embeddings: Tensor, pixels: Tensor) -> Tensor:
    """Return (B, Q, h, w) logits of (B, Q, M + 1) embeddings on a (B, M, h, w) pixel embedding."""
    flat = embeddings[..., :-1] @ pixels.flatten(2) + embeddings[..., -1:]
    return flat.unflatten(-1, pixels.shape[-2:])


def rows_of(values: Tensor, index: Tensor) -> Tensor:
    """Return (B, q, ...) rows of (B, n, ...) at (B, q) indices."""
    extra = values.shape[2:]
    at = index.reshape(*index.shape, *(1 for _ in extra)).expand(-1, -1, *extra)
    return values.gather(1, at)


def choose_queries(inputs: Seg2HoiInputs, human: int, humans: int, objects: int) -> Selected:
    """Return the best people for the human branch and the best of any class for the other."""
    people = inputs.mask & (inputs.labels == human)
    count = inputs.scores.shape[1]
    parts = [torch.where(allowed, inputs.scores, -1.0).topk(min(most, count))
             for allowed, most in ((people, humans), (inputs.mask, objects))]
    return Selected(torch.cat([part.indices for part in parts], 1),
                    torch.cat([part.values >= 0 for part in parts], 1), min(humans, count))


class Seg2Hoi(nn.Module):
    """
    The decoder and its heads; the trunk is no part of it.

    logit_scale, verb_bias: a verb's logit is exp(logit_scale) * cosine + verb_bias.
    """

    def __init__(self, config: Seg2HoiConfig) -> None:
        super().__init__()
        self.config = config
        width, size = config.width, config.patch
        self.content = nn.Sequential(nn.LayerNorm(config.query_dim),
                                     nn.Linear(config.query_dim, width))
        self.own, self.counterpart, self.cells = (Perceptron(CODE, width, width)
                                                  for _ in range(3))
        self.null = nn.Parameter(torch.randn(width) * 0.02)
        self.patches = nn.Conv2d(config.pixel_dim, width, size, size) if config.image else None
        self.patch_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, config.heads, config.ffn, config.dropout, config.relation,
                         config.image) for _ in range(config.layers))
        self.verb = nn.Linear(width, config.embed_dim)
        self.self_class, self.pair_class = (nn.Linear(width, config.classes + 1)
                                            for _ in range(2))
        self.self_box, self.pair_box = (Perceptron(width, width, width, 4, zero_last=True)
                                        for _ in range(2))
        self.union, self.intersection = (Perceptron(width, width, width, config.pixel_dim + 1)
                                         for _ in range(2))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.verb_bias = nn.Parameter(torch.tensor(RARE))

    def forward(self, inputs: Seg2HoiInputs) -> Tuple[Selected, List[Relations]]:
        """Return the queries and their relations: of every layer in training, else of the last."""
        config = self.config
        chosen = choose_queries(inputs, config.human, config.human_queries, config.object_queries)
        boxes = centre_size(rows_of(inputs.boxes, chosen.index))
        human, thing = self._branches(inputs, chosen, boxes)
        image = self._image(inputs.pixels)
        relations = []
        for number, layer in enumerate(self.layers):
            human, thing = layer(human, thing, image)
            if self.training or number == len(self.layers) - 1:
                relations.append(self._read(torch.cat([human.states, thing.states], 1), boxes))
        return chosen, relations

    def verb_logits(self, features: Tensor, rows: Tensor) -> Tensor:
        """Return (..., R) logits of unit-norm features for (R, embed_dim) unit-norm texts."""
        return self.logit_scale.exp() * features @ rows.T + self.verb_bias

    def _branches(self, inputs: Seg2HoiInputs, chosen: Selected,
                  boxes: Tensor) -> Tuple[Branch, Branch]:
        real = chosen.mask[..., None]
        code = sine_code(boxes)
        whole = Branch(torch.where(real, self.content(rows_of(inputs.queries, chosen.index)),
                                   self.null), self.own(code) * real,
                       self.counterpart(code) * real, chosen.mask)
        first = chosen.humans
        return Branch(*(part[:, :first] for part in whole)), Branch(
            *(part[:, first:] for part in whole))

    def _image(self, pixels: Tensor):
        """Return (B, t, width) keys and values of the patches, None without them."""
        if self.patches is None:
            return None
        grid = self.patches(pixels)
        height, width = grid.shape[-2:]
        y, x = torch.meshgrid(torch.arange(height, device=pixels.device),
                              torch.arange(width, device=pixels.device), indexing='ij')
        sides = torch.tensor([1 / width, 1 / height], device=pixels.device)
        middles = (torch.stack([x, y], -1).flatten(0, 1) + 0.5) * sides
        cells = torch.cat([middles, sides.expand(len(middles), 2)], -1).to(pixels.dtype)
        tokens = self.patch_norm(grid.flatten(2).transpose(1, 2))
        return tokens + self.cells(sine_code(cells)), tokens

    def _read(self, states: Tensor, boxes: Tensor) -> Relations:
        inside = boxes.clamp(EDGE, 1 - EDGE)
        start = inside.log() - (1 - inside).log()  # the inverse of the sigmoid
        return Relations(
            normalize(self.verb(states), dim=-1), self.self_class(states),
            self.pair_class(states), (start + self.self_box(states)).sigmoid(),
            (start + self.pair_box(states)).sigmoid(), self.union(states),
            self.intersection(states))
