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

"""What a head can say: the runtime's prompt rows for training, with classes held back."""

from typing import NamedTuple, Optional

from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_perception.networks.clip import encode_text
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.prompts import fill, lay_out_rows, object_phrases
import numpy as np
import torch
from torch import nn, Tensor


class PromptRows(NamedTuple):
    """
    Prompts of a bundle's vocabulary, laid out and encoded as at run time.

    embeddings: (R, D) unit norm. background: (objects, D), text of a pair that does nothing.
    verb_of_row: (R,) int64. validity: (R, objects) bool. objects: (objects + 1, D), last row for
    no object.
    """

    embeddings: Tensor
    background: Tensor
    verb_of_row: Tensor
    validity: Tensor
    objects: Tensor

    def to(self, device: torch.device) -> 'PromptRows':
        """Return the rows on a device."""
        return PromptRows(*(part.to(device) for part in self))


def prompt_rows(clip: nn.Module, bundle: Bundle) -> PromptRows:
    """Encode the prompts of the bundle's vocabulary with its CLIP."""
    vocabulary, template = bundle.spec.core_vocabulary(), bundle.spec.vocabulary.background
    phrases, verbs, validity = lay_out_rows(vocabulary, template)
    nothing = [fill(template, thing=thing) for thing in vocabulary.objects]
    return PromptRows(encode_text(clip, phrases), encode_text(clip, nothing),
                      torch.tensor(verbs), torch.from_numpy(validity),
                      encode_text(clip, object_phrases(vocabulary.objects)))


def without_unseen(rows: PromptRows, bundle: Bundle, names: HoiNames,
                   unseen: Optional[np.ndarray]) -> PromptRows:
    """
    Return the rows of which the unseen HOI classes are not valid (zero-shot training).

    unseen: (U,) int64 rows of `names.combinations`.
    """
    if unseen is None or not len(unseen):
        return rows
    vocabulary = bundle.spec.core_vocabulary()
    validity = rows.validity.clone()
    for verb, thing in names.combinations[unseen]:
        verb_index = vocabulary.verb_names.index(names.verbs[verb])
        thing_index = vocabulary.objects.index(names.objects[thing])
        validity[rows.verb_of_row == verb_index, thing_index] = False
    return rows._replace(validity=validity)
