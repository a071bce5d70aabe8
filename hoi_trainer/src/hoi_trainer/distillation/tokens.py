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
How alike the tokens of people are who stand in the same place and do different things.

The paper's argument (arXiv 2307.13529, section 3.2): detector tokens tell positions, not actions,
so such people get nearly the same token, and re-mining takes them apart. Raw similarities of
different spaces are hard to compare, so people in the same place who do the same are measured
too: a token that knows actions makes the two groups differ.
"""

from typing import Dict, List, Mapping, NamedTuple

from hoi_perception.networks.lain_adapters import take
from hoi_perception.networks.pair_geometry import box_iou
from hoi_trainer.interaction.data import HeadBatch
from hoi_trainer.interaction.rows import PromptRows
import torch
from torch import Tensor
from torch.nn.functional import normalize

SAME_PLACE = 0.5
"""Least IoU of two boxes that count as one position."""
DETECTOR = 'detector'
CHUNK = 512


class Similarity(NamedTuple):
    """Mean cosine and Euclidean distance over `count` couples of tokens, NaN without any."""

    cosine: float
    distance: float
    count: int


Groups = Dict[str, Similarity]
"""By group: 'different' verbs and the 'same' verbs."""


class TokenSimilarity:
    """
    Collects the tokens of people with annotated actions, then compares them across images.

    rows: what the labels of the batches are about. Boxes are compared in pixels of CLIP's image,
    which is the same for all.
    """

    def __init__(self, rows: PromptRows) -> None:
        self._verb_of_row = rows.verb_of_row
        self._people: List[tuple] = []
        self._tokens: Dict[str, List[Tensor]] = {}

    def add(self, batch: HeadBatch, tokens: Mapping[str, Tensor]) -> None:
        """Add tokens (B, P, d) by name, and the detector's of the pairs' people."""
        acting = batch.labels.any(-1) & batch.inputs.pair_mask
        verbs = torch.zeros(*batch.labels.shape[:2], int(self._verb_of_row.max()) + 1,
                            device=batch.labels.device)
        verbs.index_add_(-1, self._verb_of_row.to(verbs.device), batch.labels.to(verbs.dtype))
        image = batch.index.to(acting.device)[:, None].expand_as(acting)
        boxes = take(batch.inputs.boxes, batch.inputs.human)
        self._people.append((boxes[acting], verbs[acting] > 0, image[acting]))
        seen = {DETECTOR: take(batch.inputs.queries, batch.inputs.human), **tokens}
        for name, values in seen.items():
            self._tokens.setdefault(name, []).append(values.detach().float()[acting])

    def report(self) -> Dict[str, Groups]:
        """Return the similarities by name of the token."""
        if not self._people:
            return {}
        boxes, verbs, image = (torch.cat(part) for part in zip(*self._people))
        return {name: _compare(torch.cat(values), boxes, verbs.float(), image)
                for name, values in self._tokens.items()}


def _compare(tokens: Tensor, boxes: Tensor, verbs: Tensor, image: Tensor) -> Groups:
    """Return the similarities of tokens (T, d); see `TokenSimilarity`."""
    directions = normalize(tokens, dim=-1)
    number = torch.arange(len(tokens), device=tokens.device)
    sums = {'different': torch.zeros(3), 'same': torch.zeros(3)}
    for part in number.split(CHUNK):
        near = box_iou(boxes[part, None], boxes) >= SAME_PLACE
        near &= (image[part, None] != image) & (part[:, None] < number)
        shared = verbs[part] @ verbs.T > 0
        equal = (verbs[part, None] == verbs).all(-1)
        cosines = directions[part] @ directions.T
        distances = torch.cdist(tokens[part], tokens)
        for group, chosen in (('different', near & ~shared), ('same', near & equal)):
            sums[group] += torch.stack([cosines[chosen].sum(), distances[chosen].sum(),
                                        chosen.sum()]).cpu()
    return {group: Similarity(*(float(value / count) for value in (cosine, distance)), int(count))
            for group, (cosine, distance, count) in sums.items()}
