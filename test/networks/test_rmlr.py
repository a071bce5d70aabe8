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

"""RmLR's head: what it reads, what it leaves alone, and what it is without re-mining."""

from bundles import CLIP_CONFIG
from hoi_perception.core.errors import BundleError
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import LainInputs
from hoi_perception.networks.lain_adapters import take
from hoi_perception.networks.pair_geometry import pair_geometry
from hoi_perception.networks.rmlr import Rmlr, RmlrConfig
from hoi_perception.networks.seg2hoi_layers import centre_size, sine_code
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

CONFIG = RmlrConfig(width=16, query_dim=8, heads=2, ffn=32)
BATCH, BOXES, PAIRS = 2, 5, 6


@pytest.fixture(name='trunk', scope='module')
def _trunk():
    torch.manual_seed(0)
    return ClipTrunk(build_clip(CLIP_CONFIG).visual)


def _head(trunk, **changes):
    torch.manual_seed(1)
    return Rmlr(trunk, RmlrConfig(**{**CONFIG.to_mapping(), **changes})).eval()


@pytest.fixture(name='inputs')
def _inputs():
    torch.manual_seed(2)
    low = torch.rand(BATCH, BOXES, 2) * 40
    human = torch.tensor([[0, 0, 1, 1, 0, 0]] * BATCH)
    thing = torch.tensor([[1, 2, 0, 3, 4, 0]] * BATCH)
    mask = torch.ones(BATCH, PAIRS, dtype=torch.bool)
    mask[:, -1] = False
    return LainInputs(
        torch.randn(BATCH, 3, 64, 64), torch.cat([low, low + 5 + torch.rand(BATCH, BOXES, 2) * 18],
                                                 -1),
        torch.rand(BATCH, BOXES), torch.zeros(BATCH, BOXES, dtype=torch.long),
        torch.ones(BATCH, BOXES, dtype=torch.bool), torch.randn(BATCH, BOXES, CONFIG.query_dim),
        human, thing, mask, torch.zeros(4, 16))


def _tokens(head, inputs):
    """Return the features and the tokens before re-mining, after it and after reasoning."""
    kept = {}
    handles = [getattr(head, name).register_forward_hook(
        lambda module, given, output, name=name: kept.__setitem__(name, output))
        for name in ('pair', 'ire', 'irm')]
    with torch.inference_mode():
        features = head(inputs)
    for handle in handles:
        handle.remove()
    return features, kept['pair'], kept['ire'], kept['irm']


def test_every_pair_has_a_unit_feature_in_the_space_of_the_text(trunk, inputs):
    features, pair, remined, reasoned = _tokens(_head(trunk), inputs)
    assert features.shape == (BATCH, PAIRS, trunk.embed_dim)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(BATCH, PAIRS))
    assert pair.shape == remined.shape == (BATCH, PAIRS, 16) and reasoned.shape[-1] == 32


@pytest.mark.parametrize('field', ['images', 'boxes', 'queries'])
def test_features_depend_on_the_image_the_boxes_and_the_detector_tokens(trunk, inputs, field):
    head = _head(trunk)
    changed = inputs._replace(**{field: getattr(inputs, field) + 1.5 * torch.rand_like(
        getattr(inputs, field))})
    with torch.inference_mode():
        assert (head(inputs) - head(changed))[inputs.pair_mask].abs().amax(-1).min() > 1e-4


def test_padding_and_other_images_change_nothing(trunk, inputs):
    head = _head(trunk)
    with torch.inference_mode():
        expected = head(inputs)[:1, :5]
        alone = LainInputs(*(part[:1] for part in inputs[:9]), inputs.object_embeddings)
        short = alone._replace(human=alone.human[:, :5], object=alone.object[:, :5],
                               pair_mask=alone.pair_mask[:, :5])
        torch.testing.assert_close(head(short), expected, atol=1e-5, rtol=1e-4)
        other = inputs._replace(human=inputs.human.clone())
        other.human[:, -1] = 3  # a padded pair
        torch.testing.assert_close(head(other)[:1, :5], expected, atol=1e-5, rtol=1e-4)


def test_an_image_without_pairs_stays_finite(trunk, inputs):
    empty = inputs._replace(pair_mask=torch.zeros_like(inputs.pair_mask),
                            boxes=torch.zeros_like(inputs.boxes),
                            queries=torch.zeros_like(inputs.queries))
    with torch.inference_mode():
        assert torch.isfinite(_head(trunk)(empty)).all()


