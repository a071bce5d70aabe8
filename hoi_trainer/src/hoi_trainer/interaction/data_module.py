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

"""Batches for the training of interaction heads, the same after an interruption."""

from pathlib import Path
from typing import Dict, Optional
import warnings

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.interaction.data import HeadBatch, HeadSplit
from hoi_trainer.interaction.detections_cache import Slots
from hoi_trainer.interaction.sources import open_dataset, open_split
from hoi_trainer.training.budget import Budget
from hoi_trainer.training.steps import seed_step, StepSampler
from lightning.pytorch import LightningDataModule
import torch
from torch import Tensor
from torch.utils.data import DataLoader

SLOTS = Slots()
ENDLESS = 10 ** 9
"""Steps of a budget that only counts minutes."""
VALIDATION_PAIRS = 32
"""Kept per image where nothing but the detector's scores may choose."""


class HeadData(LightningDataModule):
    """
    Cached detections, CLIP images and labels of the frozen detector's pairs.

    bundle: directory whose detector and CLIP input are used. train, val: directories of synthetic
    splits, or annotation files of HICO-DET or V-COCO; then images is the directory of their
    photos (or has them one directory below, as train2015 and test2015). cache: directory for
    detections and small images. zero_shot: the setting of `datasets.zero_shot` whose unseen
    classes training does not see ('full' = none); images without any seen pair are left out.
    batch_size: per process. pairs: kept per training image, annotated ones first. seed: of the
    order of the images, their colours and dropout. jitter: strength of the change of colours of
    the CLIP image; there is no mirroring, because the detector's queries belong to the image as
    it was. pictures: False for heads that read boxes only. limit: use only the first images.
    """

    def __init__(self, bundle: str, train: str, val: str, cache: str, zero_shot: str = 'full',
                 batch_size: int = 32, pairs: int = 16, slots: Slots = SLOTS, seed: int = 0,
                 jitter: float = 0.4, pictures: bool = True, limit: Optional[int] = None,
                 images: Optional[str] = None) -> None:
        super().__init__()
        self.bundle, self.cache = Bundle.open(bundle), Path(cache)
        self.directories = {'train': Path(train), 'val': Path(val)}
        self.zero_shot, self.batch_size, self.pairs, self.slots = (zero_shot, batch_size, pairs,
                                                                   slots)
        self.seed, self.jitter, self.pictures, self.limit = seed, jitter, pictures, limit
        self.images = Path(images) if images else None
        self.splits: Dict[str, HeadSplit] = {}

    def prepare_data(self) -> None:
        """Fill the caches, in one process."""
        self.setup('fit')

    def setup(self, stage: str) -> None:
        """Open both splits."""
        for name, directory in self.directories.items():
            if name not in self.splits:
                dataset = open_dataset(directory, self.limit, self.images,
                                       'train' if name == 'train' else 'test')
                self.unseen = open_split(self.zero_shot, dataset).unseen
                training = name == 'train'
                self.splits[name] = HeadSplit(
                    self.bundle, dataset, self.cache, self.slots,
                    self.pairs if training else VALIDATION_PAIRS,
                    self.unseen if training else None, training, self.pictures)

    def train_dataloader(self) -> DataLoader:
        """Return image indices from the step at which the run stands."""
        trainer, index = self.trainer, self.splits['train'].annotated.nonzero()[:, 0]
        if not len(index):
            raise HoiError(f"{self.directories['train']} has no annotated pair to train on.")
        budget = next((c for c in trainer.callbacks if isinstance(c, Budget)), None)
        steps = budget.steps(self.batch_size * trainer.world_size) if budget else None
        # Lightning cannot see that the sampler goes on where it stopped.
        warnings.filterwarnings('ignore', message='.*your dataloader is not resumable')
        sampler = StepSampler(len(index), self.batch_size, steps or ENDLESS, trainer.global_step,
                              self.seed, trainer.global_rank, trainer.world_size)
        return DataLoader(index, batch_sampler=sampler)

    def val_dataloader(self) -> DataLoader:
        """Return all image indices in order."""
        return DataLoader(torch.arange(self.splits['val'].count), batch_size=self.batch_size)

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> HeadBatch:
        """Turn (B,) image indices into a batch; training sees seen classes only."""
        trainer, training = self.trainer, self.trainer.training
        split = self.splits['train' if training else 'val']
        if training:
            seed_step(self.seed, trainer.global_step, trainer.global_rank)
        with torch.autocast(batch.device.type, enabled=False):
            images = split.pixels(batch)
            if training and self.jitter and self.pictures:
                images = jittered(images, self.jitter)
            module = trainer.lightning_module
            return split.batch(batch, split.normalise(images),
                               module.training_rows if training else module.rows)


def jittered(images: Tensor, strength: float) -> Tensor:
    """
    Return (B, 3, H, W) images in 0..1 with another brightness, contrast and saturation.

    Each factor is drawn per image from 1 - strength .. 1 + strength, in this order (LAIN applies
    them in random order).
    """
    batch = len(images)
    light, contrast, colour = 1 + (torch.rand(3, batch, 1, 1, 1, device=images.device) * 2
                                   - 1) * strength
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    # One affine map per pixel: light * (mean + contrast * (x - mean)), then away from grey.
    mean = (images.mean((2, 3), keepdim=True) * weights).sum(1, keepdim=True)
    images = images * (light * contrast) + light * (1 - contrast) * mean
    grey = (images * weights).sum(1, keepdim=True)
    return (images * colour + grey * (1 - colour)).clamp_(0, 1)
