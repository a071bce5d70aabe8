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

"""CL-HOI's head: what each step of the chain reads, padding, parts written out."""

from bundles import CLIP_CONFIG
from hoi_perception.core.errors import BundleError
from hoi_perception.networks.cl_hoi import ClHoi, ClHoiConfig
from hoi_perception.networks.cl_hoi_layers import Adapter, QFormer
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import LainInputs
import pytest
import torch
from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

CONFIG = ClHoiConfig(query_dim=8, heads=2, content_layers=1, translator=16, translator_layers=2,
                     context_queries=3, bottleneck=8)
BATCH, BOXES, PAIRS = 2, 5, 6
CHAIN = [(False, False, False), (True, False, False), (True, True, False), (True, True, True),
         (True, False, True), (False, True, True)]


@pytest.fixture(name='trunk', scope='module')
def _trunk():
    torch.manual_seed(0)
    return ClipTrunk(build_clip(CLIP_CONFIG).visual)


def _head(trunk, spatial=True, visual=True, context=True):
    torch.manual_seed(1)
    return ClHoi(trunk, ClHoiConfig(**{**CONFIG.to_mapping(), 'spatial': spatial,
                                       'visual': visual, 'context': context})).eval()


@pytest.fixture(name='inputs')
def _inputs():
    torch.manual_seed(2)
    low = torch.rand(BATCH, BOXES, 2) * 40
    mask = torch.ones(BATCH, PAIRS, dtype=torch.bool)
    mask[:, -1] = False
    box_mask = torch.ones(BATCH, BOXES, dtype=torch.bool)
    box_mask[:, -1] = False
    return LainInputs(
        torch.randn(BATCH, 3, 64, 64), torch.cat([low, low + 5 + torch.rand(BATCH, BOXES, 2) * 18],
                                                 -1),
        torch.rand(BATCH, BOXES), torch.zeros(BATCH, BOXES, dtype=torch.long), box_mask,
        torch.randn(BATCH, BOXES, CONFIG.query_dim), torch.tensor([[0, 0, 1, 1, 0, 4]] * BATCH),
        torch.tensor([[1, 2, 0, 3, 3, 4]] * BATCH), mask, torch.zeros(4, 16))


@pytest.mark.parametrize('chain', CHAIN)
def test_every_pair_has_a_unit_feature_whatever_steps_are_used(trunk, inputs, chain):
    understood = _head(trunk, *chain).understand(inputs)
    assert understood.features.shape == (BATCH, PAIRS, trunk.embed_dim)
    torch.testing.assert_close(understood.features.norm(dim=-1), torch.ones(BATCH, PAIRS))
    if chain[2]:
        assert understood.context.shape == (BATCH, CONFIG.context_queries, trunk.embed_dim)
    else:
        assert understood.context is None


@pytest.mark.parametrize('field, chain, moves', [
    ('queries', CHAIN[0], True), ('boxes', CHAIN[0], False), ('images', CHAIN[0], False),
    ('boxes', CHAIN[1], True), ('images', CHAIN[1], False), ('images', CHAIN[2], True),
    ('boxes', (False, True, False), True), ('images', CHAIN[4], True),
    ('images', CHAIN[3], True)])
def test_each_step_of_the_chain_reads_what_it_should(trunk, inputs, field, chain, moves):
    head = _head(trunk, *chain)
    for name, value in head.named_parameters():
        if 'context.up' in name or 'view.up' in name:
            torch.nn.init.normal_(value, std=0.1)
    value = getattr(inputs, field)
    changed = inputs._replace(**{field: value + 1.5 * torch.rand_like(value)})
    with torch.inference_mode():
        change = (head(inputs) - head(changed))[inputs.pair_mask].abs().amax(-1).min()
    assert (change > 1e-5) == moves


