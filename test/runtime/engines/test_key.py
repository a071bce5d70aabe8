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

"""What changes an engine's key, and what does not."""

import subprocess
import sys

from hoi_perception.runtime.engines import places
from hoi_perception.runtime.engines.key import EngineKey, machine_name
import pytest
from tiny_engines import Fake, tiny_graph
import torch
from torch import nn


def _key(graph):
    return EngineKey.of(graph, Fake(), 'fp32')


def test_the_same_graph_has_the_same_key_in_another_process():
    code = ('from hoi_perception.runtime.engines.key import EngineKey\n'
            'from tiny_engines import Fake, tiny_graph\n'
            "print(EngineKey.of(tiny_graph(), Fake(), 'fp32').directory)")
    done = subprocess.run([sys.executable, '-c', code], text=True, capture_output=True,
                          check=False, env={'PYTHONPATH': ':'.join(sys.path)})
    assert done.stdout.strip() == _key(tiny_graph()).directory, done.stderr


def _setting(graph):
    graph.module.count = 11


def _weight(graph):
    graph.module.classify.bias.data[0] += 1e-6


def _buffer(graph):
    graph.module.register_buffer('extra', torch.zeros(1), persistent=False)


def _module(graph):
    graph.module.classify = nn.Sequential(graph.module.classify)


def _shape(graph):
    graph.inputs['valid'] = torch.zeros(1, 65, dtype=torch.bool)


def _dtype(graph):
    graph.inputs['valid'] = torch.zeros(1, 64)


@pytest.mark.parametrize(('change', 'field'), [
    (_setting, 'graph'), (_module, 'graph'), (_shape, 'graph'), (_dtype, 'graph'),
    (_weight, 'weights'), (_buffer, 'weights')])
def test_a_change_of_the_network_changes_the_key(change, field):
    graph = tiny_graph()
    change(graph)
    assert getattr(_key(graph), field) != getattr(_key(tiny_graph()), field)


def test_other_pixels_and_hooks_do_not_change_the_key():
    graph = tiny_graph()
    graph.inputs['pixels'] = torch.zeros_like(graph.inputs['pixels'])
    graph.module.register_forward_hook(lambda *_: None)
    assert _key(graph) == _key(tiny_graph())


def test_the_directory_says_what_is_in_it():
    assert _key(tiny_graph()).directory.startswith('detector-batch1-aoti-fp32-')
    assert '/' not in EngineKey('interaction/lain', *['x'] * 8).directory


def test_the_machine_is_named_by_its_instruction_set():
    name = machine_name(torch.device('cpu'))
    assert torch.backends.cpu.get_cpu_capability() in name


@pytest.mark.parametrize(('value', 'expected'), [
    ('/somewhere', '/somewhere/hoi_perception'), ('relative', '~/.cache/hoi_perception'),
    ('', '~/.cache/hoi_perception')])
def test_the_cache_is_where_the_xdg_specification_says(monkeypatch, value, expected):
    monkeypatch.setenv('XDG_CACHE_HOME', value)
    monkeypatch.setenv('HOME', '/home/robot')
    assert str(places.cache_directory()) == expected.replace('~', '/home/robot')
