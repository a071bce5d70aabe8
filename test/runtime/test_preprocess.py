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

"""Images to network inputs and boxes back."""

import warnings

from hoi_perception.core.errors import FrameError
from hoi_perception.runtime.bundle import ImageSpec
from hoi_perception.runtime.preprocess import check_rgb, ImageTransform, shortest_edge_size
import numpy as np
from PIL import Image
import pytest
import torch

CPU = torch.device('cpu')


def _noise(height, width):
    coarse = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.BICUBIC))


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('resize', ['stretch', 'letterbox'])
@pytest.mark.parametrize('size', [(480, 640), (720, 1280), (1, 1), (3, 4000), (64, 96)])
def test_boxes_survive_the_way_to_the_network_and_back(size, resize, interpolation):
    spec = ImageSpec(height=64, width=96, resize=resize, interpolation=interpolation)
    inputs, (at,) = ImageTransform(spec, CPU)([_noise(*size)])
    assert inputs.shape == (1, 3, 64, 96)
    boxes = np.array([[0, 0, size[1], size[0]], [1, 2, 3, 4]], np.float32)
    np.testing.assert_allclose(at.to_source(at.to_network(boxes)), boxes, atol=1e-2)
    whole = at.to_network(boxes[:1])[0]
    assert (whole >= -1e-3).all() and whole[2] <= 96.001 and whole[3] <= 64.001


def test_the_picture_is_that_of_pillow_within_rounding():
    image = _noise(480, 640)
    inputs, _ = ImageTransform(ImageSpec(height=64, width=96), CPU)([image])
    expected = np.array(Image.fromarray(image).resize((96, 64), Image.BILINEAR)) / 255
    difference = np.abs(inputs[0].permute(1, 2, 0).numpy() - expected)
    assert difference.max() < 2.5 / 255


@pytest.mark.parametrize(('size', 'expected'), [
    ((480, 640), (800, 1066)), ((427, 640), (800, 1199)), ((500, 300), (1333, 800)),
    ((200, 640), (417, 1334)), ((800, 800), (800, 800)), ((800, 1000), (800, 1000)),
    ((1080, 1920), (750, 1333)), ((1, 1), (800, 800)), ((1, 9000), (1, 9000))])
def test_the_short_side_rule_is_detrs(size, expected):
    assert shortest_edge_size(*size, 800, 1333) == expected
    flipped = shortest_edge_size(*size[::-1], 800, 1333)
    assert flipped == expected[::-1]


def test_an_image_resized_by_its_short_side_is_pillows_bicubic_to_the_bit():
    spec = ImageSpec(height=80, width=133, resize='shortest_edge', interpolation='bicubic')
    image = _noise(64, 90)
    inputs, (at,) = ImageTransform(spec, CPU)([image])
    assert (at.height, at.width, at.offset_x, at.offset_y) == (80, 112, 0, 0)
    expected = np.array(Image.fromarray(image).resize((112, 80), Image.Resampling.BICUBIC))
    torch.testing.assert_close(inputs[0].permute(1, 2, 0) * 255,
                               torch.from_numpy(expected).float(), atol=1e-4, rtol=0)
    whole = np.array([[0, 0, 90, 64]], np.float32)
    np.testing.assert_allclose(at.to_network(whole), [[0, 0, 112, 80]], atol=1e-4)


def test_letterbox_keeps_the_shape_and_fills_with_the_mean():
    spec = ImageSpec(height=64, width=64, resize='letterbox', mean=(0.5, 0.5, 0.5),
                     std=(0.25, 0.25, 0.25))
    inputs, (at,) = ImageTransform(spec, CPU)([np.full((100, 200, 3), 255, np.uint8)])
    assert at.offset_y == 16 and at.offset_x == 0
    assert inputs[0, :, :16].abs().max() < 0.02
    torch.testing.assert_close(inputs[0, :, 16:48], torch.full((3, 32, 64), 2.0))


def test_views_of_message_bytes_and_slices_are_copied_not_complained_about():
    image = _noise(40, 60)
    frozen = np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape)
    transform = ImageTransform(ImageSpec(height=32, width=32), CPU)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        reference, _ = transform([check_rgb(image)])
        for variant in (frozen, np.asfortranarray(image), image[:, :, ::-1][:, :, ::-1]):
            got, _ = transform([check_rgb(variant)])
            assert torch.equal(got, reference)


@pytest.mark.parametrize(('image', 'kind'), [
    (None, 'wrong_type'), ([[[1, 2, 3]]], 'wrong_type'),
    (np.zeros((4, 4), np.uint8), 'wrong_shape'), (np.zeros((4, 4, 4), np.uint8), 'wrong_shape'),
    (np.zeros((4, 4, 3), np.float32), 'wrong_dtype'),
    (np.zeros((4, 4, 3), np.int8), 'wrong_dtype'),
    (np.zeros((0, 4, 3), np.uint8), 'wrong_size'), (np.zeros((4, 0, 3), np.uint8), 'wrong_size'),
    (np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (2, 40000, 3)), 'wrong_size')])
def test_what_is_no_rgb_image_is_named(image, kind):
    with pytest.raises(FrameError) as raised:
        check_rgb(image)
    assert raised.value.kind == kind
