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
A small convolutional detector with instance masks for cameras without an accelerator.

One location per 8 x 8 pixels predicts class scores, four box distances (FCOS, arXiv:1904.01355)
and mask coefficients over prototypes shared by the image (YOLACT, arXiv:1904.02689). Every
prediction is a linear map of one feature per location, the `query`, so that query and prototypes
also serve as instance query and pixel embedding of a mask transformer. Duplicates are thinned by
keeping local peaks of the class map (CenterNet, arXiv:1904.07850), then by the caller's
non-maximum suppression; shapes are fixed, so the network can be exported.
"""

from dataclasses import asdict, dataclass, fields
import math
from typing import Any, Mapping, NamedTuple, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.detection import Detections
import torch
from torch import nn, Tensor
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDE = 8
PROTOTYPE_STRIDE = 4


@dataclass(frozen=True)
class DenseDetectorConfig:
    """
    Architecture and preprocessing of a `DenseDetector`.

    image_size: (height, width) of the network image, multiples of 32. widths: channels after the
    stem (stride 2) and of the stages at stride 4, 8, 16, 32. depths: residual blocks of the four
    stages. head_width: length of a query. masks: number of prototypes. mean, std: of RGB in 0..1.
    """

    classes: int = 13
    image_size: Tuple[int, int] = (256, 320)
    widths: Tuple[int, ...] = (24, 32, 64, 128, 192)
    depths: Tuple[int, ...] = (1, 2, 2, 1)
    head_width: int = 128
    head_depth: int = 3
    masks: int = 24
    top_k: int = 64
    mean: Tuple[float, ...] = (0.5, 0.5, 0.5)
    std: Tuple[float, ...] = (0.25, 0.25, 0.25)

    def __post_init__(self) -> None:
        """Refuse sizes that the strides do not divide and lists of the wrong length."""
        if len(self.image_size) != 2 or any(side <= 0 or side % 32 for side in self.image_size):
            raise BundleError(
                f'detector image_size must be two positive multiples of 32, got {self.image_size}')
        if len(self.widths) != 5 or len(self.depths) != 4:
            raise BundleError(
                'detector widths must list 5 channel counts and depths 4 block counts, got '
                f'{self.widths} and {self.depths}')

    def to_mapping(self) -> dict:
        """Return the configuration as plain lists and numbers."""
        return {key: list(value) if isinstance(value, tuple) else value
                for key, value in asdict(self).items()}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> 'DenseDetectorConfig':
        """Read what `to_mapping` wrote; unknown keys raise `BundleError`."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(mapping) - known)
        if unknown:
            raise BundleError(f'unknown dense detector settings {unknown}; known: {sorted(known)}')
        return cls(**{key: tuple(value) if isinstance(value, (list, tuple)) else value
                      for key, value in mapping.items()})


class DensePredictions(NamedTuple):
    """
    Raw output per location, before the choice of instances.

    class_logits: (B, C, h, w). distances: (B, 4, h, w) left, top, right, bottom in network pixels.
    coefficients: (B, M, h, w). queries: (B, D, h, w). prototypes: (B, M, 2h, 2w). pixels:
    (B, E, 2h, 2w), the feature that the prototypes are read from.
    """

    class_logits: Tensor
    distances: Tensor
    coefficients: Tensor
    queries: Tensor
    prototypes: Tensor
    pixels: Tensor


class ConvNorm(nn.Module):
    """Convolution, batch normalisation and an optional rectifier."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1,
                 rectify: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU() if rectify else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h / stride, w / stride)."""
        return self.act(self.norm(self.conv(x)))

    def fold(self) -> None:
        """Fold the normalisation into the convolution; for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = ConvNorm(width, width, rectify=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of x."""
        return functional.relu(x + self.second(self.first(x)))


def fused_features(parts: Any, images: Tensor) -> Tuple[Tensor, Tensor]:
    """
    Return the feature maps of (B, 3, H, W) images at stride 8, all scales together, and stride 4.

    parts: a `DenseDetector`, or a module with its layers of the same names.
    """
    features = []
    x = parts.stem(images)
    for stage in parts.stages:
        x = stage(x)
        features.append(x)
    fine, *coarse = features
    fused = parts.laterals[-1](coarse[-1])
    for lateral, feature in zip(reversed(parts.laterals[:-1]), reversed(coarse[:-1])):
        fused = lateral(feature) + functional.interpolate(fused, scale_factor=2.0)
    return functional.relu(fused), fine


def pixel_features(parts: Any, fused: Tensor, fine: Tensor) -> Tensor:
    """Return the features of the prototypes, (B, D, H / 4, W / 4), from `fused_features`."""
    pixels = functional.interpolate(parts.pixel_top(fused), scale_factor=2.0, mode='bilinear')
    return parts.pixel_head(functional.relu(pixels + parts.pixel_lateral(fine)))


