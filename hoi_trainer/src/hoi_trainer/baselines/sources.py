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

"""Batches of ground-truth pairs: their numbers, or the images that they are in."""

from dataclasses import replace
from typing import Iterator, Protocol, Sequence, Tuple

from hoi_trainer.baselines.body_parts import mirrored_parts, padded_parts
from hoi_trainer.baselines.geometry import geometry
from hoi_trainer.baselines.pair_crops import CropInputs
from hoi_trainer.baselines.pairs import Pairs
from hoi_trainer.synthetic.dataset import SyntheticSet
from hoi_trainer.training.images import cut, ImageStore, window_affine
import numpy as np
import torch
from torch import Tensor


def mirrored(boxes: Tensor, width: float) -> Tensor:
    """Return (P, 4) boxes in an image of that width turned left to right."""
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.stack([width - x2, y1, width - x1, y2], 1)


def image_weights(pairs: Pairs, of_image: Sequence[np.ndarray]) -> np.ndarray:
    """
    Return how readily each image is drawn: one where nothing happens 0.5, others 1 to 4.

    The rarer the combination of verb and object, the more, as the mean of their AP counts all
    alike. of_image: indices of the pairs of each image.
    """
    counts = np.zeros((pairs.labels.max() + 1, pairs.targets.shape[1]))
    np.add.at(counts, pairs.labels, pairs.targets)
    common = np.median(counts[counts > 0]) if counts.any() else 1.0
    rarity = np.sqrt(4 * common / np.maximum(counts, 1)).clip(1, 4)
    of_pair = (rarity[pairs.labels] * pairs.targets).max(1)
    return np.array([max(of_pair[rows].max(), 0.5) for rows in of_image])


class Source(Protocol):
    """Pairs with labels (P,) and targets (P, verbs), and where a model's input comes from."""

    pairs: Pairs
    labels: Tensor
    targets: Tensor

    def epoch(self) -> Iterator[Tensor]:
        """Yield the indices of one pass of training, batch by batch."""

    def in_order(self) -> Iterator[Tensor]:
        """Yield all indices in order, batch by batch."""

    def inputs(self, index: Tensor, training: bool):
        """Return what the model reads beside the labels, varied in training."""


class GeometrySource:
    """
    The 36 numbers of pairs, in training of half of them turned left to right.

    An epoch has all positive pairs and `negatives` times as many others, drawn anew.
    """

    def __init__(self, pairs: Pairs, device, batch: int = 256, negatives: float = 3.0) -> None:
        self.pairs, self.batch, self.negatives = pairs, batch, negatives
        self.labels = torch.from_numpy(pairs.labels).to(device)
        self.targets = torch.from_numpy(pairs.targets).to(device).float()
        turned = replace(pairs, **{
            name: mirrored(torch.from_numpy(getattr(pairs, name)), pairs.size[0]).numpy()
            for name in ('humans', 'objects')})
        self.numbers = torch.stack([geometry(pairs), geometry(turned)]).to(device)

    def epoch(self) -> Iterator[Tensor]:
        """Yield shuffled batches of pairs."""
        acts = self.targets.any(1)
        positive, others = acts.nonzero()[:, 0], (~acts).nonzero()[:, 0]
        drawn = torch.randperm(len(others), device=others.device)
        order = torch.cat([positive, others[drawn[:int(self.negatives * len(positive))]]])
        order = order[torch.randperm(len(order), device=order.device)]
        return iter(order.split(self.batch))

    def in_order(self) -> Iterator[Tensor]:
        """Yield all indices in order."""
        return iter(torch.arange(len(self.pairs), device=self.labels.device).split(1024))

    def inputs(self, index: Tensor, training: bool) -> Tensor:
        """Return (B, 36)."""
        return self.numbers[torch.randint_like(index, 2) * training, index]


class CropSource:
    """
    Images of the network's size (height, width) with their pairs.

    An epoch has `epoch_images` of the images with pairs, drawn by `image_weights`, and of each all
    positive pairs and up to `negatives` others. images: per batch.
    """

    def __init__(self, data: SyntheticSet, pairs: Pairs, size: Tuple[int, int], mean, std, device,
                 images: int = 16, negatives: int = 6, epoch_images: int = 4000) -> None:
        self.pairs, self.size, self.images, self.negatives = pairs, size, images, negatives
        self.device = torch.device(device)
        self.store = ImageStore(data.images, device, on_device=False)
        self.parts = padded_parts(data.scenes).to(device)
        self.labels = torch.from_numpy(pairs.labels).to(device)
        self.targets = torch.from_numpy(pairs.targets).to(device).float()
        scale = np.tile(np.array(size[::-1]) / pairs.size, 2).astype(np.float32)
        self.humans, self.objects = (torch.from_numpy(boxes * scale).to(device)
                                     for boxes in (pairs.humans, pairs.objects))
        self.mean, self.std = (torch.tensor(v, device=device)[:, None, None] for v in (mean, std))
        present, first = np.unique(pairs.image, return_index=True)
        self.of_image = np.split(np.arange(len(pairs)), first[1:])
        self.epoch_images = min(epoch_images, len(present))
        self.weights = torch.from_numpy(image_weights(pairs, self.of_image))

    def epoch(self) -> Iterator[Tensor]:
        """Yield the pairs of shuffled batches of images, ordered by image."""
        acts = self.pairs.targets.any(1)
        order = torch.multinomial(self.weights, self.epoch_images).tolist()
        for start in range(0, len(order), self.images):
            rows = []
            for image in order[start:start + self.images]:
                mine = self.of_image[image]
                others = mine[~acts[mine]]
                drawn = torch.randperm(len(others))[:self.negatives].numpy()
                rows += [mine[acts[mine]], others[drawn]]
            yield torch.from_numpy(np.concatenate(rows)).to(self.device)

    def in_order(self) -> Iterator[Tensor]:
        """Yield all indices in order."""
        for start in range(0, len(self.of_image), self.images):
            rows = np.concatenate(self.of_image[start:start + self.images])
            yield torch.from_numpy(rows).to(self.device)

    def inputs(self, index: Tensor, training: bool) -> CropInputs:
        """Return the images and boxes of pairs ordered by image; in training flipped, coloured."""
        image, counts = torch.unique_consecutive(
            torch.from_numpy(self.pairs.image[index.cpu().numpy()]), return_counts=True)
        count = len(image)
        flip = (torch.rand(count, device=self.device) < 0.5) & training
        whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=self.device).expand(count, 4)
        pixels = cut(self.store[image], window_affine(whole, flip), self.size)
        if training:
            pixels = pixels * self._draw(count, 0.2, 1) * self._draw(count, 0.1, 3)
            pixels = pixels + self._draw(count, 0.1, 1) - 1
        parts = self.parts[image.to(self.device)]
        parts = torch.where(flip[:, None, None], mirrored_parts(parts), parts)
        flip = flip.repeat_interleave(counts.to(self.device))[:, None]
        humans, objects = (torch.where(flip, mirrored(boxes, self.size[1]), boxes)
                           for boxes in (self.humans[index], self.objects[index]))
        pixels = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return CropInputs(pixels, counts.tolist(), humans, objects, parts)

    def _draw(self, count: int, spread: float, channels: int) -> Tensor:
        return 1 + spread * (2 * torch.rand(count, channels, 1, 1, device=self.device) - 1)
