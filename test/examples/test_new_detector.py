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

"""A new detector: a module that returns Detections; docs/extending/detector.md shows it."""

from bundles import tiny_bundle
from hoi_perception.networks.detection import Detections
from hoi_perception.runtime.bundle import DetectorSpec, ImageSpec, write_bundle
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
import numpy as np
import pytest
import torch
from torch import nn, Tensor
from torch.nn.functional import adaptive_avg_pool2d


# --8<-- [start:detector]
class ColourCells(nn.Module):
    """Class 0 is red and class 1 is blue; boxes are the cells of a grid."""

    query_dim = 3  # length of `Detections.queries`; heads may read them
    pixel_dim = 0  # it makes no masks

    def __init__(self, cells: int = 4, top_k: int = 8) -> None:
        super().__init__()
        self.cells, self.top_k = cells, top_k
        self.colours = nn.Parameter(torch.tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]]))

    def forward(self, images: Tensor) -> Detections:
        """Return the best cells of (B, 3, H, W) images, normalised as the bundle says."""
        features = adaptive_avg_pool2d(images, self.cells).flatten(2).transpose(1, 2)
        scores, labels = (features @ self.colours.T).clamp(0, 1).max(-1)
        scores, cell = scores.topk(self.top_k)  # a fixed number, best first
        corner = torch.stack([cell % self.cells, cell // self.cells], -1) / self.cells
        boxes = torch.cat([corner, corner + 1 / self.cells], -1)  # xyxy, 0..1 of the image
        queries = features.gather(1, cell[..., None].expand(-1, -1, self.query_dim))
        return Detections.from_tensors((boxes, scores, labels.gather(1, cell), queries))
# --8<-- [end:detector]


# --8<-- [start:use]
@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    # In the package this is a kind of its own in DetectorSpec and in loading.build_detector.
    monkeypatch.setattr('hoi_perception.runtime.loading.build_detector',
                        lambda spec: ColourCells(**spec.detector.config))
    base = tiny_bundle(tmp_path / 'base')
    spec = base.spec.model_copy(update={'detector': DetectorSpec(
        kind='dense', config={'cells': 4}, preprocessing=ImageSpec(height=64, width=64),
        classes=('person', 'cup'))})
    bundle = write_bundle(tmp_path / 'mine', spec, {
        'detector.safetensors': ColourCells().state_dict(),
        'clip.safetensors': base.tensors('clip.safetensors')})
    return HoiPipeline(bundle, 'cpu', options=PipelineOptions(triplet_threshold=0.0))


def test_a_detector_of_your_own_finds_people_and_things(pipeline):
    image = np.zeros((200, 400, 3), np.uint8)
    image[50:100, 100:200] = (255, 0, 0)
    image[50:100, 200:300] = (0, 0, 255)
    scene = pipeline(image)
    sure = scene.instances.scores > 0.5
    names = [scene.vocabulary.objects[label] for label in scene.instances.labels[sure]]
    assert names == ['person', 'cup']
    np.testing.assert_allclose(scene.instances.boxes[sure],
                               [[100, 50, 200, 100], [200, 50, 300, 100]])
    assert scene.phrases()[0] == 'person hold cup'
# --8<-- [end:use]


def test_an_image_without_colours_has_nothing_in_it(pipeline):
    scene = pipeline(np.zeros((200, 400, 3), np.uint8))
    assert len(scene.instances) == len(scene.triplets) == 0
