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

"""Replacements at export: each equals what it replaces, and none is left behind afterwards."""

from collections import Counter
import os
import threading

from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.dense_detector import DenseDetector, DenseDetectorConfig
from hoi_perception.networks.export_adapters import (
    bilinear_sample,
    ceil_changes_nothing,
    exportable,
)
from hoi_perception.networks.transformers_detectors import TransformersDetector
import pytest
from random_models import CONFIGS, random_detector
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, grid_sample, max_pool2d


def _exported(module, *example, grid_free=True):
    with torch.no_grad(), exportable(grid_free):
        return torch.export.export(module.eval(), example, strict=False)


def _operators(program):
    return Counter(str(node.target) for node in program.graph.nodes if node.op == 'call_function')


@pytest.mark.parametrize('shape', [(1, 3, 7, 5), (2, 8, 20, 20), (3, 1, 1, 4)])
@pytest.mark.parametrize('reach', [0.9, 1.0, 3.0, 1e6])
def test_sampling_by_row_reads_equals_grid_sample(shape, reach):
    torch.manual_seed(0)
    features = torch.randn(shape)
    grid = (torch.rand(shape[0], 6, 9, 2) * 2 - 1) * reach
    grid[:, 0, 0] = 0
    grid[:, 0, 1:3] = torch.tensor([[-1., 1.], [1., -1.]])
    expected = grid_sample(features, grid, align_corners=False)
    torch.testing.assert_close(bilinear_sample(features, grid), expected, atol=4e-6, rtol=0)


def test_sampling_counts_cells_exactly_where_the_rest_is_16_bit():
    torch.manual_seed(0)
    features, grid = torch.randn(1, 4, 300, 300), torch.rand(1, 5, 5, 2) * 2 - 1
    expected = bilinear_sample(features.bfloat16().float(), grid.bfloat16().float())
    sampled = bilinear_sample(features.bfloat16(), grid.bfloat16())
    assert sampled.dtype == torch.bfloat16
    torch.testing.assert_close(sampled.float(), expected, atol=2e-2, rtol=0)


@pytest.mark.parametrize(('size', 'kernel', 'stride', 'padding'), [
    ((8, 8), 2, 2, 0), ((9, 8), 2, 2, 0), ((8, 7), 2, 1, 0), ((9, 9), 3, 2, 1), ((8, 8), 3, 2, 1),
    ((9, 8), (3, 2), (2, 2), (0, 0)), ((10, 8), (3, 2), (2, 2), (0, 0)), ((7, 7), 3, None, 0),
    ((9, 9), 3, None, 0), ((6, 8), 3, (1, 2), (1, 0))])
def test_rounding_up_is_left_out_only_where_the_bits_stay_the_same(size, kernel, stride, padding):
    x = torch.randn(1, 2, *size)
    same = ceil_changes_nothing(size, kernel, stride, padding)
    for pool, kind in ((max_pool2d, nn.MaxPool2d), (avg_pool2d, nn.AvgPool2d)):
        up, down = (pool(x, kernel, stride, padding, ceil_mode=mode) for mode in (True, False))
        assert same == (up.shape == down.shape and torch.equal(up, down))
        program = _exported(kind(kernel, stride, padding, ceil_mode=True), x)
        assert torch.equal(program.module()(x), up)
        node, = (n for n in program.graph.nodes if 'pool' in str(n.target))
        assert (True in node.args) != same


@pytest.mark.parametrize('options', [{'align_corners': True}, {'mode': 'nearest'},
                                     {'padding_mode': 'border'}])
def test_other_kinds_of_sampling_stay_as_they_are(options):
    class Sampler(nn.Module):
        def forward(self, features, grid):
            return grid_sample(features, grid, **{'align_corners': False, **options})

    example = torch.randn(1, 2, 4, 4), torch.rand(1, 3, 3, 2) * 2 - 1
    program = _exported(Sampler(), *example)
    assert _operators(program)['aten.grid_sampler.default'] == 1
    assert torch.equal(program.module()(*example), Sampler()(*example))


