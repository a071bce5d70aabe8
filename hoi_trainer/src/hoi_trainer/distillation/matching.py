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

"""Which phrases an image has and which pairs show them, as tensors of fixed shape."""

from typing import NamedTuple

from hoi_trainer.distillation.phrases import Phrases
import torch
from torch import Tensor


class Matched(NamedTuple):
    """
    The phrases of each image of a batch and the pairs that show them: many to many.

    phrases: `Phrases` with leading axes (B, K). matches: (B, P, K) bool.
    """

    phrases: Phrases
    matches: Tensor


def match(labels: Tensor, table: Phrases, most: int) -> Matched:
    """
    Return the phrases of the annotated interactions of each image, and who shows them.

    labels: (B, P, R) over the prompt rows, above 0 where an annotated pair with that interaction
    overlaps the pair by at least 0.5 (`association.pair_labels`). table: the R rows' phrases.
    most: phrases kept per image; where there are more they are drawn at random. An interaction
    that no pair shows, or that zero-shot training holds back, has no label and so no phrase.
    """
    shown = labels > 0
    rows = shown.any(1)
    draw = torch.where(rows, torch.rand(rows.shape, device=rows.device), -1.0)
    best = draw.topk(min(most, draw.shape[1]), dim=1)
    present = best.values >= 0
    index = best.indices[:, None].expand(-1, labels.shape[1], -1)
    return Matched(table.at(best.indices, present), shown.gather(2, index) & present[:, None])
