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

"""Small classifiers of the shipped bundle's CLIP."""

from hoi_perception.networks.cosine_classifier import CosineTextClassifier
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_trainer.datasets import synthetic_names
from hoi_trainer.image_classification.backbones import BackboneConfig, open_backbone
from hoi_trainer.image_classification.network import describe, ImageClassifier
from hoi_trainer.image_classification.starts import class_phrases, start_rows
from hoi_trainer.training.weights import write_weights
import pytest


@pytest.fixture(name='shipped', scope='session')
def _shipped():
    return Bundle.open(default_bundle_path())


@pytest.fixture(name='weights', scope='session')
def _weights(shipped, tmp_path_factory):
    """Return a classifier file as `hoi-trainer fit` writes it, at the start of training."""
    config = BackboneConfig()
    opened = open_backbone(config, shipped)
    phrases = class_phrases(synthetic_names(), shipped)
    rows = start_rows('clip', opened, shipped, phrases, 0)
    network = ImageClassifier(opened.backbone, CosineTextClassifier(rows))
    path = tmp_path_factory.mktemp('weights') / 'defr.safetensors'
    write_weights(network, describe(config, phrases, 100.48), path)
    return path
