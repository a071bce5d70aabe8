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

"""Losses from text: what they ask for, what they leave alone, and literal sums beside them."""

from hoi_trainer.distillation.matching import match, Matched
from hoi_trainer.distillation.phrases import NOBODY, Phrases
from hoi_trainer.distillation.text import TextDistillation
import pytest
import torch
from torch.nn.functional import normalize

B, P, K, L, D, TAU = 2, 4, 3, 5, 8, 0.07
LEVELS = {'sentence': (True, False), 'word': (False, True)}


def _phrases(text):
    """Return phrases whose vectors depend on their text only, some with fewer words."""
    tables = torch.Generator().manual_seed(0)
    sentences = normalize(torch.randn(20, D, generator=tables), dim=-1)
    words = normalize(torch.randn(20, L, D, generator=tables), dim=-1)
    text = torch.tensor(text)
    mask = torch.arange(L) < (2 + text.clamp(min=0) % (L - 1))[..., None]
    return Phrases(sentences[text], words[text], mask & (text != NOBODY)[..., None], text)


@pytest.fixture(name='matched')
def _matched():
    matches = torch.tensor([[[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]],
                            [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]]).bool()
    return Matched(_phrases([[4, 5, 6], [7, 4, NOBODY]]), matches)


@pytest.fixture(name='students')
def _students():
    torch.manual_seed(3)
    return [torch.randn(B, P, width, requires_grad=True) for width in (6, 10)]


def _losses(students, matched, level=(True, True)):
    torch.manual_seed(4)
    return TextDistillation([student.shape[-1] for student in students], D, *level)(
        students, matched)


def _literal(students, matched, level):
    """Return the loss as the formulas say, pair by pair and phrase by phrase."""
    torch.manual_seed(4)
    network = TextDistillation([student.shape[-1] for student in students], D)
    phrases, total = matched.phrases, 0.0

    def attended(feature, vectors):
        weights = (vectors @ feature / TAU).softmax(0)
        return normalize((weights[:, None] * vectors).sum(0), dim=-1)

    def vectors_of(b, k):
        return phrases.words[b, k][phrases.word_mask[b, k]] if level == 'word' \
            else phrases.sentences[b, k][None]

    everything = {int(phrases.text[b, k]): vectors_of(b, k) for b in range(B) for k in range(K)
                  if phrases.text[b, k] != NOBODY}
    for head, student in zip(network.heads, students):
        values = []
        for b in range(B):
            own = [k for k in range(K) if phrases.text[b, k] != NOBODY]
            for p in range(P):
                shown = {int(phrases.text[b, k]) for k in range(K) if matched.matches[b, p, k]}
                if not shown:
                    continue
                feature = normalize(head(student[b, p]), dim=-1)
                target = attended(feature, torch.cat([vectors_of(b, k) for k in own]))
                exponents = {text: (feature @ attended(feature, vectors) / TAU).exp()
                             for text, vectors in everything.items()}
                part = sum(exponents[text] for text in shown) / sum(exponents.values())
                values.append(1 - feature @ target - part.log())
        total = total + torch.stack(values).mean()
    return total


@pytest.mark.parametrize('level', LEVELS)
def test_the_loss_is_the_sum_over_pairs_and_phrases(students, matched, level):
    found = _losses(students, matched, LEVELS[level])
    torch.testing.assert_close(getattr(found, level), _literal(students, matched, level))
    other = 'word' if level == 'sentence' else 'sentence'
    assert getattr(found, other) == 0
    both = _losses(students, matched)
    torch.testing.assert_close(getattr(both, level), getattr(found, level))


def test_the_order_of_phrases_does_not_matter(students, matched):
    order = torch.tensor([2, 0, 1])
    permuted = Matched(Phrases(*(part[:, order] for part in matched.phrases)),
                       matched.matches[..., order])
    swapped = Matched(Phrases(*(part.flip(0) for part in matched.phrases)),
                      matched.matches.flip(0))
    expected = _losses(students, matched)
    for got in (_losses(students, permuted),
                _losses([student.flip(0) for student in students], swapped)):
        torch.testing.assert_close(torch.stack(got), torch.stack(expected))


