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

"""LAIN against a literal transcription: one masked sequence, every projection where it is told."""

from bundles import CLIP_CONFIG
from hoi_perception.core.errors import BundleError
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import box_of_cell, Lain, LainConfig, LainInputs
import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu, normalize, relu
from torchvision.ops import roi_align

SIZES = {'adapter_dim': 8, 'query_dim': 6, 'object_dim': 16, 'hidden': 12, 'context_queries': 3}
VARIANTS = [{}, {'official': True}, {'locality': False}, {'interaction': False},
            {'locality': False, 'interaction': False}, {'interaction': False, 'official': True}]
variants = pytest.mark.parametrize('variant', VARIANTS, ids=lambda v: ' '.join(
    key if value else f'no {key}' for key, value in v.items()) or 'default')


def _trunk(size=(64, 64), quick: bool = True) -> ClipTrunk:
    torch.manual_seed(0)
    vision = {**CLIP_CONFIG['vision_cfg'], 'image_size': size, 'layers': 3}
    return ClipTrunk(build_clip(
        {**CLIP_CONFIG, 'vision_cfg': vision, 'quick_gelu': quick}).visual)


def _head(trunk: ClipTrunk, gate: float = 1.0, **settings) -> Lain:
    torch.manual_seed(1)
    head = Lain(trunk, LainConfig(**{**SIZES, **settings})).eval()
    with torch.no_grad():
        for adapter in head.adapters:
            for name in ('scale', 'scale2'):
                if hasattr(adapter, name):
                    getattr(adapter, name).copy_(torch.randn(trunk.width) * gate)
    return head


def _inputs(size=(64, 64), batch: int = 2, boxes: int = 4, seed: int = 2) -> LainInputs:
    """Return images with two humans each; boxes lie partly outside."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=random)
    corner = torch.rand(batch, boxes, 2, generator=random) * max(size) - 12
    extent = torch.rand(batch, boxes, 2, generator=random) * max(size)
    pairs = [(i, j) for i in range(2) for j in range(boxes) if i != j]
    human, thing = torch.tensor(pairs).T.expand(batch, 2, -1).unbind(1)
    labels = torch.randint(1, 5, (batch, boxes), generator=random)
    labels[:, :2] = 0
    return LainInputs(
        normal(batch, 3, *size), torch.cat([corner, corner + extent], -1),
        torch.rand(batch, boxes, generator=random), labels,
        torch.ones(batch, boxes, dtype=torch.bool), normal(batch, boxes, 6), human, thing,
        torch.ones(batch, len(pairs), dtype=torch.bool), normal(6, 16))


def _decoder(layer: nn.Module, tokens, memory):
    """Return a post-norm decoder layer's output; (T, N, d) tokens on (S, N, d) memory."""
    x = layer.norm2(tokens + layer.multihead_attn(tokens, memory, memory)[0])
    return layer.norm3(x + layer.linear2(relu(layer.linear1(x))))


def _literal_adapter(head: Lain, index: int, x, prior, boxes, human, thing):
    """Return the update of one image's tokens (T, width), as the specification says it."""
    adapter, (rows, columns) = head.adapters[index], head.trunk.grid
    official = head.config.official
    count = len(human) + int(official)
    image, update = x[-rows * columns:], torch.zeros_like(x)
    if head.config.locality:
        f = relu(adapter.down_proj3(image)).view(rows, columns, -1) + prior
        f = adapter.down_proj6(adapter.ln3(f)).permute(2, 0, 1)[None]
        c = leaky_relu(adapter.down_proj4(f) + adapter.down_proj5(f))[0].permute(1, 2, 0)
        update[-rows * columns:] = adapter.up_proj2(adapter.ln2(c).flatten(0, 1)) * adapter.scale2
    if not head.config.interaction:
        return update
    image = image + update[-rows * columns:]
    if official:
        height, width = rows * 16, columns * 16
        whole = torch.tensor([[0., 0., width, height + 20 * height / 224]])
        boxes, last = torch.cat([boxes, whole]), torch.tensor([len(boxes)])
        human, thing = torch.cat([human, last]), torch.cat([thing, last])
    maps = image.T.reshape(1, -1, rows, columns)
    pooled = roi_align(maps, [boxes], (7, 7), 1 / 16, -1, True).flatten(2).transpose(1, 2)
    pooled = adapter.ln(adapter.down_proj2(pooled))
    prompts = adapter.prompt.weight[:, None].expand(-1, len(boxes), -1)
    context = _decoder(adapter.mhsa_layers[0], prompts, pooled.transpose(0, 1))
    first, second = context[:, human], context[:, thing]
    t = leaky_relu(adapter.down_proj(x[:count]))[None]
    sides = [_decoder(adapter.mhsa_layers2[0], t, _decoder(adapter.mhsa_layers3[0], *both))
             for both in ((first, second), (second, first))]
    update[:count] = adapter.up_proj(torch.cat(sides, -1)[0]) * adapter.scale
    return update


