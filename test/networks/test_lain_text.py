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

"""LAIN's text side: no causal mask, learned context, the mean context for new verbs."""

from hoi_perception.networks.lain_text import (
    join_context,
    new_verb_features,
    plain_features,
    prompt_tokens,
    TextTower,
    tokenize,
    verb_features,
    VerbPrompts,
)
import open_clip
import pytest
import torch
from torch.nn.functional import normalize

PHRASES = ['a photo of a person is riding the object', 'a photo of a person is holding the object']
CONTEXT, POSITIONS = 3, 24


@pytest.fixture(scope='module')
def tower():
    torch.manual_seed(0)
    return TextTower(32, 2, 16, POSITIONS).eval()


@pytest.fixture(scope='module')
def table():
    return torch.randn(49408, 32, generator=torch.Generator().manual_seed(1))


def _prompts(table, shared: bool) -> VerbPrompts:
    tokens = prompt_tokens(PHRASES, CONTEXT, POSITIONS)
    words = table[tokens]
    shape = (CONTEXT, 32) if shared else (len(PHRASES), CONTEXT, 32)
    context = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    return VerbPrompts(context, words[:, :1], words[:, 1 + CONTEXT:], tokens.argmax(-1))


@pytest.mark.parametrize('shared', [False, True])
@torch.no_grad()
def test_context_stands_between_the_start_and_the_words(tower, table, shared):
    prompts = _prompts(table, shared)
    features = verb_features(tower, prompts)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(2))
    tokens = prompt_tokens(PHRASES, CONTEXT, POSITIONS)
    embeddings = table[tokens].clone()
    embeddings[:, 1:1 + CONTEXT] = prompts.ctx
    expected = normalize(tower(embeddings, tokens.argmax(-1)), dim=-1)
    torch.testing.assert_close(features, expected)


@torch.no_grad()
def test_everything_is_seen_even_what_follows_the_end(tower, table):
    prompts = _prompts(table, True)
    embeddings = prompts()
    changed = embeddings.clone()
    changed[:, int(prompts.end.max()) + 1:] = torch.randn(32)
    assert not torch.allclose(tower(embeddings, prompts.end), tower(changed, prompts.end),
                              atol=1e-4)


@torch.no_grad()
def test_new_verbs_take_the_mean_context(tower, table):
    shared = _prompts(table, True)
    torch.testing.assert_close(new_verb_features(tower, shared, table, PHRASES),
                               verb_features(tower, shared))
    own = _prompts(table, False)
    mean = join_context(own.token_prefix, own.ctx.mean(0), own.token_suffix)
    torch.testing.assert_close(new_verb_features(tower, own, table, PHRASES),
                               normalize(tower(mean, own.end), dim=-1))
    assert new_verb_features(tower, own, table, []).shape == (0, 16)


@torch.no_grad()
def test_plain_phrases_are_not_normalised_and_read_at_the_end(tower, table):
    tokens = tokenize(['a photo of a cup'], POSITIONS)
    assert int(tokens.argmax(-1)) == 6
    features = plain_features(tower, table, ['a photo of a cup'])
    torch.testing.assert_close(features, tower(table[tokens], torch.tensor([6])))


def test_tokens_are_those_of_clip():
    expected = open_clip.SimpleTokenizer(context_length=POSITIONS)(['X X X a cup.'])
    assert torch.equal(prompt_tokens(['a cup'], 3, POSITIONS), expected)
    with pytest.raises(ValueError, match='more than 24'):
        tokenize(['very ' * 30], POSITIONS)


def test_only_the_context_learns_when_the_tower_is_frozen(tower, table):
    tower.requires_grad_(False)
    prompts = _prompts(table, False)
    verb_features(tower, prompts)[:, 0].sum().backward()
    assert prompts.ctx.grad.abs().sum() > 0
    assert [name for name, _ in prompts.named_parameters()] == ['ctx']
    assert set(prompts.state_dict()) == {'ctx', 'token_prefix', 'token_suffix'}