@pytest.mark.parametrize('level', LEVELS)
def test_a_phrase_that_stands_twice_counts_once(students, matched, level):
    """In its own image, shown or not, and in another image: never a negative of itself."""
    expected = getattr(_losses(students, matched, LEVELS[level]), level)
    twice = Matched(_phrases([[4, 5, 6, 4], [7, 4, NOBODY, 7]]),
                    torch.cat([matched.matches, torch.zeros(B, P, 1, dtype=torch.bool)], -1))
    torch.testing.assert_close(getattr(_losses(students, twice, LEVELS[level]), level), expected)
    distinct = Matched(_phrases([[4, 5, 6], [7, 8, NOBODY]]), matched.matches)
    assert not torch.isclose(getattr(_losses(students, distinct, LEVELS[level]), level), expected)


def test_no_gradient_reaches_text_and_only_pairs_that_show_something_learn(students, matched):
    moving = [part.requires_grad_() if part.is_floating_point() else part
              for part in matched.phrases]
    found = _losses(students, Matched(Phrases(*moving), matched.matches))
    (found.sentence + found.word).backward()
    assert all(part.grad is None for part in moving)
    shows = matched.matches.any(-1)
    for student in students:
        moved = student.grad.abs().sum(-1) > 0
        assert torch.equal(moved, shows)


@pytest.mark.parametrize('level', LEVELS)
def test_pairs_move_to_their_own_phrases_with_the_text_as_it_was(students, matched, level):
    network = TextDistillation([6, 10], D, *LEVELS[level])
    optimizer = torch.optim.Adam([*network.parameters(), *students], 0.05)
    before = [part.clone() for part in matched.phrases]
    values = []
    for _ in range(60):
        loss = getattr(network(students, matched), level)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.2 * values[0]
    assert all(torch.equal(a, b) for a, b in zip(before, matched.phrases))
    if level == 'sentence':
        feature = normalize(network.heads[0](students[0][1, 1]), dim=-1)
        nearest = (matched.phrases.sentences.flatten(0, 1) @ feature).argmax()
        assert int(matched.phrases.text.flatten()[nearest]) == 7


def test_a_batch_that_shows_nothing_costs_nothing_and_stays_finite(students, matched):
    nothing = Matched(_phrases([[NOBODY] * K] * B), torch.zeros_like(matched.matches))
    found = _losses(students, nothing)
    assert found.sentence == 0 and found.word == 0
    (found.sentence + found.word).backward()
    assert all(torch.equal(student.grad, torch.zeros_like(student)) for student in students)


def test_pairs_and_phrases_are_matched_many_to_many():
    labels = torch.zeros(2, 3, 6)
    labels[0, 0, 2] = labels[0, 1, 2] = labels[0, 1, 4] = labels[1, 2, 0] = 1
    found = match(labels, _phrases([9, 10, 11, 12, 13, 14]), most=4)
    assert found.matches.shape == (2, 3, 4)
    shown = [{(p, int(found.phrases.text[b, k])) for p in range(3) for k in range(4)
              if found.matches[b, p, k]} for b in range(2)]
    assert shown == [{(0, 11), (1, 11), (1, 13)}, {(2, 9)}]
    assert (found.phrases.text != NOBODY).sum(1).tolist() == [2, 1]
    assert not found.phrases.word_mask[found.phrases.text == NOBODY].any()


def test_an_image_with_many_interactions_keeps_some_at_random():
    torch.manual_seed(0)
    draws = {tuple(match(torch.ones(1, 1, 6), _phrases([1, 2, 3, 4, 5, 6]), 2)
                   .phrases.text[0].sort().values.tolist()) for _ in range(40)}
    assert len(draws) > 5 and all(len(set(draw)) == 2 for draw in draws)
