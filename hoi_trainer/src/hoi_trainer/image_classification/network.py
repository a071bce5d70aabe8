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

"""A backbone with its cosine classifier, and the file that holds both."""

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, Sequence, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.cosine_classifier import CosineTextClassifier
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.image_classification.backbones import (
    BackboneConfig,
    ImageBackbone,
    open_backbone,
)
from hoi_trainer.training.weights import read_weights
import torch
from torch import nn, Tensor

KIND = 'image_classifier'


class ImageClassifier(nn.Module):
    """Images in 0..1 to one logit per HOI class."""

    def __init__(self, backbone: ImageBackbone, classifier: CosineTextClassifier) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, C) float32 logits of (B, 3, S, S) images."""
        features = self.backbone(images)
        # Logits reach 100, where 16 bits leave steps of 0.5.
        with torch.autocast(features.device.type, enabled=False):
            return self.classifier(features)


class TrainedClassifier(NamedTuple):
    """
    What `hoi-trainer fit` wrote.

    network: in evaluation mode, not to be trained. backbone: how it is made. phrases: of the
    classes, in order. exponents: powers (a, b) of the detector's scores of human and object.
    """

    network: ImageClassifier
    backbone: BackboneConfig
    phrases: Tuple[str, ...]
    exponents: Tuple[float, float]


def describe(backbone: BackboneConfig, phrases: Sequence[str], gamma: float) -> dict:
    """Return the configuration that goes along with the weights."""
    return {'kind': KIND, 'backbone': asdict(backbone), 'phrases': list(phrases), 'gamma': gamma,
            'exponents': [1.0, 1.0]}


def read_classifier(path: Path, bundle: Bundle) -> TrainedClassifier:
    """
    Return a trained classifier; raises `BundleError` or `HoiError` where the file holds none.

    bundle: the one whose CLIP the backbone was, for its architecture.
    """
    config, state = read_weights(path)
    if config.get('kind') != KIND:
        raise BundleError(f'{path} holds {config.get("kind")!r}, expected an image classifier '
                          'written by `hoi-trainer fit -c configs/synthetic/defr.yaml`.')
    described = BackboneConfig(**{**config['backbone'], 'weights': ''})
    backbone = open_backbone(described, bundle).backbone
    start = torch.ones(len(config['phrases']), backbone.width)
    network = ImageClassifier(backbone, CosineTextClassifier(start, config['gamma']))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise BundleError(f'{path} does not fit the CLIP of bundle {bundle.spec.name}: '
                          f'{" ".join(str(error).split())[:300]}') from error
    return TrainedClassifier(network.requires_grad_(False).eval(), described,
                             tuple(config['phrases']), tuple(config['exponents']))
