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

"""Segmenters as trunks: their masks come back from queries and pixel embedding."""

from hoi_perception.networks.dense_detector import DenseDetector, DenseDetectorConfig
from hoi_perception.networks.export_adapters import exportable
from hoi_perception.networks.seg_trunk import (
    boxes_of_masks,
    instance_mask_logits,
    SEGMENTERS,
    SegTrunk,
)
from hoi_perception.networks.transformers_detectors import TransformersDetector
import pytest
from random_models import random_detector
import torch

SMALL = DenseDetectorConfig(classes=4, image_size=(64, 64), widths=(8, 8, 16, 16, 16),
                            depths=(1, 1, 1, 1), head_width=16, head_depth=1, masks=4, top_k=8)


def _trunk(name):
    if name == 'dense':
        torch.manual_seed(0)
        return DenseDetector(SMALL).eval()
    return TransformersDetector(random_detector(name), top_k=8)


@pytest.mark.parametrize('name', ['dense', *SEGMENTERS])
def test_every_trunk_gives_queries_boxes_classes_masks_and_a_pixel_embedding(name):
    trunk = _trunk(name)
    with torch.no_grad():
        found = trunk(torch.rand(2, 3, 64, 64))
    assert isinstance(trunk, SegTrunk) and trunk.pixel_dim > 0
    assert found.queries.shape == (2, 8, trunk.query_dim)
    assert found.coefficients.shape == (2, 8, trunk.pixel_dim)
    assert found.prototypes.shape[:2] == (2, trunk.pixel_dim)
    assert instance_mask_logits(found).shape == (2, 8, *found.prototypes.shape[2:])
    assert (found.scores.diff(dim=1) <= 0).all() and (found.boxes.abs() <= 1).all()


def _masks_of_the_library(name, output):
    if name == 'RfDetrForInstanceSegmentation':
        scores, masks = output.logits.sigmoid(), output.pred_masks
    else:
        scores, masks = output.class_queries_logits, output.masks_queries_logits
    return scores, masks


@pytest.mark.parametrize('name', SEGMENTERS)
def test_masks_are_those_of_the_library(name):
    trunk, images = _trunk(name), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        parts = SEGMENTERS[name](trunk.model, images)
        scores, masks = _masks_of_the_library(name, trunk.model(pixel_values=images))
    ours = torch.einsum('bqm,bmhw->bqhw', parts.embeddings, parts.pixels)
    if name == 'Mask2FormerForUniversalSegmentation':  # the library gives them at another size
        masks = torch.nn.functional.interpolate(masks, ours.shape[-2:], mode='bilinear')
    torch.testing.assert_close(ours, masks, atol=1e-4, rtol=1e-4)
    if name == 'RfDetrForInstanceSegmentation':
        torch.testing.assert_close(parts.probabilities, scores)


def test_a_detector_without_masks_is_no_trunk():
    assert TransformersDetector(random_detector('RfDetrForObjectDetection')).pixel_dim == 0


def test_boxes_go_around_the_positive_cells():
    logits = torch.full((2, 4, 8), -1.0)
    logits[0, 1:3, 2:6] = 1.0
    boxes = boxes_of_masks(logits)
    assert boxes.tolist() == [[0.25, 0.25, 0.75, 0.75], [0.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize('name', ['RfDetrForInstanceSegmentation',
                                  'Mask2FormerForUniversalSegmentation'])
def test_a_trunk_is_exported_without_grid_sample(name):
    trunk, images = _trunk(name), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = trunk(images)
        with exportable(True):
            program = torch.export.export(trunk, (images,), strict=False)
        found = program.module()(images)
    assert 'grid_sampler' not in str(program.graph)
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)
