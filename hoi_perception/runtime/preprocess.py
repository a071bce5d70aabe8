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

"""Camera images to network inputs, and boxes back."""

from typing import List, NamedTuple, Sequence, Tuple

from hoi_perception.core.errors import FrameError
from hoi_perception.runtime.bundle import ImageSpec
import numpy as np
from PIL import Image
import torch
from torch import nn, Tensor
from torch.nn.functional import interpolate

MAX_SIDE = 32768


class Placement(NamedTuple):
    """
    Where the source image lies in the network image.

    A source pixel (x, y) lies at (x * scale_x + offset_x, y * scale_y + offset_y) in network
    pixels. width, height: size of the network image in pixels.
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    width: int
    height: int

    def to_network(self, boxes: np.ndarray) -> np.ndarray:
        """Return (n, 4) source boxes in network pixels."""
        moved: np.ndarray = (boxes * self._scale() + self._offset()).astype(np.float32)
        return moved

    def to_source(self, boxes: np.ndarray) -> np.ndarray:
        """Return (n, 4) network boxes in source pixels."""
        moved: np.ndarray = ((boxes - self._offset()) / self._scale()).astype(np.float32)
        return moved

    def _scale(self) -> np.ndarray:
        return np.array([self.scale_x, self.scale_y] * 2)

    def _offset(self) -> np.ndarray:
        return np.array([self.offset_x, self.offset_y] * 2)


def shortest_edge_size(height: int, width: int, short: int, longest: int) -> Tuple[int, int]:
    """
    Return (height, width) after DETR's resizing rule, as torchvision truncates it.

    The short side becomes `short`, or what keeps the long one at about `longest`; the long side
    follows, truncated (it may come out one pixel above `longest`). An image whose short side fits
    already stays as it is.
    """
    least, most = min(height, width), max(height, width)
    if most / least * short > longest:
        short = max(1, round(longest * least / most))
    if least == short:
        return height, width
    long = int(short * most / least)
    return (long, short) if height > width else (short, long)


def check_rgb(rgb: np.ndarray) -> np.ndarray:
    """
    Return the image as a writable array with contiguous rows, or raise `FrameError`.

    Expected: (H, W, 3) uint8, at least one pixel. Read-only arrays (views of message bytes) are
    copied, because torch cannot share memory that it might write to.
    """
    if not isinstance(rgb, np.ndarray):
        raise FrameError('wrong_type', f'the image is a {type(rgb).__name__}, expected a NumPy '
                         'array (height, width, 3) of uint8 in RGB order.')
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise FrameError('wrong_shape', f'the image has shape {rgb.shape}, expected (height, '
                         'width, 3) in RGB order.')
    if rgb.dtype != np.uint8:
        raise FrameError('wrong_dtype', f'the image has values of type {rgb.dtype}, expected '
                         'uint8 in 0..255.')
    if not 1 <= min(rgb.shape[:2]) <= max(rgb.shape[:2]) <= MAX_SIDE:
        raise FrameError('wrong_size', f'the image is {rgb.shape[1]} x {rgb.shape[0]} pixels, '
                         f'expected 1 to {MAX_SIDE} per side.')
    if not rgb.flags.c_contiguous or not rgb.flags.writeable:
        rgb = np.array(rgb, order='C')
    return rgb


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of any shape on the device; a GPU fetches it while the host goes on."""
    if device.type == 'cuda':
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class Normalise(nn.Module):
    """The device's part of preprocessing: bytes in, a network's floating-point input out."""

    scale: Tensor
    shift: Tensor

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (spec.mean, spec.std))
        self.register_buffer('scale', 1 / (255 * std), persistent=False)
        self.register_buffer('shift', -mean / std, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (B, 3, H, W) float of (B, H, W, 3) uint8 RGB."""
        return pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift


class ImageTransform:
    """
    Resize images for one network and bring them to its device.

    Bilinear resizing is antialiased on uint8 on the CPU (torch's vector kernels; measured in
    benchmarks/pipeline_throughput.py), so the result does not depend on the device; only the small
    image travels to it. Bicubic resizing is Pillow's, bit for bit what Pillow-based training saw.
    """

    def __init__(self, spec: ImageSpec, device: torch.device) -> None:
        self.spec, self.device = spec, device
        self.normalise = Normalise(spec).to(device)

    def __call__(self, images: Sequence[np.ndarray]) -> Tuple[Tensor, List[Placement]]:
        """
        Return (B, 3, height, width) float and where each image lies; images are checked.

        With `shortest_edge` all images of a call must have one size.
        """
        placements = [self.place(*image.shape[:2]) for image in images]
        return self.normalise(self.pixels([self.resize(image) for image in images])), placements

    def pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return resized images of one size as (B, h, w, 3) uint8 on the device."""
        return upload(torch.stack([torch.from_numpy(image) for image in images]), self.device)

    def place(self, height: int, width: int) -> Placement:
        """Return where an image of that size lies."""
        rows, columns = self.spec.height, self.spec.width
        if self.spec.resize == 'shortest_edge':
            rows, columns = shortest_edge_size(height, width, rows, columns)
        if self.spec.resize != 'letterbox':
            return Placement(columns / width, rows / height, 0.0, 0.0, columns, rows)
        scale = min(columns / width, rows / height)
        inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
        return Placement(inner_w / width, inner_h / height, (columns - inner_w) // 2,
                         (rows - inner_h) // 2, columns, rows)

    def resize(self, image: np.ndarray) -> np.ndarray:
        """Return a checked image as (h, w, 3) uint8 of the network's size."""
        height, width = image.shape[:2]
        at = self.place(height, width)
        inner = (max(1, round(height * at.scale_y)), max(1, round(width * at.scale_x)))
        if inner != (height, width):
            image = self._scaled(image, *inner)
        if inner == (at.height, at.width):
            return image
        grey = np.round(np.array(self.spec.mean, np.float32) * 255).astype(np.uint8)
        canvas = np.empty((at.height, at.width, 3), np.uint8)
        canvas[:] = grey
        top, left = int(at.offset_y), int(at.offset_x)
        canvas[top:top + inner[0], left:left + inner[1]] = image
        return canvas

    def _scaled(self, image: np.ndarray, height: int, width: int) -> np.ndarray:
        if self.spec.interpolation == 'bicubic':
            picture = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
            return np.array(picture)
        planes = torch.from_numpy(image).permute(2, 0, 1)[None]
        small = interpolate(planes, (height, width), mode='bilinear', antialias=True)
        return small[0].permute(1, 2, 0).numpy()
