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

"""Whole images with their labels as training batches, the same after an interruption."""

from dataclasses import replace
import math
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Tuple
import warnings

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.hico_classification import POSITIVE
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.image_classification.labels import LabelledImages, open_labelled
from hoi_trainer.image_classification.sampling import oversampled
from hoi_trainer.interaction.data_module import ENDLESS
from hoi_trainer.interaction.detections_cache import cached_images
from hoi_trainer.training.budget import Budget
from hoi_trainer.training.images import cut, window_affine
from hoi_trainer.training.steps import seed_step, StepSampler
from lightning.pytorch import LightningDataModule
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader


class ImageBatch(NamedTuple):
    """images: (B, 3, S, S) in 0..1. shown: (B, C) float, 1 where the image shows the class."""

    images: Tensor
    shown: Tensor


class ImageSplit:
    """
    One split: pictures of one size, resized as at run time (shape is not kept), and labels.

    labels: (N, C) int8, see `labels`. shown: (N, C) bool.
    """

    def __init__(self, bundle: Bundle, found: LabelledImages, cache: Path,
                 image_size: Optional[int] = None) -> None:
        self.dataset, self.labels = found
        self.shown = torch.from_numpy(self.labels == POSITIVE)
        self.images = cached_images(with_image_size(bundle, image_size), self.dataset, cache)

    def rows(self, index: Tensor) -> Tensor:
        """Return (B, 3, S, S) uint8 pictures of (B,) indices."""
        return torch.from_numpy(np.ascontiguousarray(self.images[index.cpu().numpy()]))


def with_image_size(bundle: Bundle, size: Optional[int]) -> Bundle:
    """Return the bundle as if its CLIP took images of another size, for caches only."""
    if size is None:
        return bundle
    clip = bundle.spec.clip
    image = clip.preprocessing.model_copy(update={'height': size, 'width': size})
    return replace(bundle, spec=bundle.spec.model_copy(update={
        'clip': clip.model_copy(update={'preprocessing': image})}))


def random_crops(count: int, scale: Tuple[float, float] = (0.7, 1.0),
                 ratio: Tuple[float, float] = (0.7, 1.3)) -> Tensor:
    """
    Return (count, 4) windows in 0..1 of the image.

    scale: share of the area. ratio: width to height, of the picture as the network sees it; a
    side that would be longer than the image is cut to it.
    """
    area = torch.empty(count).uniform_(*scale)
    shape = torch.empty(count).uniform_(math.log(ratio[0]), math.log(ratio[1])).exp()
    size = torch.stack([(area * shape).sqrt(), (area / shape).sqrt()], 1).clamp(max=1.0)
    low = torch.rand(count, 2) * (1 - size)
    return torch.cat([low, low + size], 1)


def changed_light(images: Tensor, strength: float) -> Tensor:
    """Return (B, 3, H, W) images in 0..1 with brightness, then contrast, times 1 +- strength."""
    light, contrast = 1 + (torch.rand(2, len(images), 1, 1, 1, device=images.device) * 2
                           - 1) * strength
    images = (images * light).clamp(0, 1)
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    mean = (images.mean((2, 3), keepdim=True) * weights).sum(1, keepdim=True)
    return (mean + contrast * (images - mean)).clamp(0, 1)


def augmented(pictures: Tensor, jitter: float) -> Tensor:
    """
    Return (B, 3, S, S) in 0..1, cropped, mirrored every other time, in another light.

    pictures: (B, 3, S, S) uint8 on the CPU. Labels stay as they are, as in DEFR, although a crop
    may cut off what they name.
    """
    count, side = len(pictures), tuple(pictures.shape[-2:])
    windows, flip = random_crops(count), torch.rand(count) < 0.5
    rows = pictures.permute(0, 2, 3, 1).contiguous()
    return changed_light(cut(rows, window_affine(windows, flip), side), jitter)


class ImageData(LightningDataModule):
    """
    Pictures and labels of two splits, rare classes more often.

    bundle: gives sizes and the wording of classes. train, val: directories of synthetic splits,
    annotation files of HICO-DET, or HICO's `anno_hico_classification.mat` for both; images: the
    directory of their photos. cache: directory for the small pictures. batch_size: per process.
    least: times that every class is shown per epoch, if need be by repeating images; 0 = as they
    come. jitter: of brightness and contrast. image_size: None = that of the bundle's CLIP. seed:
    of order and augmentation. limit: use only the first images of the training split.
    """

    def __init__(self, bundle: str, train: str, val: str, cache: str, batch_size: int = 32,
                 least: int = 40, jitter: float = 0.4, image_size: Optional[int] = None,
                 seed: int = 0, limit: Optional[int] = None,
                 images: Optional[str] = None) -> None:
        super().__init__()
        self.bundle, self.cache = Bundle.open(bundle), Path(cache)
        self.directories = {'train': Path(train), 'val': Path(val)}
        self.batch_size, self.least, self.jitter, self.seed = batch_size, least, jitter, seed
        self.image_size, self.limit = image_size, limit
        self.images = Path(images) if images else None
        self.splits: Dict[str, ImageSplit] = {}

    def prepare_data(self) -> None:
        """Fill the caches, in one process."""
        self.setup('fit')

    def setup(self, stage: str) -> None:
        """Open both splits."""
        for name, path in self.directories.items():
            if name not in self.splits:
                training = name == 'train'
                found = open_labelled(path, self.limit if training else None, self.images,
                                      'train' if training else 'test')
                self.splits[name] = ImageSplit(self.bundle, found, self.cache, self.image_size)

    def train_dataloader(self) -> DataLoader:
        """Return image indices from the step at which the run stands."""
        trainer, split = self.trainer, self.splits['train']
        if not split.shown.any():
            raise HoiError(f"{self.directories['train']} shows no HOI class to train on.")
        index = torch.from_numpy(oversampled(split.shown.numpy(), self.least))
        budget = next((c for c in trainer.callbacks if isinstance(c, Budget)), None)
        steps = budget.steps(self.batch_size * trainer.world_size) if budget else None
        # Lightning cannot see that the sampler goes on where it stopped.
        warnings.filterwarnings('ignore', message='.*your dataloader is not resumable')
        return DataLoader(index, batch_sampler=StepSampler(
            len(index), self.batch_size, steps or ENDLESS, trainer.global_step, self.seed,
            trainer.global_rank, trainer.world_size))

    def val_dataloader(self) -> DataLoader:
        """Return all image indices in order."""
        return DataLoader(torch.arange(len(self.splits['val'].labels)),
                          batch_size=self.batch_size)

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> ImageBatch:
        """Turn (B,) image indices into pictures and labels."""
        trainer, device, index = self.trainer, batch.device, batch.cpu()
        split = self.splits['train' if trainer.training else 'val']
        pictures = split.rows(index)
        if trainer.training:
            seed_step(self.seed, trainer.global_step, trainer.global_rank)
            images = augmented(pictures, self.jitter)
        else:
            images = pictures.float() / 255
        return ImageBatch(images.to(device), split.shown[index].float().to(device))
