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

"""Interaction heads as Lightning modules: the head learns, detector and CLIP stay as they are."""

from hoi_perception.networks.lain import Lain, LainConfig
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.loading import build_detector, load_clip
from hoi_trainer.detector.module import parameter_groups
from hoi_trainer.interaction.class_and_boxes import ClassAndBoxes
from hoi_trainer.interaction.data import HeadBatch
from hoi_trainer.interaction.evaluate import HeadEvaluation
from hoi_trainer.interaction.losses import ALPHA, GAMMA, positive_count, prior_fused_focal_loss
from hoi_trainer.interaction.rows import prompt_rows, PromptRows, without_unseen
from hoi_trainer.interaction.scores import lain_logits
from lightning.pytorch import LightningModule
import torch
from torch import nn, Tensor


class HeadModule(LightningModule):
    """
    What all trained heads share: prompts, loss, optimizer and metrics.

    bundle: directory with the frozen detector and CLIP. learning_rate: the peak; a `Budget`
    callback gives the schedule. alpha, gamma: of the focal loss. exponent: power of the
    detector's scores in the validation score (LAIN and UPT: 2.8). A subclass sets `network` and
    `network_config` and says in `logits` what each prompt row scores.
    """

    network: nn.Module
    network_config: dict

    def __init__(self, bundle: str, learning_rate: float = 1e-3, weight_decay: float = 1e-4,
                 alpha: float = ALPHA, gamma: float = GAMMA, exponent: float = 2.8) -> None:
        super().__init__()
        self.bundle = Bundle.open(bundle)
        clip, trunk = load_clip(self.bundle, torch.device('cpu'))
        # In a tuple, not a submodule: frozen weights do not belong into checkpoints.
        self._frozen = (trunk,)
        self.rows: PromptRows = prompt_rows(clip, self.bundle)
        self.training_rows = self.rows
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.alpha, self.gamma, self.exponent = alpha, gamma, exponent

    def on_fit_start(self) -> None:
        """Move what is frozen and hold back the classes that the data module says."""
        data = self.trainer.datamodule
        self._frozen[0].to(self.device)
        self.rows = self.rows.to(self.device)
        self.training_rows = without_unseen(self.rows, self.bundle,
                                            data.splits['train'].dataset.names, data.unseen)

    def logits(self, batch: HeadBatch, rows: PromptRows) -> Tensor:
        """Return (B, P, R) logits of the prompt rows."""
        raise NotImplementedError

    def loss(self, batch: HeadBatch, logits: Tensor) -> Tensor:
        """Return the loss, divided by the mean count of positives over the processes."""
        counted = batch.valid & (batch.prior > 0)[..., None]
        positives = self.trainer.strategy.reduce(positive_count(batch.labels, counted),
                                                 reduce_op='mean')
        return prior_fused_focal_loss(logits, batch.prior[..., None], batch.labels, batch.valid,
                                      self.alpha, self.gamma, positives)

    def training_step(self, batch: HeadBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        logits = self.logits(batch, self.training_rows)
        with torch.autocast(self.device.type, enabled=False):
            loss = self.loss(batch, logits.float())
        self.log('train/loss', loss.detach(), prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begin a new evaluation."""
        data = self.trainer.datamodule
        self._evaluation = HeadEvaluation(data.splits['val'], self.bundle, self.rows,
                                          data.unseen)

    def validation_step(self, batch: HeadBatch, batch_idx: int) -> None:
        """Score a batch."""
        logits = self.logits(batch, self.rows).float()
        self.log('val/loss', self.loss(batch, logits), batch_size=len(batch.labels))
        self._evaluation.add(batch, logits.sigmoid(), self.exponent)

    def on_validation_epoch_end(self) -> None:
        """Log mean average precision, of unseen classes too in a zero-shot split."""
        report = self._evaluation.report()
        self.log('val/map', report.full, prog_bar=True)
        if report.unseen is not None:
            self.log_dict({'val/map_unseen': report.unseen, 'val/map_seen': report.seen})

    def configure_optimizers(self):
        """Return AdamW."""
        return torch.optim.AdamW(parameter_groups(self, self.weight_decay),
                                 lr=self.learning_rate)


class LainModule(HeadModule):
    """
    LAIN on the frozen CLIP of a bundle.

    adapter_dim, hidden, context_queries, locality, interaction, official: see `LainConfig`; the
    other sizes come from the bundle. dropout: LAIN's own, in the adapters' cross-attention; a run
    of less than one pass over the data has no use for it and is faster without.
    """

    def __init__(self, bundle: str, adapter_dim: int = 32, hidden: int = 128,
                 context_queries: int = 10, locality: bool = True, interaction: bool = True,
                 official: bool = False, dropout: bool = True, learning_rate: float = 1e-3,
                 weight_decay: float = 1e-4, alpha: float = ALPHA, gamma: float = GAMMA,
                 exponent: float = 2.8) -> None:
        super().__init__(bundle, learning_rate, weight_decay, alpha, gamma, exponent)
        config = LainConfig(
            adapter_dim=adapter_dim, query_dim=build_detector(self.bundle.spec).query_dim,
            object_dim=self.rows.objects.shape[1], hidden=hidden,
            context_queries=context_queries, locality=locality, interaction=interaction,
            official=official)
        self.network = Lain(self._frozen[0], config)
        self.network_config = {'kind': 'lain', 'config': config.to_mapping()}
        self.dropout = dropout

    def logits(self, batch: HeadBatch, rows: PromptRows) -> Tensor:
        """Return scaled cosines of pair features and prompts."""
        self.network.train(self.training and self.dropout)
        return lain_logits(self.network, batch, rows)


class ClassAndBoxesModule(HeadModule):
    """The baseline `ClassAndBoxes`, trained on the same pairs with the same loss."""

    def __init__(self, bundle: str, hidden: int = 128, learning_rate: float = 1e-3,
                 weight_decay: float = 1e-4, alpha: float = ALPHA, gamma: float = GAMMA,
                 exponent: float = 2.8) -> None:
        super().__init__(bundle, learning_rate, weight_decay, alpha, gamma, exponent)
        vocabulary = self.bundle.spec.core_vocabulary()
        spec = self.bundle.spec.clip.preprocessing
        self.network_config = {'kind': 'class_and_boxes', 'config': {
            'objects': len(vocabulary.objects), 'verbs': len(vocabulary.verbs),
            'size': (spec.height, spec.width), 'hidden': hidden}}
        self.network = ClassAndBoxes(**self.network_config['config'])

    def logits(self, batch: HeadBatch, rows: PromptRows) -> Tensor:
        """Return the verb's logit at every row of that verb."""
        return self.network(batch)[..., rows.verb_of_row]
