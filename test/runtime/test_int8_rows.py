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

"""Weights stored as int8 rows come back close, and what does not fit is refused."""

from hoi_perception.core.errors import BundleError
from hoi_perception.runtime.int8_rows import packed, unpacked
import pytest
from safetensors.torch import load, save
import torch

STATE = {'layer.weight': torch.randn(64, 96, generator=torch.Generator().manual_seed(0)),
         'conv.weight': torch.linspace(-3, 5, 16 * 8 * 6 * 6).view(16, 8, 6, 6),
         'layer.bias': torch.linspace(-1, 1, 5000), 'small.weight': torch.eye(8),
         'tokens.weight': torch.zeros(512, 16), 'steps': torch.tensor([70000])}


def test_matrices_take_a_byte_per_entry_and_come_back_within_half_a_step():
    stored = load(save(packed(STATE)))
    assert {name for name, value in stored.items() if value.dtype == torch.int8} == {
        'layer.weight', 'conv.weight', 'tokens.weight'}
    back = unpacked(stored, 'file')
    assert set(back) == set(STATE)
    for name in ('layer.weight', 'conv.weight', 'tokens.weight'):
        step = STATE[name].flatten(1).abs().amax(1) / 127
        error = (back[name] - STATE[name]).flatten(1).abs().amax(1)
        assert back[name].dtype == torch.float32 and (error <= step * 0.5001).all()
    assert torch.equal(back['layer.bias'], STATE['layer.bias'].half())
    assert torch.equal(back['steps'], STATE['steps'])


def test_only_what_was_chosen_is_packed():
    stored = packed(STATE, lambda name: name == 'layer.weight')
    assert [name for name, value in stored.items() if value.dtype == torch.int8] == [
        'layer.weight']
    assert torch.equal(unpacked(stored, 'file')['conv.weight'], STATE['conv.weight'].half())


@pytest.mark.parametrize('change', [
    {'layer.weight': None}, {'layer.weight': torch.zeros(64, 96)},
    {'layer.weight': torch.zeros(63, 96, dtype=torch.int8)},
    {'layer.weight.int8_scale': torch.zeros(64, dtype=torch.int64)}])
def test_a_scale_that_does_not_fit_is_named(change):
    stored = {name: value for name, value in {**packed(STATE), **change}.items()
              if value is not None}
    with pytest.raises(BundleError, match=r'file: layer\.weight\.int8_scale .* build the bundle'):
        unpacked(stored, 'file')