def _literal_prior(head: Lain, boxes, scores, labels, embeddings):
    rows, columns = head.trunk.grid
    cells = boxes / 16 + torch.tensor([0, 0, 0.5, 0.5])
    owner = torch.full((rows, columns), len(boxes))
    for index, ends in enumerate(cells.round().long().tolist()):
        x1, y1, x2, y2 = ends if head.config.official else (max(0, end) for end in ends)
        owner[y1:y2, x1:x2] = index
    vectors = torch.cat([torch.cat([scores[:, None], cells, embeddings[labels]], 1),
                         torch.cat([-torch.ones(5), embeddings[-1]])[None]])
    return head.priors_downproj(vectors)[owner] if head.config.locality else None


def _literal(head: Lain, inputs: LainInputs):
    """Return the pair features, image by image, from one masked sequence."""
    visual, results = head.trunk.visual, []
    for row in zip(*inputs[:-1]):
        image, boxes, scores, labels, _, queries, human, thing, _ = row
        pairs = len(human)
        tokens = head.query_proj(torch.cat([queries[human], queries[thing]], 1))
        x = torch.cat([visual.ln_pre(tokens), visual._embeds(image[None])[0]])
        allowed = torch.zeros(len(x), len(x))
        allowed[:pairs, :pairs + 1] = allowed[pairs:, :pairs] = -torch.inf
        allowed.fill_diagonal_(0)
        prior = _literal_prior(head, boxes, scores, labels, inputs.object_embeddings)
        for index, block in enumerate(visual.transformer.resblocks):
            x = x + _literal_adapter(head, index, x, prior, boxes, human, thing)
            x = block(x[None], attn_mask=allowed)[0]
        results.append(normalize(visual.ln_post(x[:pairs]) @ visual.proj, dim=-1))
    return torch.stack(results)


@variants
@pytest.mark.parametrize(('size', 'quick'), [((64, 64), True), ((48, 80), False)], ids=str)
@torch.no_grad()
def test_it_computes_the_masked_sequence(variant, size, quick):
    head, inputs = _head(_trunk(size, quick), **variant), _inputs(size)
    features = head(inputs)
    assert features.shape == (2, 6, 16)
    torch.testing.assert_close(features, _literal(head, inputs), atol=1e-5, rtol=1e-5)


def _padded(inputs: LainInputs) -> LainInputs:
    """Return the inputs with three more boxes and four more pairs that are not there."""
    def grow(x, count, value):
        return torch.cat([x, torch.full((len(x), count, *x.shape[2:]), value, dtype=x.dtype)], 1)
    return LainInputs(
        inputs.images, grow(inputs.boxes, 3, 3e4), grow(inputs.scores, 3, 0.7),
        grow(inputs.labels, 3, 1), grow(inputs.box_mask, 3, False), grow(inputs.queries, 3, 9.),
        grow(inputs.human, 4, 5), grow(inputs.object, 4, 6), grow(inputs.pair_mask, 4, False),
        inputs.object_embeddings)


