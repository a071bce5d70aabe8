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

"""DEFR's training as a Lightning module: backbone and classifier at one rate."""

from contextlib import nullcontext
from typing import List, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.hico_classification import evaluate_labels
from hoi_perception.networks.cosine_classifier import CosineTextClassifier
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.datasets import hico_names, synthetic_names
from hoi_trainer.image_classification.backbones import BackboneConfig, open_backbone
from hoi_trainer.image_classification.data_module import ImageBatch
from hoi_trainer.image_classification.losses import LOSSES
from hoi_trainer.image_classification.network import describe, ImageClassifier
from hoi_trainer.image_classification.starts import class_phrases, own_gamma, start_rows
from lightning.pytorch import LightningModule
import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import sdpa_kernel, SDPBackend

NAMES = {'synthetic': synthetic_names, 'hico': hico_names}
BUNDLE_CLIP = BackboneConfig()


class ImageClassifierModule(LightningModule):
    """
    A backbone fine-tuned to tell the HOI classes of whole images.

    bundle: its CLIP is the backbone of kind `bundle`, and its wording makes the phrases. names:
    `synthetic` or `hico`, the classes. start: of the classifier's rows, see `starts.start_rows`;
    text_model: the directory that start `bert` reads. gamma: factor on the cosine, not trained;
    None = `own_gamma`.
    loss: `lse_sign`, `bce`, `weighted_bce` or `focal`. learning_rate: the peak, of backbone and
    classifier; a `Budget` callback gives the schedule. seed: of random and shuffled rows.
    """

    def __init__(self, bundle: str, names: str = 'synthetic',
                 backbone: BackboneConfig = BUNDLE_CLIP, start: str = 'clip',
                 text_model: str = '', gamma: Optional[float] = None, loss: str = 'lse_sign',
                 learning_rate: float = 3e-4, weight_decay: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        if names not in NAMES:
            raise HoiError(f'names {names!r} are not known; choose {", ".join(NAMES)}.')
        if loss not in LOSSES:
            raise HoiError(f'loss {loss!r} is not known; choose {", ".join(LOSSES)}.')
        opened_bundle = Bundle.open(bundle)
        self.names, self.per_image = NAMES[names](), LOSSES[loss]
        phrases = class_phrases(self.names, opened_bundle)
        opened = open_backbone(backbone, opened_bundle)
        gamma = own_gamma(opened) if gamma is None else gamma
        rows = start_rows(start, opened, opened_bundle, phrases, seed, text_model)
        self.network = ImageClassifier(opened.backbone, CosineTextClassifier(rows, gamma)).train()
        self.network_config = describe(backbone, phrases, gamma)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._logits: List[Tensor] = []

    def on_fit_start(self) -> None:
        """Refuse data with other classes than the classifier's, or pictures of another size."""
        data, side = self.trainer.datamodule, self.network.backbone.image_size
        split = data.splits['train']
        if not np.array_equal(split.dataset.names.combinations, self.names.combinations):
            raise HoiError(f'the training data have {len(split.dataset.names.combinations)} HOI '
                           f'classes, the classifier {len(self.names.combinations)}: set '
                           'model.names to the data set.')
        if split.images.shape[-1] != side:
            raise HoiError(f'the pictures have {split.images.shape[-1]} pixels a side, the '
                           f'backbone takes {side}: set data.image_size and '
                           'model.backbone.image_size to one value.')

    def logits(self, images: Tensor) -> Tensor:
        """Return (B, C) float32 logits."""
        # On the CPU the fused attention is slower on so few tokens.
        on_cpu = images.device.type == 'cpu'
        with sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext():
            return self.network(images)

    def training_step(self, batch: ImageBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        logits = self.logits(batch.images)
        with torch.autocast(self.device.type, enabled=False):
            loss = self.per_image(logits, batch.shown).mean()
        self.log('train/loss', loss.detach(), prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begin a new evaluation."""
        self._logits = []

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Score a batch."""
        logits = self.logits(batch.images)
        self.log('val/loss', self.per_image(logits, batch.shown).mean(),
                 batch_size=len(batch.shown))
        self._logits.append(logits.cpu())

    def on_validation_epoch_end(self) -> None:
        """Log mean average precision by HICO's protocol."""
        logits = torch.cat(self._logits).numpy()
        labels = self.trainer.datamodule.splits['val'].labels[:len(logits)]
        self.log('val/map', evaluate_labels(logits, labels).mean() or 0.0, prog_bar=True)

    def configure_optimizers(self):
        """Return AdamW over what is trained."""
        return torch.optim.AdamW((p for p in self.parameters() if p.requires_grad),
                                 lr=self.learning_rate, weight_decay=self.weight_decay)
