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
A convolutional classifier of pair crops: one backbone per image, crops of its fine features.

The crops of all pairs of an image are cut from one feature map at stride 4, so that a pair costs
a small part of what a network on its own crop of pixels would.
"""

from pathlib import Path
from typing import List, NamedTuple, Sequence, Tuple

from hoi_perception.networks.dense_detector import (
    DenseDetector,
    DenseDetectorConfig,
    fused_features,
    pixel_features,
    PROTOTYPE_STRIDE,
)
from hoi_perception.networks.pair_geometry import NUMBERS, pair_geometry
from hoi_trainer.baselines.body_parts import parts_loss, RARE
from hoi_trainer.baselines.geometry import GeometryMlp, verb_loss
from hoi_trainer.baselines.pairs import N_OBJECTS, N_VERBS
from hoi_trainer.synthetic.people import PARTS
from hoi_trainer.training.weights import read_weights
import torch
from torch import nn, Tensor
from torch.nn import functional

CROP = 14
SAMPLES = 4
"""Bilinear samples per cell of a crop and axis."""
PARTS_WEIGHT = 0.1
TRAINED_SHARE = 0.2


class CropInputs(NamedTuple):
    """
    Images and their pairs, ordered by image.

    images: (B, 3, H, W) normalised, of the network's size. counts: pairs of each image, sum P.
    humans, objects: (P, 4) boxes in pixels of the network image. parts: (B, M, 3) as
    `padded_parts` has them.
    """

    images: Tensor
    counts: Sequence[int]
    humans: Tensor
    objects: Tensor
    parts: Tensor


def read_detector(path: Path) -> DenseDetector:
    """Return a trained detector with its normalisation folded in, ready to be trained on."""
    config, state = read_weights(path)
    network = DenseDetector(DenseDetectorConfig.from_mapping(config))
    network.load_state_dict(state)
    return network.fold_normalisation().train()


class FineFeatures(nn.Module):
    """The part of a detector that leads to the features of its prototypes, at stride 4."""

    def __init__(self, detector: DenseDetector) -> None:
        super().__init__()
        self.stem, self.stages, self.laterals = detector.stem, detector.stages, detector.laterals
        self.pixel_top, self.pixel_lateral = detector.pixel_top, detector.pixel_lateral
        self.pixel_head = detector.pixel_head
        self.width = detector.config.widths[2]

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, width, H / 4, W / 4); as in `DenseDetector.dense`."""
        return pixel_features(self, *fused_features(self, images))


def axis_weights(low: Tensor, high: Tensor, length: int, size: int = CROP) -> Tensor:
    """
    Return (P, size, length): how much each of `length` samples adds to each cell from low to high.

    low, high: (P,) in samples, whose centres are at 0.5, 1.5 and so on. Cells outside repeat the
    edge.
    """
    steps = (torch.arange(size * SAMPLES, device=low.device) + 0.5) / (size * SAMPLES)
    places = low[:, None] + steps * (high - low)[:, None] - 0.5
    distance = places.clamp(0, length - 1)[..., None] - torch.arange(length, device=low.device)
    return (1 - distance.abs()).clamp(min=0).unflatten(1, (size, SAMPLES)).mean(2)


def crop_features(features: Tensor, counts: Sequence[int], boxes: Tensor) -> Tensor:
    """
    Return (P, C, CROP, CROP) cut from (B, C, h, w) by (P, 4) boxes in cells, ordered by image.

    RoIAlign (arXiv:1703.06870) as two matrix products, one per axis: its gradient took torchvision
    a third of a step on a CPU.
    """
    height, width = features.shape[2:]
    x1, y1, x2, y2 = boxes.unbind(1)
    down = axis_weights(y1, y2, height).to(features.dtype)
    across = axis_weights(x1, x2, width).to(features.dtype)
    bands = torch.cat([(rows.flatten(0, 1) @ image.flatten(1)).view(-1, CROP, *image.shape[1:])
                       for rows, image in zip(down.split(counts), features.permute(0, 2, 3, 1))])
    return (across[:, None] @ bands).permute(0, 3, 1, 2)


