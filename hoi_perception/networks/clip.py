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
CLIP (open_clip weights) taken apart where interaction heads need it.

Works for the vision transformers of open_clip with a class token: ViT-B/32, B/16, L/14 of OpenAI,
OpenCLIP or DataComp, and custom configurations of the same class. Convolutional and `timm` towers
have no last block to read pairs from and are refused.
"""

from typing import Mapping, Sequence, Tuple

import open_clip
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize


def build_clip(config: Mapping) -> nn.Module:
    """
    Return an open_clip model with random weights, in evaluation mode.

    config: the keys of open_clip/model_configs/*.json (embed_dim, vision_cfg, text_cfg, ...).
    Raises ValueError with one sentence where the runtime cannot use such a model.
    """
    arguments = dict(config)
    kind = CustomTextCLIP if arguments.pop('custom_text', False) else CLIP
    vision, text = dict(arguments.get('vision_cfg', {})), dict(arguments.get('text_cfg', {}))
    if vision.get('timm_model_name') or isinstance(vision.get('layers'), (list, tuple)):
        raise ValueError('this CLIP image tower is not a vision transformer of open_clip; choose '
                         'a ViT model such as ViT-B-16.')
    if text.get('hf_model_name') or text.get('hf_tokenizer_name'):
        raise ValueError('this CLIP text tower needs a Hugging Face tokenizer, which the runtime '
                         'does not carry; choose a model with the CLIP tokenizer (ViT-B-16).')
    try:
        model = kind(**arguments)
    except (TypeError, AttributeError) as error:
        raise ValueError(f'the CLIP configuration is not one of open_clip ({error}).') from error
    return model.requires_grad_(False).eval()


class ClipTrunk(nn.Module):
    """
    The image tower of CLIP, up to and after its last block.

    grid: (rows, columns) of patches. patch: (height, width) of a patch in pixels of the network
    image. width: channels of a token. embed_dim: channels of the joint space.
    """

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None \
                or visual.pool_type != 'tok' or visual.proj is None:
            raise ValueError('the CLIP image tower must be an open_clip VisionTransformer that '
                             'pools its class token and projects it; choose ViT-B-16 or alike.')
        if not isinstance(visual.transformer.resblocks[-1], ResidualAttentionBlock):
            raise ValueError('the CLIP image tower has attention blocks of a custom kind, which '
                             'the region read-out does not know; choose ViT-B-16 or alike.')
        self.visual = visual
        self.grid: Tuple[int, int] = tuple(visual.grid_size)
        self.patch: Tuple[int, int] = tuple(visual.patch_size)
        self.width: int = visual.conv1.out_channels
        self.embed_dim: int = visual.proj.shape[1]

    @property
    def last_block(self) -> ResidualAttentionBlock:
        """The last residual attention block (pre-norm)."""
        return self.visual.transformer.resblocks[-1]

    @property
    def ln_post(self) -> nn.Module:
        """The layer norm after the last block."""
        return self.visual.ln_post

    @property
    def proj(self) -> Tensor:
        """The (width, embed_dim) projection into the joint space."""
        return self.visual.proj

    def tokens_before_last(self, images: Tensor) -> Tensor:
        """
        Return the (B, 1 + N, width) tokens that enter the last block, class token first.

        images: (B, 3, H, W), normalised, of the size the model was built for.
        """
        x = self.visual._embeds(images)
        for block in self.visual.transformer.resblocks[:-1]:
            x = block(x)
        return x

    forward = tokens_before_last


@torch.no_grad()
def encode_text(model: nn.Module, phrases: Sequence[str], batch: int = 128) -> Tensor:
    """
    Return the (n, embed_dim) unit-norm text embeddings of the phrases, on the model's device.

    Phrases longer than the model's context are cut by the tokenizer.
    """
    tokenizer = _tokenizer(model.context_length)
    device = model.logit_scale.device
    parts = [normalize(model.encode_text(tokenizer(list(phrases[i:i + batch])).to(device)), dim=-1)
             for i in range(0, len(phrases), batch)]
    return torch.cat(parts) if parts else torch.zeros(0, model.visual.output_dim, device=device)


def _tokenizer(context_length: int) -> open_clip.SimpleTokenizer:
    if context_length not in _TOKENIZERS:
        _TOKENIZERS[context_length] = open_clip.SimpleTokenizer(context_length=context_length)
    return _TOKENIZERS[context_length]


_TOKENIZERS: dict = {}