@variants
@torch.no_grad()
def test_padding_and_other_images_change_nothing(variant):
    head, inputs = _head(_trunk(), **variant), _inputs()
    alone = torch.cat([head(LainInputs(*(x[i:i + 1] for x in inputs[:-1]), inputs[-1]))
                       for i in range(2)])
    padded = head(_padded(inputs))
    assert torch.isfinite(padded).all()
    torch.testing.assert_close(padded[:, :6], alone, atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_a_fresh_head_leaves_clip_as_it_is():
    trunk, inputs = _trunk(), _inputs()
    torch.manual_seed(1)
    fresh = Lain(trunk, LainConfig(**SIZES)).eval()
    bare = Lain(trunk, LainConfig(**SIZES, locality=False, interaction=False)).eval()
    bare.query_proj.load_state_dict(fresh.query_proj.state_dict())
    torch.testing.assert_close(fresh(inputs), bare(inputs), atol=1e-6, rtol=0)
    assert not list(bare.adapters.parameters())
    assert float(fresh.logit_scale.exp()) == pytest.approx(1 / 0.07)


@pytest.mark.parametrize('official', [False, True])
def test_all_of_the_head_learns_and_nothing_of_the_trunk(official):
    trunk = _trunk()
    head = _head(trunk, official=official).train()
    texts = normalize(torch.randn(5, 16), dim=-1)
    (head.logit_scale.exp() * head(_inputs()) @ texts.T)[..., 0].sum().backward()
    still = [name for name, parameter in head.named_parameters() if parameter.grad is None]
    assert not still
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    names = {name.split('.')[0] for name in head.state_dict()}
    assert names == {'adapters', 'query_proj', 'priors_downproj', 'logit_scale'}


@torch.no_grad()
def test_dropout_acts_in_training_only():
    head, inputs = _head(_trunk()), _inputs()
    assert torch.equal(head(inputs), head(inputs))
    assert not torch.allclose(head.train()(inputs), head(inputs), atol=1e-4)


@pytest.mark.parametrize(('boxes', 'official', 'rows'), [
    ([[0, 0, 2, 1]], False, ['00..', '....', '....']),
    ([[0, 0, 3, 3], [1, 1, 2, 2]], False, ['000.', '010.', '000.']),
    ([[1, 1, 2, 2], [0, 0, 3, 3]], False, ['111.', '111.', '111.']),
    ([[0.5, 1.5, 2.5, 2.6]], False, ['....', '....', '00..']),
    ([[2, 1, 9, 9]], True, ['....', '..00', '..00']),
    ([[-1, 0, 2, 2]], False, ['00..', '00..', '....']),
    ([[-1, 0, 2, 2]], True, ['....', '....', '....']),
    ([[-2, 0, 3, 2]], True, ['..0.', '..0.', '....']),
    ([[-9, 0, -2, 1]], True, ['00..', '....', '....']),
    ([[-9, 0, -2, 1]], False, ['....', '....', '....']),
    ([[3, 2, 1, 3]], True, ['....', '....', '....'])])
def test_later_boxes_own_the_cells_they_cover(boxes, official, rows):
    cells = torch.tensor([boxes], dtype=torch.float32)
    mask = torch.ones(1, len(boxes), dtype=torch.bool)
    owner = box_of_cell(cells, mask, (3, 4), official)[0]
    assert [''.join('.' if i == len(boxes) else str(i) for i in row)
            for row in owner.tolist()] == rows
    assert (box_of_cell(cells, ~mask, (3, 4), official) == len(boxes)).all()


def test_it_exports_at_a_fixed_shape():
    class Stage(nn.Module):
        def __init__(self, head):
            super().__init__()
            self.visual, self.head = head.trunk.visual, head

        def forward(self, *inputs):
            return self.head(LainInputs(*inputs))
    stage, inputs = Stage(_head(_trunk())).eval(), _inputs()
    program = torch.export.export(stage, tuple(inputs), strict=False)
    torch.testing.assert_close(program.module()(*inputs), stage(*inputs), atol=1e-6, rtol=1e-5)
    targets = ' '.join(str(node.target) for node in program.graph.nodes)
    assert not any(word in targets for word in ('aten.item', 'local_scalar', 'nonzero', 'roi_'))


def test_settings_survive_and_wrong_ones_are_named():
    config = LainConfig(adapter_dim=16, locality=False, official=True)
    assert LainConfig.from_mapping(config.to_mapping()) == config
    with pytest.raises(BundleError, match='depth'):
        LainConfig.from_mapping({'depth': 3})
    for wrong in ({'adapter_dim': 7}, {'hidden': 0}):
        with pytest.raises(BundleError, match=f'got .*{next(iter(wrong.values()))}'):
            LainConfig(**wrong)
