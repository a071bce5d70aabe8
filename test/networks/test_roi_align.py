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

"""RoIAlign by matrix products is torchvision's RoIAlign."""

from hoi_perception.networks.roi_align import roi_align, roi_weights
import pytest
import torch
from torchvision.ops import roi_align as reference

BOXES = {
    'inside': [[20., 30., 100., 90.], [3.3, 5.1, 9.7, 200.4], [0., 0., 224., 224.]],
    'smaller than a cell': [[50., 50., 51., 50.5], [223.9, 0., 224., 0.1]],
    'whole image of the official code': [[0., 0., 224., 244.]],
    'partly outside': [[-20., -40., 60., 30.], [200., 180., 290., 300.], [-9., 50., 233., 60.]],
    'outside': [[-90., -80., -40., -30.], [300., 10., 400., 90.], [10., 500., 20., 900.]],
    'larger than the map': [[-224., -500., 448., 800.], [-3000., -10., 4000., 230.],
                            [-1e4, -1e4, 300., 1e5]],
    'no or negative size': [[50., 50., 50., 90.], [60., 60., 60., 60.], [90., 80., 20., 30.]],
    'on cell borders': [[16., 32., 128., 144.], [-16., -16., 240., 240.], [-24., 0., 88., 248.]],
    'random': None}


def _boxes(name: str) -> torch.Tensor:
    if BOXES[name] is not None:
        return torch.tensor(BOXES[name])
    generator = torch.Generator().manual_seed(4)
    corner = torch.rand(300, 2, generator=generator) * 400 - 90
    return torch.cat([corner, corner + torch.rand(300, 2, generator=generator).pow(2) * 700], 1)


@pytest.mark.parametrize('grid', [(14, 14), (7, 7), (9, 16)], ids=str)
@pytest.mark.parametrize('name', BOXES)
def test_it_equals_torchvision(name, grid):
    boxes = _boxes(name)
    maps = torch.randn(2, 5, *grid, generator=torch.Generator().manual_seed(1))
    cell = 224 / 14
    expected = reference(maps, [boxes, boxes.flip(0)], (7, 7), 1 / cell, -1, True)
    expected = expected.flatten(2).transpose(1, 2).unflatten(0, (2, len(boxes)))
    weights = roi_weights(torch.stack([boxes, boxes.flip(0)]), grid, (cell, cell))
    got = roi_align(maps.permute(0, 2, 3, 1), weights)
    assert got.shape == (2, len(boxes), 49, 5)
    # Sample positions carry the rounding of the box's coordinates.
    scale = max(1., float(boxes.abs().max()) / 1e3)
    torch.testing.assert_close(got, expected, atol=2e-5 * scale, rtol=1e-5)


def test_a_linear_layer_may_come_first():
    torch.manual_seed(0)
    boxes, maps = _boxes('random')[None], torch.randn(1, 14, 14, 24)
    weights = roi_weights(boxes, (14, 14), (16, 16))
    layer = torch.nn.Linear(24, 6)
    after = layer(roi_align(maps, weights))
    before = roi_align(maps @ layer.weight.T, weights) + layer.bias
    torch.testing.assert_close(before, after, atol=2e-6, rtol=1e-5)


def test_cells_need_not_be_square():
    boxes = torch.tensor([[[10., 20., 90., 60.]]])
    maps = torch.randn(1, 4, 8, 3)
    wide = roi_align(maps, roi_weights(boxes, (4, 8), (16, 32)))
    halved = boxes * torch.tensor([0.5, 1, 0.5, 1])
    square = roi_align(maps, roi_weights(halved, (4, 8), (16, 16)))
    torch.testing.assert_close(wide, square)


def test_it_exports_without_a_roi_operator():
    class Pool(torch.nn.Module):
        def forward(self, maps, boxes):
            return roi_align(maps, roi_weights(boxes, (14, 14), (16, 16)))
    arguments = (torch.randn(1, 14, 14, 4), _boxes('inside')[None])
    program = torch.export.export(Pool(), arguments)
    torch.testing.assert_close(program.module()(*arguments), Pool()(*arguments))
    targets = ' '.join(str(node.target) for node in program.graph.nodes)
    words = ('aten.item', 'local_scalar', 'nonzero', 'gather', 'index', 'grid', 'roi')
    assert not any(word in targets for word in words)
