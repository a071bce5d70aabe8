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

"""What torch_tensorrt's own registry and partitioner say of small graphs, asked offline."""

from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
import subprocess
import sys

from hoi_perception.runtime.engines import coverage
from hoi_perception.runtime.engines.coverage import check_graphs, CoverageError, CoverageRow
from hoi_perception.runtime.graphs import Graph
import pytest
import torch
from torch import nn
import torchvision

needs_torch_tensorrt = pytest.mark.skipif(
    find_spec('torch_tensorrt') is None, reason=f'torch_tensorrt is absent: {coverage.INSTALL}')


class Convertible(nn.Module):
    """From uint8 pixels to numbers, with operators that TensorRT has."""

    def __init__(self):
        super().__init__()
        self.convolve = nn.Conv2d(3, 8, 3)
        self.project = nn.Linear(8, 4)

    def forward(self, pixels):
        x = pixels.permute(0, 3, 1, 2).float() / 255
        return self.project(self.convolve(x).relu().mean((2, 3))),


class Suppressing(nn.Module):
    """torchvision's operators between others that convert."""

    def __init__(self):
        super().__init__()
        self.convolve = nn.Conv2d(3, 4, 3)

    def forward(self, images, boxes):
        regions = torchvision.ops.roi_align(self.convolve(images).relu(), [boxes], (3, 3))
        scores = regions.mean((1, 2, 3))
        return regions * 2, torchvision.ops.nms(boxes, scores.sigmoid(), 0.5)


class Unfixed(nn.Module):
    """What a registry alone lets through: sizes that depend on data, and float64."""

    def forward(self, x):
        return x.nonzero() * 2, (x.double() + 1).exp()


class Unexportable(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x,


def graph(module, *inputs):
    named = {f'input{index}': tensor for index, tensor in enumerate(inputs)}
    with torch.no_grad():
        outputs = module.eval()(*inputs)
    return Graph(type(module).__name__, 'batch1', module, named,
                 tuple(f'output{index}' for index in range(len(outputs))))


@pytest.fixture(scope='module')
def rows():
    torch.manual_seed(0)
    square = torch.eye(4)
    graphs = [graph(Unexportable(), square),
              graph(Convertible(), torch.zeros(1, 16, 16, 3, dtype=torch.uint8)),
              graph(Suppressing(), torch.randn(1, 3, 16, 16), torch.tensor([[0., 0, 9, 9]])),
              graph(Unfixed(), square)]
    return {row.graph: row for row in check_graphs(graphs)}


@needs_torch_tensorrt
def test_a_graph_of_known_operators_is_one_segment_without_breaks(rows):
    row = rows['Convertible']
    assert row.full and row.covered == row.operators > 4
    assert (row.segments, row.torch_segments, row.breaks, row.error) == (1, 0, (), '')


@needs_torch_tensorrt
def test_operators_without_a_converter_are_listed_with_their_module(rows):
    row = rows['Suppressing']
    assert not row.full and row.covered == row.operators - 2
    assert [item.operator for item in row.breaks] == [
        'torch.ops.torchvision.roi_align.default', 'torch.ops.torchvision.nms.default']
    assert all('Suppressing' in item.place for item in row.breaks)
    assert row.segments >= 2 and row.torch_segments >= 1


@needs_torch_tensorrt
def test_sizes_that_depend_on_data_and_float64_are_breaks(rows):
    reasons = {item.operator: item.reason for item in rows['Unfixed'].breaks}
    assert 'depends on data' in reasons['torch.ops.aten.nonzero.default']
    assert any('float64' in reason for reason in reasons.values())


@needs_torch_tensorrt
def test_a_graph_that_cannot_be_exported_is_listed_with_the_reason(rows):
    row = rows['Unexportable']
    assert not row.full and row.error.startswith('torch.export: ')


@needs_torch_tensorrt
def test_the_stand_in_stays_in_its_own_process(rows):
    assert rows and 'torch_tensorrt' not in sys.modules and 'tensorrt' not in sys.modules


def test_a_row_is_full_only_when_everything_is_one_engine():
    good = CoverageRow('detector', 'batch1', 5, 5, 1, 0)
    assert good.full
    for worse in ({'covered': 4}, {'segments': 2}, {'torch_segments': 1}, {'error': 'x'},
                  {'operators': 0, 'covered': 0}):
        assert not good._replace(**worse).full, worse


@pytest.mark.parametrize(('found', 'words'), [
    (None, 'pip install --no-deps'), ('2.13.1', 'is made for 2.14'), ('2.140.0', 'is 2.140.0')])
def test_another_or_no_torch_tensorrt_ends_with_a_sentence(found, words, monkeypatch):
    def version(name):
        if found is None:
            raise PackageNotFoundError(name)
        return found
    monkeypatch.setattr(coverage, 'version', version)
    with pytest.raises(CoverageError, match=words):
        list(check_graphs([]))


def test_importing_the_check_loads_no_stand_in():
    code = ('import sys; import hoi_perception.runtime.engines.coverage; '
            "sys.exit('tensorrt' in sys.modules or 'torch_tensorrt' in sys.modules)")
    assert subprocess.run([sys.executable, '-c', code], timeout=120).returncode == 0
