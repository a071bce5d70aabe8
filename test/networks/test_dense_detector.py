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

"""Tests of the dense detector."""

import dataclasses

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.dense_detector import (
    boxes_of,
    DenseDetector,
    DenseDetectorConfig,
    location_centres,
)
import pytest
import torch

SMALL = DenseDetectorConfig(
    classes=3, image_size=(64, 96), widths=(4, 8, 8, 8, 8), depths=(1, 1, 1, 1), head_width=16,
    head_depth=1, masks=5, top_k=7)


@pytest.fixture(name='network')
def _network():
    torch.manual_seed(0)
    network = DenseDetector(SMALL)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


@pytest.fixture(name='images')
def _images():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def test_detections_have_fixed_shapes_and_falling_scores(network, images):
    with torch.inference_mode():
        found = network(images)
    assert found.boxes.shape == (2, 7, 4)
    assert found.labels.shape == (2, 7) and found.labels.dtype == torch.int64
    assert found.queries.shape == (2, 7, 16)
    assert found.coefficients.shape == (2, 7, 5)
    assert found.prototypes.shape == (2, 5, 16, 24)
    assert (found.scores.diff(dim=1) <= 0).all()
    assert 0 <= found.boxes.min() and found.boxes.max() <= 1
    assert (found.boxes[..., 2:] >= found.boxes[..., :2]).all()
    assert 0 <= found.labels.min() and found.labels.max() < 3


def test_every_detection_is_read_at_its_own_location(network, images):
    with torch.inference_mode():
        found, dense = network(images), network.dense(images)
    scores = dense.class_logits.sigmoid()
    for image in range(2):
        for i in range(7):
            label, query = found.labels[image, i], found.queries[image, i]
            here = (dense.queries[image] - query[:, None, None]).abs().amax(0)
            row, column = divmod(int(here.argmin()), here.shape[1])
            assert here[row, column] == 0
            assert scores[image, label, row, column] == found.scores[image, i]
            box = boxes_of(dense.distances[image, :, row, column],
                           torch.tensor([column + 0.5, row + 0.5]) * 8)
            expected = (box / torch.tensor([96, 64, 96, 64])).clamp(0, 1)
            torch.testing.assert_close(found.boxes[image, i], expected)


def test_neighbours_of_a_peak_are_thinned_out(network, images):
    with torch.no_grad():
        network.classify.weight.zero_()
        network.classify.bias.fill_(-9.0)
        dense = network.dense(images)
        dense.class_logits[:] = -9.0
        dense.class_logits[:, 1, 3, 4:6] = torch.tensor([2.0, 3.0])
        network.dense = lambda _: dense
        found = network(images)
    assert (found.scores > 0.5).sum(1).tolist() == [1, 1]
    assert found.labels[:, 0].tolist() == [1, 1]


def test_folding_the_normalisation_changes_nothing(network, images):
    with torch.inference_mode():
        before = network.dense(images)
        network.fold_normalisation()
        after = network.dense(images)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    for a, b in zip(before, after):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_the_network_exports_and_the_program_agrees(network, images):
    program = torch.export.export(network, (images,)).module()
    with torch.inference_mode():
        for a, b in zip(network(images), program(images)):
            torch.testing.assert_close(a, b)


def test_centres_lie_in_the_middle_of_their_cells_row_by_row():
    centres = location_centres((64, 96))
    assert centres.shape == (96, 2)
    assert centres[0].tolist() == [4, 4] and centres[1].tolist() == [12, 4]
    assert centres[12].tolist() == [4, 12]


def test_the_configuration_survives_a_mapping():
    assert DenseDetectorConfig.from_mapping(SMALL.to_mapping()) == SMALL
    assert all(not isinstance(value, tuple) for value in SMALL.to_mapping().values())


@pytest.mark.parametrize('change, word', [
    ({'image_size': (250, 320)}, 'multiples of 32'), ({'image_size': (256,)}, 'multiples of 32'),
    ({'widths': (1, 2)}, 'widths'), ({'depths': (1,)}, 'depths')])
def test_impossible_settings_are_refused(change, word):
    with pytest.raises(BundleError, match=word):
        dataclasses.replace(SMALL, **change)


def test_unknown_settings_are_named():
    with pytest.raises(BundleError, match='colour'):
        DenseDetectorConfig.from_mapping({'colour': 1})


def test_images_of_another_size_are_refused(network):
    with pytest.raises(BundleError, match=r'\(64, 96\).*\(32, 32\)'):
        network(torch.zeros(1, 3, 32, 32))


def test_the_standard_network_stays_small():
    count = sum(p.numel() for p in DenseDetector().parameters())
    assert 2.0e6 < count < 2.7e6
