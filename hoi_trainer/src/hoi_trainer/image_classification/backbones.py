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

"""
Image backbones behind one protocol: images in 0..1 in, one feature per image out.

CLIP's vision transformer without its projection, CLIP's ResNet, or any `timm` network.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from hoi_perception.core.errors import BundleError, HoiError
from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.networks.region_readout import masked_class_tokens
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.bundle_build import clip_configuration
import open_clip
from open_clip.model import CLIP, resize_pos_embed
from open_clip.transformer import VisionTransformer
import timm
import torch
from torch import nn, Tensor

KINDS = ('bundle', 'open_clip', 'timm')


@dataclass(frozen=True)
class BackboneConfig:
    """
    Which backbone.

    kind: `bundle` is the image tower of the bundle's CLIP; `open_clip` and `timm` are made by
    `name`, an open_clip configuration (model name or JSON file) or a timm model. weights: a local
    file for those two, '' = random. image_size: side of the image, None = the model's own;
    position embeddings are resized.
    """

    kind: str = 'bundle'
    name: str = ''
    weights: str = ''
    image_size: Optional[int] = None


class ImageBackbone(nn.Module):
    """
    What the classifier asks of a backbone.

    width: length of a feature. image_size: side of the image in pixels. projection: (width,
    joint) map into CLIP's joint space that was removed, None where features are in the space of
    the text already, or have none. mean, std: of 0..1 RGB.
    """

    projection: Optional[Tensor] = None

    def __init__(self, width: int, image_size: int, mean: Sequence[float],
                 std: Sequence[float]) -> None:
        super().__init__()
        self.width, self.image_size = width, image_size
        for name, values in (('mean', mean), ('std', std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width) features of (B, 3, S, S) images in 0..1."""
        return self.features((images - self.mean) / self.std)

    def features(self, images: Tensor) -> Tensor:
        """Return (B, width) features of normalised images."""
        raise NotImplementedError


class ClipVit(ImageBackbone):
    """CLIP's vision transformer: the class token after the last norm, not projected."""

    def __init__(self, visual: VisionTransformer, mean: Sequence[float],
                 std: Sequence[float]) -> None:
        trunk = ClipTrunk(visual)
        super().__init__(trunk.width, visual.image_size[0], mean, std)
        self.trunk = trunk
        self.trunk.proj.requires_grad_(False)  # it takes no part: DEFR removes it

    @property
    def projection(self) -> Tensor:
        """CLIP's own projection, (width, joint)."""
        return self.trunk.proj

    def features(self, images: Tensor) -> Tensor:
        """Return the features; the last block computes its class token only."""
        tokens = self.trunk.tokens_before_last(images)
        everything = torch.ones(len(tokens), 1, tokens.shape[1] - 1, dtype=torch.bool,
                                device=tokens.device)
        return self.trunk.ln_post(masked_class_tokens(self.trunk.last_block, tokens,
                                                      everything)[:, 0])


class ClipResNet(ImageBackbone):
    """CLIP's ResNet with its attention pool, whose output is in the joint space."""

    def __init__(self, visual: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(visual.output_dim, visual.image_size, mean, std)
        self.visual = visual

    def features(self, images: Tensor) -> Tensor:
        """Return the pooled features."""
        return self.visual(images)


class TimmNetwork(ImageBackbone):
    """A network of timm without its classifier, such as those trained on ImageNet."""

    def __init__(self, network: Any, image_size: int) -> None:
        data = timm.data.resolve_model_data_config(network)
        super().__init__(network.num_features, image_size, data['mean'], data['std'])
        self.network = network

    def features(self, images: Tensor) -> Tensor:
        """Return the pooled features."""
        return self.network(images)


class Opened(NamedTuple):
    """A backbone and, where it is part of one, its whole CLIP (for text)."""

    backbone: ImageBackbone
    clip: Optional[nn.Module]


def clip_at_size(config: Mapping[str, Any], state: Optional[Mapping[str, Tensor]],
                 image_size: Optional[int]) -> CLIP:
    """
    Return an open_clip model for images of another size, position embeddings resized bicubically.

    state: its weights, None = random.
    """
    config = {**config, 'vision_cfg': dict(config['vision_cfg'])}
    if image_size:
        config['vision_cfg']['image_size'] = image_size
    model = CLIP(**config)
    if state is not None:
        state = dict(state)
        resize_pos_embed(state, model, antialias=False)
        model.load_state_dict(state)
    return model


def open_backbone(config: BackboneConfig, bundle: Bundle) -> Opened:
    """Return the backbone, to be trained; raises `HoiError` where there is no such."""
    if config.kind not in KINDS:
        raise HoiError(f'backbone {config.kind!r} is not known; choose {", ".join(KINDS)}.')
    if config.kind == 'timm':
        return Opened(_timm(config), None)
    image = bundle.spec.clip.preprocessing
    if config.kind == 'bundle':
        model = clip_at_size(bundle.spec.clip.config, bundle.tensors('clip.safetensors'),
                             config.image_size)
        return Opened(ClipVit(model.visual, image.mean, image.std), model)
    described = clip_configuration(config.name)
    model = clip_at_size(described, None, config.image_size)
    if config.weights:
        try:
            open_clip.load_checkpoint(model, config.weights, strict=True, weights_only=True)
        except Exception as error:
            raise BundleError(f'CLIP weights {config.weights} do not load into {config.name}: '
                              f'{" ".join(str(error).split())[:300]}') from error
    kind = ClipVit if isinstance(model.visual, VisionTransformer) else ClipResNet
    return Opened(kind(model.visual, open_clip.OPENAI_DATASET_MEAN,
                       open_clip.OPENAI_DATASET_STD), model)


def _timm(config: BackboneConfig) -> TimmNetwork:
    if config.weights and not Path(config.weights).is_file():
        raise HoiError(f'there are no timm weights at {config.weights}.')
    try:
        size = {'img_size': config.image_size} if config.image_size else {}
        try:
            network = timm.create_model(config.name, num_classes=0,
                                        checkpoint_path=config.weights, **size)
        except TypeError:  # convolutional networks take any size without being told
            network = timm.create_model(config.name, num_classes=0,
                                        checkpoint_path=config.weights)
    except RuntimeError as error:
        raise HoiError(f'timm network {config.name!r} cannot be made: '
                       f'{" ".join(str(error).split())[:300]}') from error
    default = timm.data.resolve_model_data_config(network)['input_size'][-1]
    return TimmNetwork(network, config.image_size or default)
