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
One phrase per interaction, encoded once by a frozen text tower: sentences and their words.

The tower is CLIP's, or a BERT-type encoder of a local `transformers` directory. It is not kept:
training holds tensors without gradient, so that nothing can reach it.
"""

from dataclasses import replace
from pathlib import Path
from typing import List, NamedTuple, Sequence, Union

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.prompts import lay_out_rows
from hoi_trainer.distillation.captured import captured
import open_clip
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize

TEMPLATE = 'a person {verb} {article} {object}'
NOTHING = 'a person and {article} {object}'
BATCH = 128
NOBODY = -1
"""Text of a place that holds no phrase."""


class Phrases(NamedTuple):
    """
    Encoded phrases; the leading axes are any.

    sentences: (..., D) unit norm. words: (..., L, D) unit norm. word_mask: (..., L) bool, False =
    padding. text: (...) int64, equal where the texts are equal, `NOBODY` where there is none.
    """

    sentences: Tensor
    words: Tensor
    word_mask: Tensor
    text: Tensor

    def at(self, index: Tensor, present: Tensor) -> 'Phrases':
        """Return the phrases of a table at index; those that are not present have no text."""
        sentences, words, mask, text = (part[index] for part in self)
        return Phrases(sentences, words, mask & present[..., None],
                       torch.where(present, text, NOBODY))


def row_phrases(bundle: Bundle) -> List[str]:
    """Return a lower-case phrase for each prompt row of the bundle's vocabulary, in order."""
    vocabulary = replace(bundle.spec.core_vocabulary(), template=TEMPLATE)
    return [phrase.lower() for phrase in lay_out_rows(vocabulary, NOTHING)[0]]


def text_ids(phrases: Sequence[str]) -> Tensor:
    """Return (n,) int64, equal for equal texts."""
    first = {phrase: number for number, phrase in reversed(list(enumerate(phrases)))}
    return torch.tensor([first[phrase] for phrase in phrases], dtype=torch.long)


@torch.no_grad()
def clip_phrases(clip: nn.Module, phrases: Sequence[str], most_words: int) -> Phrases:
    """
    Encode with the text tower of an open_clip model; words are its tokens.

    A word is the state of its token after the last layer, projected like the sentence, which is
    the state of the end token. CLIP's tower is causal: a word knows those before it only.
    """
    tower = getattr(clip, 'text', clip)
    device = tower.positional_embedding.device
    tokenizer = open_clip.SimpleTokenizer(context_length=tower.positional_embedding.shape[0])
    parts = []
    for start in range(0, len(phrases), BATCH):
        tokens = tokenizer(list(phrases[start:start + BATCH])).to(device)
        with captured(tower, {'states': 'ln_final'}) as found:
            sentences = clip.encode_text(tokens)
        words = _projected(tower.text_projection, found['states'])[:, 1:1 + most_words]
        place = torch.arange(1, 1 + words.shape[1], device=device)
        # The end token has the largest number of its row.
        parts.append((sentences, words, place < tokens.argmax(-1, keepdim=True)))
    return _phrases(parts, phrases)


@torch.no_grad()
def transformers_phrases(directory: Path, phrases: Sequence[str], most_words: int) -> Phrases:
    """
    Encode with a BERT-type encoder from a directory of `transformers` (nothing is fetched).

    A word is the last hidden state of its token, without special tokens; the sentence is the mean
    over all of its words. Raises `HoiError` where the directory holds no such encoder.
    """
    from transformers import AutoModel, AutoTokenizer
    if not Path(directory).is_dir():
        raise HoiError(f'{directory} is no directory: give one with a text encoder and its '
                       'tokenizer as `save_pretrained` of transformers writes them.')
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        encoder = AutoModel.from_pretrained(directory, local_files_only=True).eval()
    except (OSError, ValueError, KeyError) as error:
        reason = ' '.join(str(error).split())
        raise HoiError(f'{directory} holds no text encoder with a tokenizer that transformers can '
                       f'load: {reason:.300}') from error
    parts = []
    for start in range(0, len(phrases), BATCH):
        tokens = tokenizer(list(phrases[start:start + BATCH]), padding=True, return_tensors='pt',
                           return_special_tokens_mask=True)
        special = tokens.pop('special_tokens_mask').bool()
        states = encoder(**tokens).last_hidden_state
        inside = ~special & tokens['attention_mask'].bool()
        count = inside.sum(1, keepdim=True).clamp(min=1)
        mean = (states * inside[..., None]).sum(1) / count
        # Special tokens go behind the words, which keep their order.
        order = torch.argsort((~inside).long(), dim=1, stable=True)[:, :most_words]
        parts.append((mean, states.gather(1, order[..., None].expand(-1, -1, states.shape[-1])),
                      inside.gather(1, order)))
    return _phrases(parts, phrases)


def _projected(projection: Union[nn.Module, Tensor, None], states: Tensor) -> Tensor:
    """Return states in the joint space; open_clip has three kinds of projection."""
    if projection is None:
        return states
    return projection(states) if isinstance(projection, nn.Module) else states @ projection


def _phrases(parts: list, phrases: Sequence[str]) -> Phrases:
    """Join batches of (sentences, words, mask) whose word axes may differ in length."""
    length = max(words.shape[1] for _, words, _ in parts)
    sentences = torch.cat([sentences for sentences, _, _ in parts])
    words, mask = (torch.cat([_padded(part[index], length) for part in parts]) for index in (1, 2))
    return Phrases(normalize(sentences.float(), dim=-1), normalize(words.float(), dim=-1), mask,
                   text_ids(phrases).to(mask.device))


def _padded(values: Tensor, length: int) -> Tensor:
    """Return (n, length, ...) values with zeros behind."""
    return torch.cat([values, values.new_zeros(len(values), length - values.shape[1],
                                               *values.shape[2:])], 1)
