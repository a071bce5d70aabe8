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
RoIAlign as two matrix products per axis pair, with torchvision's adaptive sampling to the letter.

Source: Mask R-CNN (arXiv:1703.06870) and the behaviour of `torchvision.ops.roi_align` with
`sampling_ratio=-1, aligned=True`. Bilinear sampling of a box factors into rows and columns, so a
bin is `row weights @ map @ column weights`. The weights depend on the boxes only and serve any
number of maps. Shapes are fixed and nothing is gathered, so it exports to engines without a
RoIAlign operator.
"""

from typing import NamedTuple, Tuple

import torch
from torch import Tensor


class RoiWeights(NamedTuple):
    """Sampling weights of n boxes: rows (B, n, bins, H) and columns (B, n, bins, W)."""

    rows: Tensor
    columns: Tensor


def axis_weights(low: Tensor, high: Tensor, size: int, bins: int) -> Tensor:
    """
    Return the (..., bins, size) mean bilinear weights of the samples of each bin on one axis.

    low, high: (...) ends of the box in cells, 0 at the outer edge of the first cell. A bin of b
    cells takes m = ceil(b) samples. Samples more than one cell outside count as zero but stay in
    the mean; a box of no or negative extent has zero weights.

    Any extent is exact at a fixed number of samples: samples lie at most one cell apart and, where
    there are many, hardly less, so at most size + 4 of a bin can be near the map; the window
    starts at the first of those.
    """
    cells = torch.arange(size, device=low.device, dtype=low.dtype)
    start = (low - 0.5)[..., None, None]
    extent = (high - 0.5)[..., None, None] - start
    length = extent / bins
    count = length.ceil()
    begin = start + length * torch.arange(bins, device=low.device, dtype=low.dtype)[:, None]
    step = torch.where(count > 0, length / count.clamp(min=1), 1.)
    first = ((-1 - begin) / step - 0.5).floor().clamp(min=0)
    sample = first + torch.arange(size + 5, device=low.device, dtype=low.dtype)
    position = begin + (sample + 0.5) * step
    near = (sample < count) & (position >= -1) & (position <= size)
    weights = 1 - (position.clamp(0, size - 1)[..., None] - cells).abs()
    weights = torch.where(near[..., None], weights.clamp(min=0), 0.)
    return weights.sum(-2) / count.clamp(min=1)


def roi_weights(boxes: Tensor, grid: Tuple[int, int], patch: Tuple[float, float],
                bins: int = 7) -> RoiWeights:
    """
    Return the sampling weights of boxes on a map of `grid` (rows, columns) cells.

    boxes: (B, n, 4) xyxy in pixels of the image. patch: (height, width) of a cell in pixels.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return RoiWeights(axis_weights(y1 / patch[0], y2 / patch[0], grid[0], bins),
                      axis_weights(x1 / patch[1], x2 / patch[1], grid[1], bins))


def roi_align(features: Tensor, weights: RoiWeights) -> Tensor:
    """
    Return the (B, n, bins * bins, C) pooled features, bins row-major.

    features: (B, H, W, C), channels last.
    """
    batch, height, width, channels = features.shape
    count, bins = weights.rows.shape[1:3]
    rows = weights.rows.flatten(1, 2) @ features.flatten(2)
    rows = rows.view(batch, count, bins, width, channels)
    return (weights.columns[:, :, None] @ rows).flatten(2, 3)
