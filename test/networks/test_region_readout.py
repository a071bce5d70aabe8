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

"""The region-masked read-out against the definition: run the whole block once per pair."""

from bundles import CLIP_CONFIG
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.region_readout import box_regions, masked_class_tokens, RegionReadout
import pytest
import torch

BOXES = torch.tensor([[0., 0., 64., 64.], [3., 5., 20., 17.], [40., 40., 40., 40.],
                      [-30., 10., 5., 90.], [16., 16., 32., 32.], [200., 200., 300., 300.]])


def _trunk(**vision) -> ClipTrunk:
    torch.manual_seed(0)
    config = {**CLIP_CONFIG, 'vision_cfg': {**CLIP_CONFIG['vision_cfg'], **vision}}
    return ClipTrunk(build_clip(config).visual)


@pytest.fixture(scope='module')
def trunk():
    return _trunk()


@pytest.fixture
def pairs():
    humans = BOXES[None].expand(2, -1, -1)
    return humans, humans.flip(1)


@pytest.mark.parametrize(('box', 'patches'), [
    ((0, 0, 64, 64), range(16)),
    ((16, 16, 32, 32), [5]),
    ((15.9, 16, 32.1, 32), [4, 5, 6]),
    ((16, 16, 16, 16), [5]),
    ((64, 64, 64, 64), [15]),
    ((-50, -50, -1, -1), [0]),
    ((500, 20, 600, 30), [7]),
    ((40, 10, 20, 5), [1, 2])])
def test_a_box_covers_the_patches_it_touches_and_at_least_one(box, patches):
    region = box_regions(torch.tensor([box], dtype=torch.float32), (4, 4), (16, 16))
    assert torch.nonzero(region[0]).flatten().tolist() == list(patches)


@pytest.mark.parametrize('vision', [{}, {'ls_init_value': 0.3}], ids=['plain', 'layer scale'])
def test_it_equals_running_the_masked_block_once_per_pair(vision, pairs):
    trunk = _trunk(**vision)
    tokens = trunk.tokens_before_last(torch.randn(2, 3, 64, 64))
    region = box_regions(pairs[0], trunk.grid, trunk.patch)
    got = masked_class_tokens(trunk.last_block, tokens, region)
    for p in range(region.shape[1]):
        for b in range(2):
            mask = torch.zeros(17, 17)
            mask[0, 1:][~region[b, p]] = -torch.inf
            whole = trunk.last_block(tokens[b:b + 1], attn_mask=mask)
            torch.testing.assert_close(got[b, p], whole[0, 0], atol=2e-6, rtol=1e-5)


def test_patches_outside_the_region_cannot_change_a_pair(trunk, pairs):
    tokens = trunk.tokens_before_last(torch.randn(1, 3, 64, 64))
    region = box_regions(BOXES[None, 1:2], trunk.grid, trunk.patch)
    before = masked_class_tokens(trunk.last_block, tokens, region)
    changed = tokens.clone()
    outside = torch.nonzero(~region[0, 0]).flatten() + 1
    changed[:, outside] = 50 * torch.randn(1, len(outside), tokens.shape[-1])
    assert torch.equal(before, masked_class_tokens(trunk.last_block, changed, region))
    inside = torch.nonzero(region[0, 0]).flatten() + 1
    changed[:, inside] += torch.randn(1, len(inside), tokens.shape[-1])
    assert not torch.allclose(before, masked_class_tokens(trunk.last_block, changed, region))


def test_a_pair_of_whole_images_is_clip_itself(trunk):
    images = torch.randn(3, 3, 64, 64)
    whole = torch.tensor([0., 0., 64., 64.]).expand(3, 1, 4)
    features = RegionReadout(trunk)(trunk(images), whole, whole)[:, 0]
    expected = torch.nn.functional.normalize(trunk.visual(images), dim=-1)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


def test_without_the_projection_features_are_those_of_the_last_norm(trunk, pairs):
    tokens = trunk(torch.randn(2, 3, 64, 64))
    before = RegionReadout(trunk, projected=False)
    assert before.feature_dim == trunk.width != RegionReadout(trunk).feature_dim
    features = before(tokens, *pairs)
    region = box_regions(pairs[0], trunk.grid, trunk.patch) | box_regions(
        pairs[1], trunk.grid, trunk.patch)
    x = trunk.ln_post(masked_class_tokens(trunk.last_block, tokens, region))
    torch.testing.assert_close(features, torch.nn.functional.normalize(x, dim=-1))
    projected = torch.nn.functional.normalize(features * x.norm(dim=-1, keepdim=True)
                                              @ trunk.proj, dim=-1)
    torch.testing.assert_close(projected, RegionReadout(trunk)(tokens, *pairs), atol=1e-5,
                               rtol=1e-4)


def test_the_order_and_number_of_pairs_do_not_matter(trunk, pairs):
    tokens = trunk(torch.randn(2, 3, 64, 64))
    readout = RegionReadout(trunk)
    together = readout(tokens, *pairs)
    alone = torch.cat([readout(tokens, pairs[0][:, i:i + 1], pairs[1][:, i:i + 1])
                       for i in range(len(BOXES))], 1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_it_exports_at_a_fixed_shape(trunk, pairs):
    tokens = trunk(torch.randn(2, 3, 64, 64))
    readout = RegionReadout(trunk).eval()
    program = torch.export.export(readout, (tokens, *pairs), strict=False)
    torch.testing.assert_close(program.module()(tokens, *pairs), readout(tokens, *pairs))
    targets = ' '.join(str(node.target) for node in program.graph.nodes)
    assert not any(word in targets for word in ('aten.item', 'local_scalar', 'nonzero'))
