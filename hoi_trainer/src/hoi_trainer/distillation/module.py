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
Pair heads taught by language, as Lightning modules: the losses wrap whatever head is beneath.

The text tower runs once, when the module is made; what is exported and evaluated is the head
alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Mapping

from hoi_perception.core.errors import HoiError
from hoi_perception.networks.rmlr import Rmlr, RmlrConfig
from hoi_perception.runtime.loading import build_detector, load_clip
from hoi_trainer.distillation.captured import captured
from hoi_trainer.distillation.matching import match
from hoi_trainer.distillation.phrases import (
    clip_phrases,
    Phrases,
    row_phrases,
    transformers_phrases,
)
from hoi_trainer.distillation.text import TEMPERATURE, TextDistillation
from hoi_trainer.distillation.tokens import TokenSimilarity
from hoi_trainer.interaction.data import HeadBatch
from hoi_trainer.interaction.losses import ALPHA, GAMMA
from hoi_trainer.interaction.module import HeadModule, LainModule
from hoi_trainer.interaction.rows import PromptRows
from hoi_trainer.interaction.scores import lain_logits
from hoi_trainer.training.budget import Budget
import torch
from torch import nn, Tensor

LEVELS = {'none': (False, False), 'sentence': (True, False), 'word': (False, True),
          'both': (True, True)}
"""Of text, (sentence, word)."""


@dataclass(frozen=True)
class Teaching:
    """
    What is learnt from language, besides the labels.

    level: none, sentence, word or both. text: directory of a text encoder of `transformers`, '' =
    the bundle's CLIP. warm_up: share of the training in which the weights rise from 0.
    most_of_focal: text losses never weigh more than this part of the focal loss. phrases: most
    per image; words: most per phrase.
    """

    level: str = 'both'
    text: str = ''
    sentence_weight: float = 0.1
    word_weight: float = 0.5
    temperature: float = TEMPERATURE
    warm_up: float = 0.1
    most_of_focal: float = 0.5
    phrases: int = 8
    words: int = 12

    def __post_init__(self) -> None:
        """Refuse what cannot be taught."""
        if self.level not in LEVELS:
            raise HoiError(f'level of the text losses is {self.level!r}, expected one of '
                           f'{", ".join(LEVELS)}.')
        if min(self.phrases, self.words) < 1 or self.temperature <= 0:
            raise HoiError('text losses need at least one phrase and one word and a temperature '
                           f'above 0, got {self}.')


STANDARD = Teaching()


class TaughtModule(HeadModule):
    """
    A head with losses from text; put it before the head's own class.

    observed: paths of submodules of `network` by the name of the pair tokens they give; taught:
    the names that text teaches, with the length of their tokens.
    """

    observed: Mapping[str, str] = {}
    teaching: Teaching = STANDARD

    def teach(self, teaching: Teaching, taught: Dict[str, int]) -> None:
        """Encode the phrases and make the losses; nothing where the level is none."""
        self.teaching, self.taught = teaching, tuple(taught)
        self.distillation = None
        if teaching.level == 'none':
            return
        self.table = encoded_phrases(self.bundle, teaching)
        sentence, word = LEVELS[teaching.level]
        self.distillation = TextDistillation(list(taught.values()),
                                             self.table.sentences.shape[-1], sentence, word,
                                             teaching.temperature)

    def on_fit_start(self) -> None:
        """Move the text with the other frozen tensors."""
        super().on_fit_start()
        if self.distillation is not None:
            self.table = Phrases(*(part.to(self.device) for part in self.table))

    def training_step(self, batch: HeadBatch, batch_idx: int) -> Tensor:
        """Return the head's own loss and what language adds to it."""
        with captured(self.network, self.observed) as tokens:
            loss = super().training_step(batch, batch_idx)
        self._log_similarity(batch, tokens)
        if self.distillation is None:
            return loss
        with torch.autocast(self.device.type, enabled=False):
            return loss + self.text_loss(batch, tokens, loss.detach())

    def text_loss(self, batch: HeadBatch, tokens: Mapping[str, Tensor], focal: Tensor) -> Tensor:
        """Return the weighted losses from text, at most a part of the focal loss."""
        teaching = self.teaching
        found = self.distillation([tokens[name] for name in self.taught],
                                  match(batch.labels, self.table, teaching.phrases))
        self.log_dict({'train/sentence': found.sentence.detach(),
                       'train/word': found.word.detach()})
        loss = teaching.sentence_weight * found.sentence + teaching.word_weight * found.word
        most = teaching.most_of_focal * focal / loss.detach().clamp(min=1e-6)
        return self._rise() * most.clamp(max=1.0) * loss

    def _rise(self) -> float:
        """Return 0..1: how far the weights have risen."""
        budget = next((c for c in self.trainer.callbacks if isinstance(c, Budget)), None)
        if budget is None or not self.teaching.warm_up:
            return 1.0
        return min(budget.progress / self.teaching.warm_up, 1.0)

    def _log_similarity(self, batch: HeadBatch, tokens: Mapping[str, Tensor]) -> None:
        """Log how alike people in one place are who do different things, NaN without any."""
        if (self.global_step + 1) % self.trainer.log_every_n_steps:
            return
        similarity = TokenSimilarity(self.training_rows)
        similarity.add(batch, tokens)
        self.log_dict({f'train/cosine_{name}': groups['different'].cosine
                       for name, groups in similarity.report().items()})


