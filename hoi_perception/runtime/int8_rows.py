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
Weights stored as int8 rows: half the size of float16, for bundles that must stay small.

A matrix W is kept under its name as round(W / s), and s, max |W| / 127 of every row, under that
name with `.int8_scale` added. It is a way to store, not to compute: networks get float32.
"""

from typing import Callable, Dict, Mapping

from hoi_perception.core.errors import BundleError
import torch
from torch import Tensor

SCALE = '.int8_scale'
LEAST = 4096
"""Smaller tensors stay float16: they save nothing, and norms and biases need their precision."""


def packed(state: Mapping[str, Tensor],
           chosen: Callable[[str], bool] = lambda name: True) -> Dict[str, Tensor]:
    """
    Return a state dict with chosen matrices as int8 rows and other floats as float16.

    chosen: says by name which tensors may be packed; those of one dimension or fewer than `LEAST`
    entries never are. Rows are those of the first dimension, with a scale (rows,) beside each
    tensor. Integers stay.
    """
    result: Dict[str, Tensor] = {}
    for name, value in state.items():
        if not value.is_floating_point():
            result[name] = value
        elif value.dim() < 2 or value.numel() < LEAST or not chosen(name):
            result[name] = value.half()
        else:
            rows = value.detach().float().flatten(1)
            scale = (rows.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
            result[name] = (rows / scale).round().to(torch.int8).view(value.shape)
            result[name + SCALE] = scale[:, 0]
    return result


def unpacked(state: Mapping[str, Tensor], where: str) -> Dict[str, Tensor]:
    """
    Return a state dict with int8 rows as float32 and without their scales; others as they are.

    Shapes stay. where: the file, for `BundleError`, which is raised where a scale does not fit
    its tensor.
    """
    result = {name: value for name, value in state.items() if not name.endswith(SCALE)}
    for name, scale in state.items():
        if not name.endswith(SCALE):
            continue
        base = name[:-len(SCALE)]
        value = result.get(base)
        if value is None or value.dtype != torch.int8 or scale.shape != value.shape[:1] \
                or not scale.is_floating_point():
            got = 'is missing' if value is None else \
                f'is {str(value.dtype)[6:]} of shape {tuple(value.shape)}'
            raise BundleError(
                f'{where}: {name} of shape {tuple(scale.shape)} wants int8 rows {base}, '
                f'as many, but that {got}: the weights are damaged, build the bundle again.')
        result[base] = value.float() * scale.float().view(-1, *[1] * (value.dim() - 1))
    return result
