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

"""CL-HOI as a Lightning module: learnt from words about images, evaluated like every head."""

from contextlib import nullcontext
from typing import Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.networks.cl_hoi import ClHoi, ClHoiConfig, Understood
from hoi_perception.networks.lain import LainInputs
from hoi_perception.runtime.loading import build_detector
from hoi_trainer.interaction.data import HeadBatch
from hoi_trainer.interaction.module import HeadModule
from hoi_trainer.interaction.rows import PromptRows
from hoi_trainer.interaction.scores import lain_logits
from hoi_trainer.teaching.data_module import TaughtBatch, TaughtData
from hoi_trainer.teaching.gathering import gathered
from hoi_trainer.teaching.losses import (
    Batch,
    ClHoiLosses,
    context_loss,
    image_to_text_loss,
    relation_loss,
    text_to_image_loss,
)
from hoi_trainer.teaching.text import PhraseTable
import torch
from torch import nn, Tensor
from torch.nn.attention import sdpa_kernel, SDPBackend

LOSSES = ClHoiLosses._fields
LARGEST_SCALE = 100.0


class ClHoiModule(HeadModule):
    """
    CL-HOI on the frozen detector and CLIP of a bundle; its data module must be `TaughtData`.

    heads to dropout: see `ClHoiConfig`; query_dim comes from the bundle. losses: those of
    `ClHoiLosses` that are added up, each with weight 1; `context` needs the context step. Nothing
    in them reads the annotation: labels of the batch are used in validation only.
    """

    def __init__(self, bundle: str, heads: int = 8, content_layers: int = 2,
                 translator: int = 256, translator_layers: int = 4, context_queries: int = 16,
                 bottleneck: int = 256, spatial: bool = True, visual: bool = True,
                 context: bool = True, dropout: float = 0.1, losses: Tuple[str, ...] = LOSSES,
                 learning_rate: float = 1e-4, weight_decay: float = 1e-4,
                 exponent: float = 2.8) -> None:
        super().__init__(bundle, learning_rate, weight_decay, exponent=exponent)
        unknown = sorted(set(losses) - set(LOSSES))
        if unknown or not losses:
            raise HoiError(f'losses of CL-HOI are some of {", ".join(LOSSES)}, got {losses}.')
        if 'context' in losses and not context:
            raise HoiError('the loss context needs the step context: leave it out of losses.')
        config = ClHoiConfig(
            query_dim=build_detector(self.bundle.spec).query_dim, heads=heads,
            content_layers=content_layers, translator=translator,
            translator_layers=translator_layers, context_queries=context_queries,
            bottleneck=bottleneck, spatial=spatial, visual=visual, context=context,
            dropout=dropout)
        self.network: nn.Module = ClHoi(self._frozen[0], config)
        self.network_config = {'kind': 'cl_hoi', 'config': config.to_mapping()}
        self.losses = tuple(losses)

    def on_fit_start(self) -> None:
        """Move what the teacher said with the other frozen tensors."""
        data = self.trainer.datamodule
        if not isinstance(data, TaughtData):
            raise HoiError('CL-HOI learns from a teacher: its data must be '
                           'hoi_trainer.teaching.data_module.TaughtData.')
        super().on_fit_start()
        self.table: PhraseTable = data.table(self.device)

    def logits(self, batch: HeadBatch, rows: PromptRows) -> Tensor:
        """Return scaled cosines of pair features and prompts."""
        return lain_logits(self.network, batch, rows)

    def training_step(self, batch: TaughtBatch, batch_idx: int) -> Tensor:
        """Return the sum of the losses over the images of all processes."""
        understood = self.understand(batch.head.inputs)
        with torch.autocast(self.device.type, enabled=False):
            found = self.taught_losses(batch, understood)
        loss = sum(found.values())
        self.log_dict({f'train/{name}': value.detach() for name, value in found.items()})
        self.log('train/loss', loss.detach(), prog_bar=True)
        return loss

    def understand(self, inputs: LainInputs) -> Understood:
        """Return features and context of a batch of images."""
        # On the CPU the fused attention is several times slower on so few tokens.
        on_cpu = inputs.boxes.device.type == 'cpu'
        with sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext():
            return self.network.understand(inputs)

    def taught_losses(self, batch: TaughtBatch, understood: Understood) -> dict:
        """Return the losses by name."""
        scale = self.network.logit_scale.exp().clamp(max=LARGEST_SCALE)
        whole = gathered(loss_batch(batch, understood))
        makers = {'context': lambda: context_loss(whole, scale),
                  'image_to_text': lambda: image_to_text_loss(whole, self.table, scale),
                  'text_to_image': lambda: text_to_image_loss(whole, self.table, scale),
                  'relation': lambda: relation_loss(whole, self.table, scale)}
        return {name: makers[name]() for name in self.losses}


def loss_batch(batch: TaughtBatch, understood: Understood) -> Batch:
    """Return what the losses read, in single precision."""
    (inputs, _, _, prior, _), taught, labels = batch
    features = understood.features.float()
    context = features[:, :0] if understood.context is None else understood.context.float()
    return Batch(features, context, inputs.pair_mask, prior,
                 inputs.labels.gather(1, inputs.object), labels, taught.verbs, taught.columns,
                 taught.negatives, taught.caption, taught.words.float(), taught.word_mask)