def test_re_mining_reads_the_image_and_layers_without_looking_do_not(trunk, inputs):
    other = inputs._replace(images=inputs.images.flip(-1))
    for looks, differs in ((True, True), (False, False)):
        head = _head(trunk, looks=looks)
        first, second = _tokens(head, inputs), _tokens(head, other)
        assert torch.equal(first[1], second[1]), 'pair tokens come from the detector alone'
        assert torch.allclose(first[2], second[2]) is not differs


def _post_norm(layer, width, ffn):
    """Return PyTorch's own encoder layer with the weights of one of ours."""
    theirs = nn.TransformerEncoderLayer(width, 2, ffn, 0.0, batch_first=True).eval()
    attention, projections = theirs.self_attn, (layer.attend.query, layer.attend.key,
                                                layer.attend.value)
    theirs.load_state_dict({
        'self_attn.in_proj_weight': torch.cat([part.weight for part in projections]),
        'self_attn.in_proj_bias': torch.cat([part.bias for part in projections]),
        **{f'self_attn.out_proj.{name}': value
           for name, value in layer.attend.out.state_dict().items()},
        **{f'linear{number + 1}.{name}': value for number in (0, 1)
           for name, value in layer.ffn.layers[number].state_dict().items()},
        **{f'norm{number + 1}.{name}': value for number in (0, 1)
           for name, value in layer.norms[number].state_dict().items()}})
    assert attention.in_proj_weight.shape == (3 * width, width)
    return theirs


def test_without_re_mining_it_is_a_upt_style_baseline(trunk, inputs):
    """Pair tokens, pooled image and geometry, one encoder layer over pairs: written out here."""
    head = _head(trunk, ire_layers=0)
    features, pair, remined, _ = _tokens(head, inputs)
    assert torch.equal(pair, remined)

    def linear(perceptron, x):
        for number, layer in enumerate(perceptron.layers):
            x = layer(x.relu() if number else x)
        return x

    with torch.no_grad():
        human, thing = (take(inputs.boxes, index) for index in (inputs.human, inputs.object))
        codes = [sine_code(centre_size(boxes / 64)) for boxes in (human, thing)]
        entity = head.entity_norm(inputs.queries)
        tokens = linear(head.pair, torch.cat([take(entity, inputs.human),
                                              take(entity, inputs.object), *codes], -1))
        patches = linear(head.patches, head.patch_norm(
            trunk.tokens_before_last(inputs.images)[:, 1:]))
        numbers = linear(head.geometry, head.geometry_norm(pair_geometry(human, thing, 64, 64)))
        visual = linear(head.visual, torch.cat(
            [tokens, patches.mean(1, keepdim=True).expand(-1, PAIRS, -1), numbers], -1))
        reasoned = _post_norm(head.irm.layers[0], 32, 32)(
            visual, src_key_padding_mask=~inputs.pair_mask)
        expected = normalize(linear(head.out, reasoned), dim=-1)
    shown = inputs.pair_mask
    torch.testing.assert_close(features[shown], expected[shown], atol=1e-5, rtol=1e-4)
    assert not [name for name in head.state_dict() if name.startswith(('ire', 'place', 'cell'))]


def test_the_weights_of_a_head_are_its_own_and_all_learn(trunk, inputs):
    for changes in ({}, {'ire_layers': 0}, {'looks': False}):
        head = _head(trunk, **changes).train()
        assert not [name for name in head.state_dict() if 'visual.transformer' in name]
        head(inputs).sum().backward()
        idle = [name for name, value in head.named_parameters() if value.grad is None]
        assert idle == ['logit_scale'], changes
        assert all(value.grad is None for value in trunk.parameters())


@pytest.mark.parametrize('changes', [{'width': 0}, {'heads': 3}, {'ire_layers': -1},
                                     {'dropout': 1.0}])
def test_sizes_that_no_layer_can_have_are_refused(changes):
    with pytest.raises(BundleError, match='RmLR sizes'):
        RmlrConfig(**{**CONFIG.to_mapping(), **changes})


def test_a_configuration_survives_its_mapping_and_knows_its_keys():
    assert RmlrConfig.from_mapping(CONFIG.to_mapping()) == CONFIG
    with pytest.raises(BundleError, match='unknown RmLR settings.*colour'):
        RmlrConfig.from_mapping({'colour': 1})