def encoded_phrases(bundle, teaching: Teaching) -> Phrases:
    """Return the phrases of the bundle's prompt rows, encoded by the frozen text tower."""
    phrases = row_phrases(bundle)
    if teaching.text:
        return transformers_phrases(Path(teaching.text), phrases, teaching.words)
    clip, _ = load_clip(bundle, torch.device('cpu'))
    return clip_phrases(clip, phrases, teaching.words)


class RmlrModule(TaughtModule):
    """
    RmLR on the frozen detector and CLIP of a bundle.

    width, heads, ffn, ire_layers, irm_layers, looks, dropout: see `RmlrConfig`; query_dim comes
    from the bundle. teaching: of the re-mined and of the reasoned tokens.
    """

    observed = {'pair': 'pair', 'remined': 'ire', 'reasoned': 'irm'}

    def __init__(self, bundle: str, width: int = 512, heads: int = 8, ffn: int = 2048,
                 ire_layers: int = 2, irm_layers: int = 1, looks: bool = True,
                 dropout: float = 0.1, teaching: Teaching = STANDARD, learning_rate: float = 1e-4,
                 weight_decay: float = 1e-4, alpha: float = ALPHA, gamma: float = GAMMA,
                 exponent: float = 2.8) -> None:
        super().__init__(bundle, learning_rate, weight_decay, alpha, gamma, exponent)
        config = RmlrConfig(
            width=width, query_dim=build_detector(self.bundle.spec).query_dim, heads=heads,
            ffn=ffn, ire_layers=ire_layers, irm_layers=irm_layers, looks=looks, dropout=dropout)
        self.network: nn.Module = Rmlr(self._frozen[0], config)
        self.network_config = {'kind': 'rmlr', 'config': config.to_mapping()}
        self.teach(teaching, {'remined': width, 'reasoned': 2 * width})

    def logits(self, batch: HeadBatch, rows: PromptRows) -> Tensor:
        """Return scaled cosines of pair features and prompts."""
        return lain_logits(self.network, batch, rows)


class TaughtLainModule(TaughtModule, LainModule):
    """LAIN with losses from text on its pair features; see `LainModule` for the settings."""

    observed = {'features': ''}

    def __init__(self, bundle: str, adapter_dim: int = 32, hidden: int = 128,
                 context_queries: int = 10, locality: bool = True, interaction: bool = True,
                 dropout: bool = True, teaching: Teaching = STANDARD, learning_rate: float = 1e-3,
                 weight_decay: float = 1e-4, alpha: float = ALPHA, gamma: float = GAMMA,
                 exponent: float = 2.8) -> None:
        LainModule.__init__(self, bundle, adapter_dim, hidden, context_queries, locality,
                            interaction, False, dropout, learning_rate, weight_decay, alpha, gamma,
                            exponent)
        self.teach(teaching, {'features': self.network.trunk.embed_dim})