def box_cover(boxes: Tensor, views: Tensor) -> Tensor:
    """Return (P, K, CROP, CROP), 1 in cells whose centre is in a box; boxes (P, K, 4)."""
    grid = (torch.arange(CROP, device=boxes.device) + 0.5) / CROP
    low, size = views[:, None, :2], views[:, None, 2:] - views[:, None, :2]
    first, second = (boxes[..., :2] - low) / size, (boxes[..., 2:] - low) / size
    inside = (grid >= first[..., None]) & (grid <= second[..., None])
    return (inside[..., 1, :, None] & inside[..., 0, None, :]).float()


def grown(boxes: Tensor, share: float, least: float) -> Tensor:
    """Return (P, 4) boxes with a margin of `share` of their sides and of at least `least`."""
    margin = ((boxes[:, 2:] - boxes[:, :2]) * share).clamp(min=least)
    return torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], 1)


def pair_views(humans: Tensor, objects: Tensor) -> Sequence[Tensor]:
    """Return the hull of each pair, the human and the object with what is around it, (P, 4)."""
    hull = torch.cat([torch.minimum(humans, objects)[:, :2],
                      torch.maximum(humans, objects)[:, 2:]], 1)
    return grown(hull, 0.05, 4.0), grown(humans, 0.1, 4.0), grown(objects, 0.3, 12.0)


class PairCropClassifier(nn.Module):
    """
    A trained detector's features, read in three views of each pair, added to what geometry says.

    Each view tells which cells the two boxes cover and where body parts seem to be; the object
    one-hot and the 36 numbers come along. Training starts from the verdict of a trained
    perceptron; all of it is trainable.
    """

    def __init__(self, detector: DenseDetector, geometry: GeometryMlp, width: int = 256) -> None:
        super().__init__()
        self.image_size: Tuple[int, int] = detector.config.image_size
        self.backbone = FineFeatures(detector)
        self.geometry = geometry
        self.parts = nn.Conv2d(self.backbone.width, len(PARTS), 1)
        nn.init.constant_(self.parts.bias, RARE)
        channels = self.backbone.width + len(PARTS) + 2
        self.views = nn.ModuleList(_reader(channels, width) for _ in range(3))
        self.head = nn.Sequential(
            nn.Linear(3 * width + NUMBERS + N_OBJECTS, width), nn.LayerNorm(width), nn.ReLU(),
            nn.Dropout(0.1), nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(),
            nn.Dropout(0.1))
        self.verbs = nn.Linear(width, N_VERBS)
        nn.init.zeros_(self.verbs.weight)
        nn.init.zeros_(self.verbs.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, inputs: CropInputs, labels: Tensor) -> Tensor:
        """Map P pairs and their object classes (P,) to (P, verbs)."""
        return self._verbs_and_parts(inputs, labels)[0]

    def groups(self) -> List[dict]:
        """Return the parameters with their share of the rate: what is trained moves slowly."""
        trained = [*self.backbone.parameters(), *self.geometry.parameters()]
        known = set(map(id, trained))
        return [{'params': trained, 'share': TRAINED_SHARE},
                {'params': [p for p in self.parameters() if id(p) not in known], 'share': 1.0}]

    def loss(self, inputs: CropInputs, labels: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of verbs (P, verbs) and body parts."""
        verbs, parts = self._verbs_and_parts(inputs, labels)
        return verb_loss(verbs, labels, targets) + PARTS_WEIGHT * parts_loss(
            parts.float(), inputs.parts)

    def _verbs_and_parts(self, inputs: CropInputs, labels: Tensor) -> Tuple[Tensor, Tensor]:
        features = self.backbone(inputs.images)
        parts = self.parts(features)
        features = torch.cat([features, parts.sigmoid()], 1)
        both = torch.stack([inputs.humans, inputs.objects], 1)
        seen = []
        for read, view in zip(self.views, pair_views(inputs.humans, inputs.objects)):
            crops = crop_features(features, inputs.counts, view / PROTOTYPE_STRIDE)
            cover = box_cover(both, view).to(crops.dtype)
            seen.append(read(torch.cat([crops, cover], 1)))
        height, width = self.image_size
        numbers = pair_geometry(inputs.humans, inputs.objects, width, height)
        read = self.head(torch.cat([*seen, self.geometry.standardised(numbers),
                                    functional.one_hot(labels, N_OBJECTS)], 1))
        return self.geometry(numbers, labels) + self.verbs(read), parts


def _reader(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 96, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(96, 96, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(96 * (CROP // 2) ** 2, outputs), nn.ReLU())
