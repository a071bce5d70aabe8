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

"""Which device the networks go to."""

from hoi_perception.core.errors import BundleError
from hoi_perception.runtime.loading import choose_device
import pytest
import torch


@pytest.mark.parametrize('name', ['cuda:1', 'cuda', 'cpu'])
def test_the_device_that_is_named_is_taken(monkeypatch, name):
    tried = []
    monkeypatch.setattr(torch, 'zeros', lambda size, device: tried.append(device))
    assert choose_device(name) == torch.device(name)
    assert tried == [torch.device(name)], 'it is tried before anything is loaded'


@pytest.mark.parametrize('there, expected', [(True, 'cuda'), (False, 'cpu')])
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, there, expected):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: there)
    assert choose_device('auto') == torch.device(expected)


@pytest.mark.parametrize('name', ['gpu', 'cuda:99', 'cuda:x', ''])
def test_a_device_that_is_not_there_is_a_sentence(name):
    with pytest.raises(BundleError, match='cannot be used.*Try cpu'):
        choose_device(name)
