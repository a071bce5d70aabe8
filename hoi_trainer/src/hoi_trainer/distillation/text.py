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
What language teaches a pair head: its features move towards the text of what the pairs show.

Source: arXiv 2307.13529, section 3.4 (the paper's distances and weights are not known). For every
student, a tensor of pair tokens, and for sentences and words alike:

    f = unit(linear(student)),  a = unit(attention of f over the text of its image)
    loss = mean over shown pairs of (1 - f . a) - log(sum over its phrases of exp(c / tau) /
           sum over all phrases of the batch of exp(c / tau))

where c is the cosine of f with a phrase: with its sentence, or with f's attention over its words.
Text is never moved: attention and its result carry no gradient. Projections of query, key and
value would then never learn anything, so attention compares f with the text itself, at the same
temperature. Phrases of equal text count once, so they cannot be negatives of each other.
"""

from typing import NamedTuple, Sequence

from hoi_trainer.distillation.matching import Matched
from hoi_trainer.distillation.phrases import NOBODY, Phrases
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize

TEMPERATURE = 0.07
HIDDEN = -1e4
"""In place of a logit that does not count: its weight is exactly 0, and it has a gradient."""


class TextLosses(NamedTuple):
    """Losses from text, summed over the students; each is 0 where no pair shows anything."""

    sentence: Tensor
    word: Tensor


class TextDistillation(nn.Module):
    """
    Losses from text on the pair tokens of any head; needed in training only.

    students: lengths of the tokens of each student, which have a projection of their own.
    text_dim: length of the text's vectors. sentence, word: compute that level; the other is 0.
    """

    def __init__(self, students: Sequence[int], text_dim: int, sentence: bool = True,
                 word: bool = True, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(length, text_dim) for length in students)
        self.sentence, self.word, self.temperature = sentence, word, temperature

    def forward(self, students: Sequence[Tensor], matched: Matched) -> TextLosses:
        """Return the losses of students (B, P, d) whose pairs show `matched.matches`."""
        features = [normalize(head(tokens.float()), dim=-1)
                    for head, tokens in zip(self.heads, students)]
        nothing = sum(feature.sum() for feature in features) * 0.0
        phrases = Phrases(*(part.detach() for part in matched.phrases))
        sentence, word = (
            sum((self._loss(feature, phrases, matched.matches, level) for feature in features),
                start=nothing) if wanted else nothing
            for level, wanted in ((_sentences, self.sentence), (_words, self.word)))
        return TextLosses(sentence, word)

    def _loss(self, features: Tensor, phrases: Phrases, matches: Tensor, level) -> Tensor:
        """Return the loss of one student (B, P, D) at one level."""
        target, cosines = level(features, phrases, self.temperature)
        distance = 1 - (features * target.detach()).sum(-1)
        text = phrases.text.flatten()
        shown = _shown(matches, phrases.text)
        logits = cosines / self.temperature
        counted = _first_of_each(text)
        every = torch.where(counted, logits, HIDDEN).logsumexp(-1)
        own = torch.where(shown & counted, logits, HIDDEN).logsumexp(-1)
        positive = matches.any(-1)
        total = torch.where(positive, distance + every - own, 0.0).sum()
        return total / positive.sum().clamp(min=1)


def _first_of_each(text: Tensor) -> Tensor:
    """Return (..., K) bool: the first phrase of each text along the last axis."""
    earlier = (text[..., :, None] == text[..., None, :]).tril(-1).any(-1)
    return ~earlier & (text != NOBODY)


def _shown(matches: Tensor, text: Tensor) -> Tensor:
    """Return (B, P, M) bool over all phrases of the batch: the pair shows one of that text."""
    same = text[:, :, None] == text.flatten()
    return (matches.float() @ same.float()) > 0


def _sentences(features: Tensor, phrases: Phrases, temperature: float):
    """Return (B, P, D) attended sentences of the image and (B, P, M) cosines with all phrases."""
    logits = features @ phrases.sentences.transpose(1, 2) / temperature
    weights = torch.where(_first_of_each(phrases.text)[:, None], logits, HIDDEN).softmax(-1)
    target = normalize(weights @ phrases.sentences, dim=-1)
    return target, features @ phrases.sentences.flatten(0, 1).T


def _words(features: Tensor, phrases: Phrases, temperature: float):
    """
    Return (B, P, D) attended words of the image and (B, P, M) cosines with all phrases.

    The words of an image are one sequence. The cosine with a phrase is that with the attended
    words of this phrase alone, from products of words so that they are never built:
    f . sum(w_l word_l) / |sum(w_l word_l)|.
    """
    words, once = phrases.words.flatten(1, 2), _first_of_each(phrases.text)[..., None]
    logits = features @ words.transpose(1, 2) / temperature
    mask = (phrases.word_mask & once).flatten(1, 2)[:, None]
    target = normalize(torch.where(mask, logits, HIDDEN).softmax(-1) @ words, dim=-1)
    words, mask = phrases.words.flatten(0, 1), phrases.word_mask.flatten(0, 1)
    cosines = (features @ words.flatten(0, 1).T).unflatten(-1, words.shape[:2])
    weights = torch.where(mask, cosines / temperature, HIDDEN).softmax(-1).detach()
    squares = torch.einsum('bpml,mlk,bpmk->bpm', weights, words @ words.transpose(1, 2), weights)
    return target, (weights * cosines).sum(-1) / squares.clamp(min=1e-6).sqrt()
