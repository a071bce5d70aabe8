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

"""Two classifiers of pairs: an MLP on class and geometry, CLIP's image tower on crops."""

from dataclasses import dataclass
from typing import Callable

from hoi_perception.networks.pair_geometry import pair_geometry
from hoi_trainer.baselines.pairs import N_OBJECTS, N_VERBS, Pairs
from hoi_trainer.clip.data import hull, into_window, MEAN, pair_windows, STD
from hoi_trainer.clip.module import build_model
from hoi_trainer.synthetic.dataset import SyntheticSet
from hoi_trainer.training.images import change_colours, cut, ImageStore, window_affine
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional


def geometry(pairs: Pairs) -> Tensor:
    """Return the 36 bounded numbers of `pair_geometry` (P, 36) float32."""
    humans, objects = (torch.from_numpy(boxes) for boxes in (pairs.humans, pairs.objects))
    return pair_geometry(humans, objects, *pairs.size)


class GeometryMlp(nn.Module):
    """Object one-hot and standardised geometry to verb logits."""

    def __init__(self, average: Tensor, deviation: Tensor, width: int = 384) -> None:
        super().__init__()
        self.register_buffer('average', average)
        self.register_buffer('deviation', deviation)
        layers, size = [], N_OBJECTS + len(average)
        for _ in range(3):
            layers += [nn.Linear(size, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(0.1)]
            size = width
        self.layers = nn.Sequential(*layers, nn.Linear(size, N_VERBS))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Map (B, 36) and (B,) to (B, verbs)."""
        features = (features - self.average) / self.deviation
        return self.layers(torch.cat([features, functional.one_hot(labels, N_OBJECTS)], 1))


class CropClassifier(nn.Module):
    """
    A trained CLIP image tower, wholly trainable, that is told which patches the two boxes cover.

    config, state: what `read_weights` returns for weights of `ClipModule`. Verb logits come from
    the class token and the object one-hot.
    """

    def __init__(self, config: dict, state: dict) -> None:
        super().__init__()
        clip = build_model(config)
        clip.load_state_dict(state)
        self.visual = clip.visual
        width = self.visual.class_embedding.shape[0]
        self.boxes = nn.Linear(2, width, bias=False)
        nn.init.zeros_(self.boxes.weight)  # training starts from the tower as it is
        self.head = nn.Sequential(nn.Linear(width + N_OBJECTS, 256), nn.ReLU(), nn.Dropout(0.1),
                                  nn.Linear(256, N_VERBS))

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Map (B, 5, S, S), RGB and the two box masks, and (B,) to (B, verbs)."""
        tokens = self.visual._embeds(inputs[:, :3])
        cover = functional.avg_pool2d(inputs[:, 3:], self.visual.patch_size[0])
        marks = self.boxes(cover.flatten(2).transpose(1, 2))
        tokens = tokens + functional.pad(marks, (0, 0, 1, 0))
        for block in self.visual.transformer.resblocks:
            tokens = block(tokens)
        read = self.visual.ln_post(tokens[:, 0])
        return self.head(torch.cat([read, functional.one_hot(labels, N_OBJECTS)], 1))


def box_masks(boxes: Tensor, size: int) -> Tensor:
    """Return (B, K, S, S) of boxes (B, K, 4) in 0..1: 1 inside."""
    grid = (torch.arange(size, device=boxes.device) + 0.5) / size
    x1, y1, x2, y2 = boxes.unbind(-1)
    across = (grid >= x1[..., None]) & (grid <= x2[..., None])
    down = (grid >= y1[..., None]) & (grid <= y2[..., None])
    return (down[..., :, None] & across[..., None, :]).float()


@dataclass(frozen=True)
class Source:
    """Targets and a function from pair indices (and training or not) to the model's input."""

    pairs: Pairs
    labels: Tensor
    targets: Tensor
    inputs: Callable[[Tensor, bool], Tensor]


def _source(pairs: Pairs, device, inputs) -> Source:
    return Source(pairs, torch.from_numpy(pairs.labels).to(device),
                  torch.from_numpy(pairs.targets).to(device).float(), inputs)


def geometry_source(pairs: Pairs, device) -> Source:
    """Serve the 36 numbers."""
    features = geometry(pairs).to(device)
    return _source(pairs, device, lambda index, training: features[index])


def crop_source(data: SyntheticSet, pairs: Pairs, size: int, device) -> Source:
    """Serve normalised crops of the pair's hull with both box masks, varied in training."""
    store = ImageStore(data.images, device, on_device=False)
    image = torch.from_numpy(pairs.image)
    scale = np.tile(pairs.size, 2).astype(np.float32)
    both = torch.from_numpy(np.stack([pairs.humans, pairs.objects], 1) / scale).to(device)
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (MEAN, STD))

    def inputs(index: Tensor, training: bool) -> Tensor:
        boxes, count = both[index], len(index)
        zoom = 0.1 * torch.rand(count, 1, device=device) * training
        views = pair_windows(hull(boxes[:, 0], boxes[:, 1]), zoom)
        flip = (torch.rand(count, device=device) < 0.5) & training
        pixels = cut(store[image[index]], window_affine(views, flip), (size, size))
        if training:
            pixels = change_colours(pixels)
        masks = box_masks(into_window(boxes, views, flip), size)
        return torch.cat([(pixels - mean) / std, masks], 1)

    return _source(pairs, device, inputs)
