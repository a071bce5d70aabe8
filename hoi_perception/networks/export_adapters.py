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
What keeps other people's networks from becoming one compiled graph, and exact replacements.

Everything happens while `torch.export` records and in that thread alone: models, libraries and
eager runs stay as they are. Checked with transformers 5.20 and 5.23, torch 2.14:

- Pools with `ceil_mode` (RT-DETRv2's ResNet, D-FINE's HGNetV2) have no converter in
  Torch-TensorRT. Where the last window ends with the image, rounding up adds nothing: recorded
  without it. Elsewhere they are recorded as they are.
- `torch_compilable_check` (RT-DETRv2, D-FINE) compares sizes in a tensor and leaves `aten.item`
  in the graph, at which AOTInductor and the ONNX exporter fail. Sizes are fixed, and the eager run
  before any export has made the check: left out, by the library's own switch.
- `grid_sample` (RT-DETRv2, D-FINE, RF-DETR) gives wrong numbers in TensorRT 10.14 to 11.1
  (NVIDIA/TensorRT #4813, pytorch/TensorRT #4074): recorded as `bilinear_sample`, on request.
- The fused attention of `nn.MultiheadAttention` (open_clip's blocks) is an operator that no
  compiler converts: recorded as the module's plain operators.
"""

from contextlib import contextmanager
import os
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple, Union
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Size = Union[int, Sequence[int]]


def bilinear_sample(features: Tensor, grid: Tensor) -> Tensor:
    """
    Return `grid_sample(features, grid)`, (B, C, H', W'), from row reads and arithmetic.

    features: (B, C, H, W). grid: (B, H', W', 2) as x, y in -1..1, edges at the outer sides of the
    first and last cells (align_corners=False); outside is zero. The result is the same sum of
    four cells by their shares, equal up to the rounding of positions: for features of about 1,
    4e-6 on 20 x 20 cells and 2e-5 on 80 x 80. Positions are float32, whatever the precision of the
    rest: cells are counted with them.
    """
    batch, _, height, width = features.shape
    x, y = (((grid[..., axis].float().flatten(1) + 1) * size - 1) / 2
            for axis, size in enumerate((width, height)))
    left, top = x.floor(), y.floor()
    right_share, lower_share = x - left, y - top
    rows = features.flatten(2).transpose(1, 2).flatten(0, 1)
    first = torch.arange(batch, device=grid.device)[:, None] * (height * width)
    parts = []
    for column, across in ((left, 1 - right_share), (left + 1, right_share)):
        for row, down in ((top, 1 - lower_share), (top + 1, lower_share)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            cell = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            values = rows.index_select(0, (first + cell.long()).flatten())
            parts.append(values * (across * down * inside).flatten()[:, None])
    sampled = (parts[0] + parts[1] + parts[2] + parts[3]).unflatten(0, (batch, -1))
    sampled = sampled.transpose(1, 2).unflatten(2, grid.shape[1:3])
    return sampled.to(torch.promote_types(features.dtype, grid.dtype))


def ceil_changes_nothing(size: Sequence[int], kernel: Size, stride: Optional[Size],
                         padding: Size) -> bool:
    """Return whether windows end with the (padded) image, so that rounding up adds none."""
    window, step, border = (_both(value) for value in (kernel, stride or kernel, padding))
    return all((size[i] + 2 * border[i] - window[i]) % step[i] == 0 for i in range(2))


def _both(value: Size) -> Tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _grid_sample(features: Tensor, grid: Tensor, mode: str = 'bilinear',
                 padding_mode: str = 'zeros', align_corners: Optional[bool] = None) -> Tensor:
    if (mode, padding_mode) != ('bilinear', 'zeros') or align_corners or features.dim() != 4:
        return functional.grid_sample(features, grid, mode, padding_mode, align_corners)
    return bilinear_sample(features, grid)


def _avg_pool(x: Tensor, kernel_size: Size, stride: Optional[Size] = None, padding: Size = 0,
              ceil_mode: bool = False, *rest: Any, **options: Any) -> Tensor:
    ceil_mode &= not ceil_changes_nothing(x.shape[-2:], kernel_size, stride, padding)
    return functional.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, *rest, **options)


def _max_pool(x: Tensor, kernel_size: Size, stride: Optional[Size] = None, padding: Size = 0,
              dilation: Size = 1, ceil_mode: bool = False, return_indices: bool = False) -> Tensor:
    if dilation in (1, (1, 1)):
        ceil_mode &= not ceil_changes_nothing(x.shape[-2:], kernel_size, stride, padding)
    return functional.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode,
                                 return_indices)


class _Replacing(TorchFunctionMode):
    """Calls another function in place of those of a table."""

    def __init__(self, table: Dict[Callable, Callable]) -> None:
        super().__init__()
        self._table = table

    def __torch_function__(self, func: Callable, types: Any, args: Tuple = (),
                           kwargs: Any = None) -> Any:
        return self._table.get(func, func)(*args, **(kwargs or {}))


@contextmanager
def exportable(grid_free: bool = False) -> Iterator[None]:
    """
    Record networks in a form that every backend compiles: use it around `torch.export.export`.

    grid_free: without `grid_sample`, as TensorRT needs it; on a CPU sampling then takes 1.5 to 5
    times as long.
    """
    table: Dict[Callable, Callable] = {functional.avg_pool2d: _avg_pool,
                                       functional.max_pool2d: _max_pool}
    if grid_free:
        table[functional.grid_sample] = _grid_sample
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with mock.patch.dict(os.environ, TRANSFORMERS_DISABLE_TORCH_CHECK='1'), _Replacing(table):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
