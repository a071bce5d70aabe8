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

"""Weights on disk: what is written is read, a bundle's networks too, and nothing else."""

from bundles import tiny_bundle
from hoi_perception.core.errors import BundleError
from hoi_trainer.training.weights import read_weights, write_weights
import pytest
import safetensors.torch
import torch


def test_weights_keep_their_configuration(tmp_path):
    layer = torch.nn.Linear(2, 3)
    write_weights(layer, {'width': 3}, tmp_path / 'layer.safetensors')
    config, state = read_weights(tmp_path / 'layer.safetensors')
    assert config == {'width': 3} and state['weight'].dtype == torch.float32
    torch.testing.assert_close(state['weight'], layer.weight.half().float())


@pytest.mark.parametrize('name', ['detector', 'clip'])
def test_networks_of_a_bundle_are_read_with_the_configuration_of_the_bundle(tmp_path, name):
    bundle = tiny_bundle(tmp_path / 'bundle')
    config, state = read_weights(bundle.path / f'{name}.safetensors')
    assert config == getattr(bundle.spec, name).config
    assert set(state) == set(bundle.tensors(f'{name}.safetensors'))


@pytest.mark.parametrize('content, part', [
    (None, 'no weights at'), (b'nonsense', 'not a safetensors file'), ('plain', 'lacks the')])
def test_other_files_are_refused_with_a_sentence(tmp_path, content, part):
    path = tmp_path / 'x.safetensors'
    if content == 'plain':
        safetensors.torch.save_file({'a': torch.zeros(1)}, path)
    elif content:
        path.write_bytes(content)
    with pytest.raises(BundleError, match=part):
        read_weights(path)
