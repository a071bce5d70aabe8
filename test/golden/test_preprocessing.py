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

"""Preprocessing of imported LAIN bundles against the tensors of the released code."""

import json

from hoi_perception.runtime.preprocess import ImageTransform
from hoi_trainer.lain_import.bundle import clip_image, detector_image
import numpy as np
from PIL import Image
import pytest
from safetensors.torch import load_file
from shared_data import golden_case, golden_root
import torch
from torch import Tensor

CPU = torch.device('cpu')
EXACT = 2e-6
"""Of normalised values: the pictures are equal, multiplication may round otherwise."""


def _pictures() -> list:
    found = [pytest.param(path, name, id=f'{path.stem}-{name}')
             for path in sorted(golden_root().glob('lain/preproc*.json'))
             for name, entry in json.loads(path.read_text()).items() if isinstance(entry, dict)]
    return found or [pytest.param(golden_root() / 'lain' / 'preproc.json', '', id='absent')]


pictures = pytest.mark.parametrize(('path', 'name'), _pictures())


def _case(path, name):
    golden_case(path)
    tensors = load_file(path.with_suffix('.safetensors'))
    image = np.array(Image.open(path.with_name(f'{path.stem}_{name}.png')).convert('RGB'))
    return json.loads(path.read_text())[name], image, {
        key[len(name) + 1:]: value for key, value in tensors.items()
        if key.startswith(f'{name}.')}


def _close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, atol=EXACT, rtol=0)


@pictures
def test_the_detectors_image_is_the_released_one(path, name):
    entry, image, expected = _case(path, name)
    inputs, (at,) = ImageTransform(detector_image(), CPU)([image])
    height, width = entry['detr_hw']
    assert inputs.shape == (1, 3, height, width) and (at.height, at.width) == (height, width)
    _close(inputs[0, :, 0], expected['detr_row0'])
    top, left = (height - 64) // 2, (width - 64) // 2
    _close(inputs[0, :, top:top + 64, left:left + 64], expected['detr_center64'])
    values = inputs[0].double()
    assert float(values.mean()) == pytest.approx(entry['detr_mean'], abs=1e-5)
    assert float(values.std()) == pytest.approx(entry['detr_std'], abs=1e-5)
    assert float(values.abs().sum()) == pytest.approx(entry['detr_abssum'], rel=1e-5)


@pictures
def test_clips_image_comes_from_the_resized_one(path, name):
    entry, image, expected = _case(path, name)
    resized = ImageTransform(detector_image(), CPU).resize(image)
    side = expected['clip'].shape[-1]
    inputs, _ = ImageTransform(clip_image(side), CPU)([resized])
    assert [side, side] == entry['size']
    _close(inputs[0], expected['clip'])


@pictures
def test_boxes_lie_in_clips_image_as_in_the_released_code(path, name):
    entry, image, expected = _case(path, name)
    if 'gt_pixel_1based' not in expected:
        pytest.skip(f'{path.name} holds no boxes of {name}')
    pixels = expected['gt_pixel_1based'].numpy() - np.array([1, 1, 0, 0], np.float32)
    side = entry['size'][0]
    place = ImageTransform(clip_image(side), CPU).place(*image.shape[:2])
    x1, y1, x2, y2 = torch.from_numpy(place.to_network(pixels)).unbind(-1)
    ours = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], -1) / side
    for boxes in (expected['boxes_h_cxcywh'], expected['boxes_o_cxcywh']):
        assert torch.cdist(boxes.double(), ours.double()).min(1).values.max() < 1e-5
