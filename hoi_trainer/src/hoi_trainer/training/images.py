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
Images kept where they are needed and cut out in one call per batch.

A data set of uint8 images either stays on disk (memory-mapped) or moves wholly to the device;
crops, scaling, flips and colour changes are computed for a whole batch at once.
"""

from concurrent.futures import ThreadPoolExecutor
import math
from typing import Sequence, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


class ImageStore:
    """
    A (N, ...) uint8 array, read by index.

    With `on_device` it is copied to `device` once; else the rows of a batch are read from the
    array, which may be memory-mapped.
    """

    def __init__(self, array: np.ndarray, device: torch.device, on_device: bool) -> None:
        self.array, self.device = array, torch.device(device)
        self.rows = self._copy() if on_device else None

    def _copy(self, chunk: int = 256, threads: int = 8) -> Tensor:
        rows = torch.empty(self.array.shape, dtype=torch.uint8, device=self.device)

        def copy(start: int) -> None:
            part = np.array(self.array[start:start + chunk])
            rows[start:start + chunk] = torch.from_numpy(part).to(self.device)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(copy, range(0, len(self.array), chunk)))
        return rows

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the rows of a (B,) int64 index, on the device."""
        if self.rows is not None:
            return self.rows[index.to(self.device)]
        return torch.from_numpy(np.ascontiguousarray(self.array[index.cpu().numpy()])).to(
            self.device)


def window_affine(windows: Tensor, flip: Tensor) -> Tensor:
    """
    Return the (B, 2, 3) map for `affine_grid` that stretches windows to the output.

    windows: (B, 4) as x1, y1, x2, y2 in 0..1 of the source image (may reach outside). flip: (B,)
    bool, mirror left and right.
    """
    low, high = windows[:, :2] * 2 - 1, windows[:, 2:] * 2 - 1
    scale, shift = (high - low) / 2, (high + low) / 2
    sign = torch.where(flip, -1.0, 1.0)
    zero = torch.zeros_like(sign)
    return torch.stack((
        torch.stack((scale[:, 0] * sign, zero, shift[:, 0]), dim=-1),
        torch.stack((zero, scale[:, 1], shift[:, 1]), dim=-1)), dim=1)


def _warp(images: Tensor, theta: Tensor, size: Sequence[int], interpolation: int,
          border) -> Tensor:
    """
    Do on the CPU what `affine_grid` and `grid_sample` do, on uint8 pixels and much faster.

    images: (B, H, W) or (B, H, W, 3) uint8; returned with H, W replaced by size.
    """
    source = np.array([images.shape[2], images.shape[1]], dtype=np.float64)
    target = np.array([size[1], size[0]], dtype=np.float64)
    theta = theta.double().numpy()
    # From normalised coordinates (the middle of pixel j is at (2 j + 1) / side - 1) to pixels.
    scale = theta[:, [0, 1], [0, 1]] * source / target
    shift = ((theta[:, [0, 1], [0, 1]] * (1 / target - 1) + theta[:, :, 2] + 1) * source - 1) / 2
    result = np.empty((len(images), *size, *images.shape[3:]), dtype=np.uint8)
    for row, image in enumerate(images.numpy()):
        matrix = np.array([[scale[row, 0], 0, shift[row, 0]], [0, scale[row, 1], shift[row, 1]]])
        result[row] = cv2.warpAffine(image, matrix, (size[1], size[0]), borderValue=border,
                                     flags=interpolation | cv2.WARP_INVERSE_MAP)
    return torch.from_numpy(result)


def cut(images: Tensor, theta: Tensor, size: Tuple[int, int], supersample: int = 1) -> Tensor:
    """
    Return (B, 3, *size) in 0..1 cut from (B, H, W, 3) uint8; grey outside the image.

    supersample: each output pixel is the mean of so many squared samples.
    """
    fine = [side * supersample for side in size]
    if images.device.type == 'cpu':
        warped = _warp(images, theta, fine, cv2.INTER_LINEAR, (128, 128, 128))
        result = warped.permute(0, 3, 1, 2).to(torch.float32) / 255
    else:
        source = images.permute(0, 3, 1, 2).to(torch.float32) / 255 - 0.5
        grid = functional.affine_grid(theta, [len(images), 3, *fine], align_corners=False)
        result = functional.grid_sample(source, grid, align_corners=False) + 0.5
    return functional.avg_pool2d(result, supersample) if supersample > 1 else result


def cut_map(maps: Tensor, theta: Tensor, size: Tuple[int, int]) -> Tensor:
    """Return (B, *size) uint8 cut from (B, H, W) uint8 by nearest neighbour; 0 outside."""
    if maps.device.type == 'cpu':
        return _warp(maps, theta, size, cv2.INTER_NEAREST, 0)
    grid = functional.affine_grid(theta, [len(maps), 1, *size], align_corners=False)
    source = maps[:, None].to(torch.float32)
    return functional.grid_sample(source, grid, mode='nearest', align_corners=False)[:, 0].to(
        torch.uint8)


def random_windows(count: int, device: torch.device, zoom: Tuple[float, float] = (0.6, 1.25),
                   aspect: float = 1.15, untouched: float = 0.2) -> Tensor:
    """
    Return (B, 4) random source windows in 0..1.

    zoom: smallest and largest side of a window relative to the image; a share `untouched` of the
    windows is the whole image.
    """
    span = torch.rand(count, 1, device=device) * math.log(zoom[1] / zoom[0]) + math.log(zoom[0])
    skew = (torch.rand(count, 1, device=device) - 0.5) * math.log(aspect)
    size = torch.cat((span + skew, span - skew), dim=1).exp()
    low = torch.rand(count, 2, device=device) * (1 - size)
    windows = torch.cat((low, low + size), dim=1)
    whole = torch.rand(count, 1, device=device) < untouched
    return torch.where(whole, windows.new_tensor([0.0, 0.0, 1.0, 1.0]), windows)


def change_colours(images: Tensor, strength: float = 1.0) -> Tensor:
    """Return (B, 3, H, W) images in 0..1 with random light, contrast, tint, blur and noise."""
    batch, device = len(images), images.device

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        middle, half = (low + high) / 2, (high - low) / 2 * strength
        return middle + (torch.rand(batch, channels, 1, 1, device=device) * 2 - 1) * half

    soft = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    images = torch.lerp(images, soft, draw(-0.8, 0.8).clamp(min=0))
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey, images, draw(0.6, 1.4))
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * draw(0.7, 1.3) + mean * draw(0.7, 1.3)
    images = images * draw(0.9, 1.1, 3)
    images = images + torch.randn_like(images) * draw(-0.05, 0.05).clamp(min=0)
    return images.clamp(0, 1)
