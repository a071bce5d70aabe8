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

"""From what a set predictor says to instances: duplicates, boxes beyond the border, sizes."""

import json

from bundles import tiny_spec
from hoi_perception.networks.clip import build_clip
from hoi_perception.networks.transformers_detectors import TransformersDetector
from hoi_perception.runtime.bundle import (
    Bundle,
    ClipSpec,
    DetectorSpec,
    ImageSpec,
    write_bundle,
)
from hoi_perception.runtime.detect_stage import DetectStage
from hoi_perception.runtime.pipeline import HoiPipeline
from hoi_perception.runtime.preprocess import Placement
import numpy as np
import pytest
from random_models import random_detector
import torch

CPU = torch.device('cpu')
AT = Placement(0.5, 0.5, 0.0, 0.0, 100, 100)
"""A source image of 200 x 200 pixels."""

ROWS = np.array([[0.1, 0.1, 0.5, 0.5, 0.9, 0], [0.1, 0.1, 0.5, 0.52, 0.8, 0],
                 [0.1, 0.1, 0.5, 0.5, 0.7, 1], [-0.2, -0.1, 0.3, 1.2, 0.6, 3],
                 [1.1, 0.2, 1.3, 0.4, 0.5, 3], [0.2, 0.2, 0.4, 0.4, 0.4, 2]], np.float32)
"""Box in 0..1, score and class: a duplicate, two across the border, one that means nothing."""


def _bundle(directory, **changes) -> Bundle:
    model = random_detector('DetrForObjectDetection')
    detector = DetectorSpec(
        kind='transformers', architecture='DetrForObjectDetection', top_k=12,
        config=json.loads(model.config.to_json_string(use_diff=False)),
        classes=('person', 'bicycle', '', 'cup'), preprocessing=changes.pop(
            'image', ImageSpec(height=64, width=64)), **changes)
    spec = tiny_spec()
    spec = tiny_spec(detector=detector, clip=ClipSpec(
        config=spec.clip.config, preprocessing=spec.clip.preprocessing, after_detector=True))
    return write_bundle(directory, spec, {
        'detector.safetensors': TransformersDetector(model).state_dict(),
        'clip.safetensors': build_clip(spec.clip.config).state_dict()})


@pytest.mark.parametrize(('changes', 'kept'), [
    ({}, [0, 1, 2, 3]), ({'suppress': True}, [0, 2, 3]), ({'clip_boxes': False}, [0, 1, 2, 3, 4]),
    ({'suppress': True, 'clip_boxes': False}, [0, 2, 3, 4])])
def test_duplicates_and_border_are_treated_as_described(changes, kept, tmp_path):
    found = DetectStage(_bundle(tmp_path / 'b', **changes), CPU).find(ROWS, AT, 200, 200)
    assert found.rows.tolist() == kept
    across = found.instances.boxes[found.rows.tolist().index(3)]
    expected = [0, 0, 60, 200] if changes.get('clip_boxes', True) else [-40, -20, 60, 240]
    np.testing.assert_allclose(across, expected, atol=1e-4)


def test_scenes_hold_boxes_within_the_image_even_where_heads_saw_them_whole(tmp_path):
    pipeline = HoiPipeline(_bundle(tmp_path / 'b', clip_boxes=False), 'cpu')
    network = pipeline._detect.network
    with torch.no_grad():
        network.model.bbox_predictor.layers[-1].bias.copy_(torch.tensor([1., -1., 3., 3.]))
        network.model.class_labels_classifier.bias.copy_(torch.tensor([9., 0, 0, 0, 0]))
        raw = network(torch.rand(1, 3, 64, 64)).boxes
    assert raw.min() < 0 and raw.max() > 1
    boxes = pipeline(np.zeros((50, 80, 3), np.uint8)).instances.boxes
    assert len(boxes) and boxes.min() >= 0 and (boxes.max(0) <= [80, 50, 80, 50]).all()


def test_images_of_several_network_sizes_run_as_if_alone(tmp_path):
    image = ImageSpec(height=64, width=96, resize='shortest_edge', interpolation='bicubic')
    pipeline = HoiPipeline(_bundle(tmp_path / 'b', image=image), 'cpu')
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8)
              for size in ((50, 60), (50, 60), (90, 40), (50, 60))]
    resized = [pipeline._detect.transform.resize(image) for image in images]
    assert [len(run) for run in pipeline._detect.prepare(resized)] == [2, 1, 1]
    for result, image in zip(pipeline.run(images), images):
        np.testing.assert_allclose(result.scene.instances.boxes, pipeline(image).instances.boxes,
                                   atol=1e-3)
        np.testing.assert_allclose(result.scene.triplets.scores, pipeline(image).triplets.scores,
                                   atol=1e-5)