def test_padding_and_other_images_change_nothing(trunk, inputs):
    head = _head(trunk)
    with torch.inference_mode():
        expected = head(inputs)[:1, :5]
        alone = LainInputs(*(part[:1] for part in inputs[:9]), inputs.object_embeddings)
        short = alone._replace(human=alone.human[:, :5], object=alone.object[:, :5],
                               pair_mask=alone.pair_mask[:, :5])
        torch.testing.assert_close(head(short), expected, atol=1e-5, rtol=1e-4)
        padded = inputs._replace(boxes=inputs.boxes.clone(), queries=inputs.queries.clone())
        padded.boxes[:, -1] = 7
        padded.queries[:, -1] = 9
        torch.testing.assert_close(head(padded)[:1, :5], expected, atol=1e-5, rtol=1e-4)


def test_an_image_without_boxes_stays_finite(trunk, inputs):
    empty = inputs._replace(
        pair_mask=torch.zeros_like(inputs.pair_mask), box_mask=torch.zeros_like(inputs.box_mask),
        boxes=torch.zeros_like(inputs.boxes), queries=torch.zeros_like(inputs.queries))
    with torch.inference_mode():
        assert torch.isfinite(_head(trunk)(empty)).all()


def test_a_fresh_adapter_is_its_linear_layer_and_then_has_a_bottleneck():
    torch.manual_seed(0)
    adapter, x = Adapter(6, 3, 4), torch.randn(2, 6)
    torch.testing.assert_close(adapter(x), adapter.linear(x))
    torch.nn.init.normal_(adapter.up.weight)
    expected = adapter.linear(x) + gelu(x @ adapter.down.weight.T) @ adapter.up.weight.T
    torch.testing.assert_close(adapter(x), expected)


def test_a_q_former_looks_at_the_image_in_every_second_layer_as_written_out_here():
    torch.manual_seed(0)
    former, image = QFormer(3, 3, 8, 2, 0.1).eval(), torch.randn(2, 5, 8)
    assert [layer.look is not None for layer in former.layers] == [True, False, True]

    def attend(attention, query, memory):
        q, k, v = (part(x).unflatten(-1, (2, 4)).transpose(1, 2) for part, x in (
            (attention.query, query), (attention.key, memory), (attention.value, memory)))
        return attention.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    tokens = former.queries.expand(2, 3, 8)
    for layer in former.layers:
        tokens = layer_norm(tokens + attend(layer.attend, tokens, tokens), (8,))
        if layer.look is not None:
            tokens = layer_norm(tokens + attend(layer.look, tokens, image), (8,))
        tokens = layer_norm(tokens + layer.reduce(gelu(layer.expand(tokens))), (8,))
    torch.testing.assert_close(former(image), tokens, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('chain', CHAIN)
def test_the_weights_of_a_head_are_its_own_and_all_learn(trunk, inputs, chain):
    head = _head(trunk, *chain).train()
    assert not [name for name in head.state_dict() if 'visual.transformer' in name]
    head(inputs)[..., 0].sum().backward()
    idle = [name for name, value in head.named_parameters() if value.grad is None]
    assert idle == ['logit_scale']
    assert all(value.grad is None for value in trunk.parameters())


@pytest.mark.parametrize('changes', [{'bottleneck': 0}, {'heads': 3}, {'translator_layers': -1},
                                     {'dropout': 1.0}])
def test_sizes_that_no_layer_can_have_are_refused(changes):
    with pytest.raises(BundleError, match='CL-HOI sizes'):
        ClHoiConfig(**{**CONFIG.to_mapping(), **changes})


def test_heads_must_divide_the_width_of_the_text(trunk):
    with pytest.raises(BundleError, match='multiple of heads, got 12'):
        ClHoi(trunk, ClHoiConfig(**{**CONFIG.to_mapping(), 'heads': 12, 'translator': 24}))


def test_a_configuration_survives_its_mapping_and_knows_its_keys():
    assert ClHoiConfig.from_mapping(CONFIG.to_mapping()) == CONFIG
    with pytest.raises(BundleError, match='unknown CL-HOI settings.*colour'):
        ClHoiConfig.from_mapping({'colour': 1})
