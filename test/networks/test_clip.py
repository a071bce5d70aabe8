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

"""CLIP taken apart computes what open_clip computes."""

from bundles import CLIP_CONFIG
from hoi_perception.networks.clip import build_clip, ClipTrunk, encode_text
import open_clip
import pytest
import torch


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return build_clip(CLIP_CONFIG)


def test_tokens_and_last_block_make_up_the_image_tower(model):
    trunk, images = ClipTrunk(model.visual), torch.randn(2, 3, 64, 64)
    x = trunk.last_block(trunk.tokens_before_last(images))
    torch.testing.assert_close(trunk.ln_post(x)[:, 0] @ trunk.proj, model.visual(images),
                               atol=1e-5, rtol=1e-5)
    assert (trunk.grid, trunk.patch, trunk.width, trunk.embed_dim) == ((4, 4), (16, 16), 32, 16)


def test_text_embeddings_are_unit_norm_and_independent_of_the_batch(model):
    phrases = ['a person riding a horse', 'a cup', 'a person ' + 'very ' * 60 + 'late']
    together = encode_text(model, phrases)
    alone = torch.cat([encode_text(model, [p]) for p in phrases])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(3))
    tokens = open_clip.SimpleTokenizer(context_length=16)(phrases)
    torch.testing.assert_close(together, model.encode_text(tokens, normalize=True))
    assert encode_text(model, []).shape == (0, 16)


@pytest.mark.parametrize('name', ['ViT-B-32', 'ViT-B-16-quickgelu', 'ViT-L-14-336'])
def test_published_vision_transformers_are_accepted(name):
    config = open_clip.get_model_config(name)
    with torch.device('meta'):
        trunk = ClipTrunk(build_clip(config).visual)
    assert trunk.width == config['vision_cfg']['width']


@pytest.mark.parametrize(('change', 'words'), [
    ({'vision_cfg': {'timm_model_name': 'vit_base'}}, 'vision transformer'),
    ({'vision_cfg': {**CLIP_CONFIG['vision_cfg'], 'layers': [1, 1, 1, 1]}}, 'vision transformer'),
    ({'text_cfg': {'hf_model_name': 'roberta-base'}}, 'tokenizer'),
    ({'unheard_of': 1}, 'not one of open_clip')])
def test_other_models_are_refused_with_a_sentence(change, words):
    with pytest.raises(ValueError, match=words):
        build_clip({**CLIP_CONFIG, **change})


@pytest.mark.parametrize('change', [{'pool_type': 'avg'}, {'attentional_pool': True},
                                    {'block_type': 'custom', 'qk_norm': True}])
def test_towers_without_a_plain_class_token_are_refused(change):
    config = {**CLIP_CONFIG, 'vision_cfg': {**CLIP_CONFIG['vision_cfg'], **change}}
    with pytest.raises(ValueError, match='choose ViT-B-16'):
        ClipTrunk(build_clip(config).visual)
