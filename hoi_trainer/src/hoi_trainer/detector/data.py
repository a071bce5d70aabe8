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

"""Synthetic scenes as batches for the dense detector, augmented on the device."""

from pathlib import Path
from typing import NamedTuple, Optional, Tuple

from hoi_perception.networks.dense_detector import PROTOTYPE_STRIDE
from hoi_trainer.detector.assignment import Targets
from hoi_trainer.synthetic import load
from hoi_trainer.training.images import (
    change_colours,
    cut,
    cut_map,
    ImageStore,
    random_windows,
    window_affine,
)
from lightning.pytorch import LightningDataModule
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

INSTANCES = 16
"""Padded number of instances per image; more than any synthetic scene holds."""


class DetectorBatch(NamedTuple):
    """Images (B, 3, H, W) in 0..1, not yet normalised, and their targets."""

    images: Tensor
    targets: Targets


def padded_labels(scenes, limit: Optional[int] = None) -> np.ndarray:
    """Return (N, INSTANCES) int64 class indices, -1 where a scene has fewer instances."""
    scenes = scenes[:limit]
    labels = np.full((len(scenes), INSTANCES), -1, dtype=np.int64)
    for row, scene in zip(labels, scenes):
        count = min(len(scene.labels), INSTANCES)
        row[:count] = scene.labels[:count]
    return labels


def targets_of(maps: Tensor, labels: Tensor, minimum_area: int = 12) -> Targets:
    """
    Return boxes and masks of what is visible in transformed instance maps.

    maps: (B, H, W) uint8, 0 background, i + 1 for instance i. labels: (B, G) int64, -1 padding. An
    instance of fewer than `minimum_area` visible pixels is left out.
    """
    batch, height, width = maps.shape
    index = torch.arange(1, labels.shape[1] + 1, device=maps.device, dtype=torch.uint8)
    single = maps[:, None] == index[:, None, None]
    cell = PROTOTYPE_STRIDE
    # The corners of each cell stand for all of it: a quarter of the work, and no bias.
    corners = single.unflatten(-1, (-1, cell))[..., ::cell - 1]
    corners = corners.unflatten(-3, (-1, cell))[..., ::cell - 1, :, :]
    masks = corners.float().mean((-1, -3))
    valid = (masks.sum((-1, -2)) * cell ** 2 >= minimum_area) & (labels >= 0)

    def extent(line: Tensor) -> Tuple[Tensor, Tensor]:
        line = line.to(torch.uint8)
        return line.argmax(-1), line.shape[-1] - line.flip(-1).argmax(-1)

    x1, x2 = extent(single.any(-2))
    y1, y2 = extent(single.any(-1))
    boxes = torch.stack((x1, y1, x2, y2), dim=-1).float()
    boxes = torch.where(valid[..., None], boxes, torch.zeros_like(boxes))
    labels = labels.clamp(min=0)
    lookup = torch.cat((torch.zeros_like(labels[:, :1]), labels + 1), dim=1)
    coarse = maps[:, cell // 2::cell, cell // 2::cell].long().clamp(max=labels.shape[1])
    semantic = lookup.gather(1, coarse.flatten(1)).view_as(coarse)
    return Targets(boxes, labels, valid, masks, semantic)


class DetectorData(LightningDataModule):
    """
    Batches of synthetic scenes.

    train, val: directories written by `hoi-trainer synth`. on_device: copy images and instance
    maps to the training device once (0.7 MB per scene). augment: random crops, flips and colours.
    limit: use only the first scenes.
    """

    def __init__(self, train: str, val: str, batch_size: int = 32, on_device: bool = False,
                 augment: bool = True, image_size: Tuple[int, int] = (256, 320),
                 limit: Optional[int] = None) -> None:
        super().__init__()
        self.directories = {'train': Path(train), 'val': Path(val)}
        self.batch_size, self.on_device, self.augment = batch_size, on_device, augment
        self.image_size, self.limit = tuple(image_size), limit
        self.stores = {}

    def setup(self, stage: str) -> None:
        """Open the splits and, if asked, copy them to the device."""
        device = self.trainer.strategy.root_device
        for split, directory in self.directories.items():
            if split not in self.stores:
                data = load(directory)
                self.stores[split] = (
                    ImageStore(data.images[:self.limit], device, self.on_device),
                    ImageStore(data.instance_maps[:self.limit], device, self.on_device),
                    torch.from_numpy(padded_labels(data.scenes, self.limit)).to(device))

    def _loader(self, split: str, shuffle: bool) -> DataLoader:
        count = len(self.stores[split][2])
        return DataLoader(range(count), batch_size=min(self.batch_size, count), shuffle=shuffle,
                          drop_last=shuffle)

    def train_dataloader(self) -> DataLoader:
        """Return shuffled scene indices; pixels follow in `on_after_batch_transfer`."""
        return self._loader('train', shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return scene indices in order."""
        return self._loader('val', shuffle=False)

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> DetectorBatch:
        """Turn (B,) scene indices into images and targets."""
        training = self.trainer.training
        pixels, maps, labels = self.stores['train' if training else 'val']
        return self.make(pixels[batch], maps[batch], labels[batch.to(labels.device)],
                         training and self.augment)

    def make(self, pixels: Tensor, maps: Tensor, labels: Tensor, augment: bool) -> DetectorBatch:
        """Return a batch from (B, H, W, 3) and (B, H, W) uint8 and (B, G) labels."""
        count, device = len(pixels), pixels.device
        if augment:
            windows = random_windows(count, device)
            flip = torch.rand(count, device=device) < 0.5
        else:
            windows = torch.tensor([0.0, 0.0, 1.0, 1.0], device=device).expand(count, 4)
            flip = torch.zeros(count, dtype=torch.bool, device=device)
        theta = window_affine(windows, flip)
        with torch.autocast(device.type, enabled=False):
            images = cut(pixels, theta, self.image_size)
            if augment:
                images = change_colours(images)
            targets = targets_of(cut_map(maps, theta, self.image_size), labels)
        return DetectorBatch(images, targets)