def _random(architecture):
    """Return a detector whose queries differ: fresh ones tie, which hides what sampling does."""
    model = random_detector(architecture)
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return TransformersDetector(model, 12).eval()


@pytest.mark.parametrize('architecture', CONFIGS)
def test_a_detector_becomes_one_graph_that_equals_eager_on_other_images(architecture):
    detector = _random(architecture)
    torch.manual_seed(2)
    example, other = torch.randn(2, 1, 3, 64, 64)
    with torch.no_grad():
        expected = detector(other)
        program = _exported(detector, example)
        exported, again = program.module()(other), detector(other)
    operators = _operators(program)
    assert not [name for name in operators if any(
        word in name for word in ('grid_sampler', 'aten.item', '_assert_scalar', '_assert_async'))]
    assert not any(True in n.args for n in program.graph.nodes if 'pool' in str(n.target))
    assert expected.scores.std() > 1e-4
    assert torch.equal(exported.labels, expected.labels)
    for field in ('boxes', 'scores', 'queries', 'prototypes'):
        torch.testing.assert_close(getattr(exported, field), getattr(expected, field),
                                   atol=2e-4, rtol=1e-4)
    assert all(torch.equal(*fields) for fields in zip(again, expected))


def test_grid_sample_stays_for_backends_that_compile_it_well():
    program = _exported(_random('RfDetrForObjectDetection'), torch.randn(1, 3, 64, 64),
                        grid_free=False)
    assert _operators(program)['aten.grid_sampler.default'] == 2


def test_the_dense_detector_needs_no_replacement():
    config = DenseDetectorConfig(classes=4, image_size=(64, 96), widths=(8, 8, 16, 16, 16),
                                 depths=(1, 1, 1, 1), head_width=16, head_depth=1, masks=4,
                                 top_k=8)
    detector = DenseDetector(config).fold_normalisation()
    example, other = torch.randn(2, 1, 3, 64, 96)
    program = _exported(detector, example)
    with torch.no_grad():
        for exported, expected in zip(program.module()(other), detector(other)):
            torch.testing.assert_close(exported, expected)


@pytest.mark.parametrize('patch', [8, 16])
def test_clip_keeps_to_plain_operators_and_equals_its_fused_attention(patch):
    torch.manual_seed(0)
    vision = {'image_size': 32, 'layers': 3, 'width': 64, 'head_width': 32, 'patch_size': patch}
    text = {'context_length': 8, 'vocab_size': 100, 'width': 16, 'heads': 2, 'layers': 1}
    trunk = ClipTrunk(build_clip(
        {'embed_dim': 16, 'vision_cfg': vision, 'text_cfg': text}).visual).eval()
    example, other = torch.randn(2, 1, 3, 32, 32)
    program = _exported(trunk, example)
    assert not any('_native_multi_head' in name for name in _operators(program))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(other), trunk(other), atol=1e-5, rtol=1e-5)


def test_everything_is_as_before_afterwards_and_meanwhile_in_other_threads():
    features, grid = torch.randn(1, 2, 5, 5), torch.rand(1, 4, 4, 2) * 2 - 1
    expected, seen = grid_sample(features, grid, align_corners=False), []
    with exportable(grid_free=True):
        thread = threading.Thread(target=lambda: seen.append(
            grid_sample(features, grid, align_corners=False)))
        thread.start()
        thread.join()
        inside = grid_sample(features, grid, align_corners=False)
    assert torch.equal(seen[0], expected) and not torch.equal(inside, expected)
    assert torch.equal(grid_sample(features, grid, align_corners=False), expected)
    assert torch.backends.mha.get_fastpath_enabled()
    assert 'TRANSFORMERS_DISABLE_TORCH_CHECK' not in os.environ
