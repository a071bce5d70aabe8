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

"""Training of `DenseDetector` as a Lightning module."""

from pathlib import Path
from typing import Optional

from hoi_perception.networks.dense_detector import DenseDetector, DenseDetectorConfig
from hoi_trainer.detector.data import DetectorBatch
from hoi_trainer.detector.losses import detector_loss, LossWeights
from hoi_trainer.training.weights import read_weights
from lightning.pytorch import LightningModule
import torch
from torch import nn, Tensor


def parameter_groups(module: nn.Module, weight_decay: float) -> list:
    """Return optimizer groups: no decay for biases, norms, embeddings of position and scales."""
    decayed = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    return [{'params': decayed, 'weight_decay': weight_decay},
            {'params': plain, 'weight_decay': 0.0}]


STANDARD, WEIGHTS = DenseDetectorConfig(), LossWeights()


class DetectorModule(LightningModule):
    """
    Dense detector, its loss and its optimizer.

    network: settings of `DenseDetectorConfig`. learning_rate: the peak; a `Budget` callback gives
    the schedule. start_from: weights written by an earlier run, at this or another image size (a
    run at half size learns most of it in a quarter of the time). compile: compile the network
    (pays off on long runs).
    """

    def __init__(self, network: DenseDetectorConfig = STANDARD,
                 weights: LossWeights = WEIGHTS, learning_rate: float = 1e-3,
                 weight_decay: float = 0.05, start_from: Optional[str] = None,
                 compile: bool = False) -> None:
        super().__init__()
        self.network = DenseDetector(network).to(memory_format=torch.channels_last)
        if start_from:
            self.network.load_state_dict(read_weights(Path(start_from))[1])
        self.semantic = nn.Conv2d(network.widths[2], network.classes + 1, 1)
        self.weights = weights
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.register_buffer('mean', torch.tensor(network.mean)[:, None, None], persistent=False)
        self.register_buffer('std', torch.tensor(network.std)[:, None, None], persistent=False)
        self.dense = torch.compile(self.network.dense) if compile else self.network.dense

    @property
    def network_config(self) -> dict:
        """Return the settings of the network as plain values."""
        return self.network.config.to_mapping()

    def loss(self, batch: DetectorBatch, stage: str) -> Tensor:
        """Return the loss and log its terms."""
        images = ((batch.images - self.mean) / self.std).contiguous(
            memory_format=torch.channels_last)
        dense = self.dense(images)
        semantic = self.semantic(dense.pixels)
        with torch.autocast(self.device.type, enabled=False):
            terms = detector_loss(dense, semantic, self.network.centres, batch.targets,
                                  self.weights)
        total = sum(terms.values())
        self.log_dict({f'{stage}/{name}': term.detach() for name, term
                       in {**terms, 'loss': total}.items()}, batch_size=len(batch.images))
        return total

    def training_step(self, batch: DetectorBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self.loss(batch, 'train')

    def validation_step(self, batch: DetectorBatch, batch_idx: int) -> None:
        """Log the loss of a batch."""
        self.loss(batch, 'val')

    def configure_optimizers(self):
        """Return AdamW."""
        return torch.optim.AdamW(parameter_groups(self, self.weight_decay),
                                 lr=self.learning_rate, betas=(0.9, 0.98))
