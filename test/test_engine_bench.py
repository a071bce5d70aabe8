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

"""`make bench` of engines, once through on a tiny bundle."""

import json

from benchmarks import engines
from benchmarks.engine_measures import work_of
from bundles import tiny_bundle
from hoi_perception.networks.linear import linear
from hoi_perception.runtime.bundle import Buckets
from hoi_perception.runtime.engines.openvino import OpenVino
from hoi_perception.runtime.graphs import Graph
import pytest
import torch


def test_every_engine_is_measured_beside_eager_and_the_report_is_whole(tmp_path, capsys):
    if reason := OpenVino().unavailable(torch.device('cpu')):
        pytest.skip(reason)
    bundle = tiny_bundle(tmp_path / 'tiny', buckets=Buckets(
        instances=(30,), pairs=(16,), rows=(32,)))
    threads = torch.get_num_threads()
    try:
        engines.main([str(bundle.path), '--device', 'cpu', '--threads', '1', '--rounds', '2',
                      '--only', 'openvino', '--precision', 'fp32', '--no-memory',
                      '--out', str(tmp_path / 'report.json')])
    finally:
        torch.set_num_threads(threads)
    report = json.loads((tmp_path / 'report.json').read_text())
    measured, = report['bundles']
    assert [row['graph'] for row in measured['networks']] == ['detector', 'interaction/defr']
    names = set(measured['networks'][0]['runs'])
    assert 'eager fp32' in names and 'openvino fp32' in names
    for row in measured['networks']:
        eager = row['runs']['eager fp32']
        assert row['gflop'] > 0 and eager['floor_ms'] > 0 and eager['times_eager'] == 1
        assert eager['p95'] >= eager['p50'] > 0 and eager['over_floor'] > 1
    assert {'eager fp32', 'auto'} <= set(measured['end_to_end_640x480'])
    assert list(measured['scaling']['pairs']) == ['1', '4', '16']
    assert list(measured['scaling']['cameras']) == [str(n) for n in range(1, 9)]
    assert (tmp_path / 'report.png').stat().st_size > 10000
    said = capsys.readouterr().out
    assert 'openvino fp32' in said and 'x floor' in said


class _Work(torch.nn.Module):
    """One layer of a kind, in the ways that the networks call it."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.layer = {
            'linear': lambda: torch.nn.Linear(8, 16),
            'convolution': lambda: torch.nn.Conv2d(3, 4, 3, stride=2, padding=1),
            'attention': lambda: torch.nn.MultiheadAttention(16, 2, batch_first=True),
            'scaled': torch.nn.Identity, 'onednn': lambda: torch.nn.Linear(8, 16)}[kind]()

    def forward(self, x):
        if self.kind == 'onednn':
            return linear(x, self.layer.weight, self.layer.bias)
        if self.kind == 'attention':
            return self.layer(x, x, x, need_weights=False)[0]
        if self.kind == 'scaled':
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)
        return self.layer(x)


@pytest.mark.parametrize(('kind', 'shape', 'flops', 'parameters'), [
    ('linear', (2, 5, 8), 2 * 10 * 8 * 16, 144), ('onednn', (2, 5, 8), 2 * 10 * 8 * 16, 144),
    ('convolution', (1, 3, 8, 8), 2 * 16 * 4 * 27, 112),
    # Projections of queries, keys and values, the two products of attention, and out.
    ('attention', (2, 7, 16), 2 * 14 * 16 * 48 + 4 * 2 * 7 * 7 * 16 + 2 * 14 * 16 * 16, 1088),
    ('scaled', (2, 2, 7, 8), 4 * 2 * 2 * 7 * 7 * 8, 0)])
def test_the_arithmetic_of_every_kind_of_layer_is_counted(kind, shape, flops, parameters):
    module = _Work(kind).eval().requires_grad_(False)
    before = torch.backends.mha.get_fastpath_enabled()
    assert work_of(Graph(kind, '', module, {'x': torch.randn(shape)}, ('y',))) == (
        flops, parameters)
    assert torch.backends.mha.get_fastpath_enabled() == before