class DenseDetector(nn.Module):
    """
    Normalised RGB images to `Detections`.

    `forward` is inference; training reads `dense`. Both need images of `config.image_size`.
    """

    def __init__(self, config: DenseDetectorConfig = DenseDetectorConfig()) -> None:
        super().__init__()
        self.config = config
        stem, *widths = config.widths
        self.stem = ConvNorm(3, stem, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNorm(before, width, stride=2),
                          *(ResidualBlock(width) for _ in range(depth)))
            for before, width, depth in zip((stem, *widths), widths, config.depths))
        width, pixel_width = config.head_width, config.widths[2]
        self.laterals = nn.ModuleList(
            ConvNorm(channels, width, kernel=1, rectify=False) for channels in widths[1:])
        self.head = nn.Sequential(*(ConvNorm(width, width) for _ in range(config.head_depth)))
        self.classify = nn.Conv2d(width, config.classes, 1)
        self.regress = nn.Conv2d(width, 4, 1)
        self.embed = nn.Conv2d(width, config.masks, 1)
        self.pixel_top = ConvNorm(width, pixel_width)
        self.pixel_lateral = ConvNorm(widths[0], pixel_width, kernel=1, rectify=False)
        self.pixel_head = ConvNorm(pixel_width, pixel_width)
        self.prototype = nn.Conv2d(pixel_width, config.masks, 1)
        self.register_buffer('centres', location_centres(config.image_size), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        for head in (self.classify, self.regress, self.embed, self.prototype):
            nn.init.normal_(head.weight, std=0.01 if head is self.classify else 0.03)
            nn.init.zeros_(head.bias)
        # Rare positives: start near a score of 0.01 (focal loss, arXiv:1708.02002, section 4.1),
        # and with boxes of the size of a typical object.
        nn.init.constant_(self.classify.bias, -math.log(99))
        nn.init.constant_(self.regress.bias, math.log(3))
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.second.norm.weight)

    @property
    def query_dim(self) -> int:
        """Length of a query."""
        return self.config.head_width

    @property
    def pixel_dim(self) -> int:
        """Channels of the pixel embedding: the prototypes."""
        return self.config.masks

    def dense(self, images: Tensor) -> DensePredictions:
        """Return the predictions of every location for (B, 3, H, W) normalised images."""
        if tuple(images.shape[-2:]) != tuple(self.config.image_size):
            raise BundleError(
                f'the dense detector needs images of {tuple(self.config.image_size)} (height, '
                f'width), got {tuple(images.shape[-2:])}; resize before')
        fused, fine = fused_features(self, images)
        queries = self.head(fused)
        pixels = pixel_features(self, fused, fine)
        distances = self.regress(queries).clamp(max=6.0).exp() * STRIDE
        return DensePredictions(self.classify(queries), distances, self.embed(queries), queries,
                                self.prototype(pixels), pixels)

    def forward(self, images: Tensor) -> Detections:
        """Return the `top_k` best local peaks of (B, 3, H, W) normalised images."""
        dense = self.dense(images)
        locations = self.centres.shape[0]
        scores = dense.class_logits.sigmoid()
        peaks = functional.max_pool2d(scores, 3, stride=1, padding=1)
        scores = torch.where(scores < peaks, torch.zeros_like(scores), scores)
        scores, index = scores.flatten(1).topk(self.config.top_k)
        location = index % locations

        def pick(values: Tensor) -> Tensor:
            values = values.flatten(2).transpose(1, 2)
            return values.gather(1, location[..., None].expand(-1, -1, values.shape[-1]))

        height, width = self.config.image_size
        boxes = boxes_of(pick(dense.distances), self.centres[location])
        boxes = boxes / boxes.new_tensor([width, height, width, height])
        labels = torch.div(index, locations, rounding_mode='floor')
        return Detections(boxes.clamp(0.0, 1.0), scores, labels, pick(dense.queries),
                          pick(dense.coefficients), dense.prototypes)

    def fold_normalisation(self) -> 'DenseDetector':
        """Fold batch normalisation into the convolutions, in place, for inference."""
        self.eval()
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()
        return self


def location_centres(image_size: Tuple[int, int]) -> Tensor:
    """Return the centre (x, y) in network pixels of each location, (h * w, 2), row by row."""
    height, width = image_size
    y, x = torch.meshgrid(torch.arange(height // STRIDE), torch.arange(width // STRIDE),
                          indexing='ij')
    return (torch.stack((x, y), dim=-1).flatten(0, 1).float() + 0.5) * STRIDE


def boxes_of(distances: Tensor, centres: Tensor) -> Tensor:
    """Turn distances (..., N, 4) to the sides into boxes (x1, y1, x2, y2) around (..., N, 2)."""
    return torch.cat((centres - distances[..., :2], centres + distances[..., 2:]), dim=-1)
