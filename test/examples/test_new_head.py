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

"""A new interaction head: one class, one line in the registry; docs/extending/head.md shows it."""

from bundles import tiny_bundle
from hoi_perception.core.scene import Instances
from hoi_perception.runtime.bundle import HeadSpec
from hoi_perception.runtime.heads import HEADS, PairHead
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
import numpy as np
import pytest
from torch import nn, Tensor
from torch.nn.functional import normalize

GIVEN = Instances([[10, 10, 60, 200], [50, 60, 120, 120], [90, 90, 140, 130]],
                  [0.9, 0.8, 0.6], [0, 1, 2])


# --8<-- [start:head]
class WholeImageHead(PairHead):
    """Every pair gets the feature of the whole image: the least a head can do."""

    reads = ('boxes', 'human', 'object')  # fields of PairBatch that forward looks at

    def __init__(self, trunk, config):
        if config:
            raise ValueError(f'whole_image has no settings, got {sorted(config)}')
        super().__init__(trunk, nn.Identity())

    def forward(self, images: Tensor, batch, object_embeddings: Tensor) -> Tensor:
        """Return (B, P, feature_dim) unit-norm features; see PairHead for the inputs."""
        tokens = self.trunk.last_block(self.trunk.tokens_before_last(images))
        whole = normalize(self.trunk.ln_post(tokens[:, 0]) @ self.trunk.proj, dim=-1)
        return whole[:, None].expand(-1, batch.human.shape[1], -1)
# --8<-- [end:head]


# --8<-- [start:use]
@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    # In the package this is the line 'whole_image': WholeImageHead in HEADS, and the name in
    # HeadSpec.kind; here the test takes the place of a kind that has no weights of its own.
    monkeypatch.setitem(HEADS, 'region_readout', WholeImageHead)
    bundle = tiny_bundle(tmp_path / 'bundle', heads={'mine': HeadSpec(activation='sigmoid')})
    return HoiPipeline(bundle, 'cpu', options=PipelineOptions(triplet_threshold=0.0, masks=False))


def test_a_head_of_your_own_answers_frames(pipeline):
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    scene = pipeline(image, GIVEN)
    assert scene.model_id.endswith('/mine') and len(scene.triplets)
    labels = scene.instances.labels[scene.triplets.object]
    assert scene.vocabulary.validity[scene.triplets.verb, labels].all()
# --8<-- [end:use]


def test_pairs_of_the_same_class_differ_by_the_detector_alone(pipeline):
    """The head sees no boxes, so two cups of one score get the same triplets."""
    image = np.random.default_rng(1).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    cups = Instances([[10, 10, 60, 200], [50, 60, 120, 120], [90, 90, 140, 130]],
                     [0.9, 0.8, 0.8], [0, 2, 2])
    triplets = pipeline(image, cups).triplets
    hold = triplets.scores[triplets.verb == 1]
    assert len(hold) == 2 and hold[0] == pytest.approx(hold[1], rel=1e-5)
