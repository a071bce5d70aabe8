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

"""Smoothing and hysteresis: an interaction begins and ends once, at the right time."""

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.smoothing import Hysteresis, Interactions
import numpy as np
import pytest

RULE = Hysteresis(on=0.5, off=0.3, on_s=0.3, off_s=0.4, smoothing_s=0.0, max_age_s=1.0)
KEY = (3, 1, 7)


def play(scores, rule=RULE, period_s=0.1, key=KEY, followed=None):
    """
    Show one pair with a score per frame (None: out of sight); return what began and what ended.

    Rows are (frame, id, first and last second of the interaction).
    """
    followed = followed or Interactions()
    started, ended, ids = [], [], []
    for k, score in enumerate(scores):
        seen = score is not None
        change = followed.update(
            np.array([key] if score else [], np.int64).reshape(-1, 3),
            np.array([2] if score else [], np.int64), np.array([score] if score else [], float),
            np.array([key[0], key[2]] if seen else []), round(1e9 * (10 + k * period_s)), rule)
        for rows, found in ((started, change.started), (ended, change.ended)):
            rows += [(k, i, round(1e-9 * a - 10, 3), round(1e-9 * b - 10, 3)) for i, a, b in zip(
                found.ids.tolist(), found.risen_ns.tolist(), found.held_ns.tolist())]
        ids.append(change.triplet_ids.tolist())
    return started, ended, ids


def test_an_interaction_begins_after_on_time_and_ends_after_off_time():
    started, ended, ids = play([0.0] * 3 + [0.8] * 10 + [0.0] * 10)
    assert started == [(6, 1, 0.3, 0.6)]
    assert ended == [(16, 1, 0.3, 1.2)]
    assert ids[5:13] == [[0], *[[1]] * 7]


@pytest.mark.parametrize('scores', [
    [0.8, 0.8, 0.0] * 10, [0.49] * 30, [0.8, 0.8, 0.8, 0.4] * 8],
    ids=['flicker', 'too weak', 'dips below on'])
def test_what_does_not_hold_does_not_begin(scores):
    assert play(scores)[:2] == ([], [])


@pytest.mark.parametrize('dip', [[0.0] * 3, [0.35] * 20, [None] * 9, [0.0, None, 0.0, 0.31] * 4],
                         ids=['short', 'above off', 'hidden', 'now and then'])
def test_a_dip_does_not_end_it(dip):
    started, ended, _ = play([0.8] * 6 + dip + [0.8] * 6)
    assert (len(started), ended) == (1, [])


def test_who_leaves_ends_it_after_the_age_with_the_time_of_the_last_sight():
    started, ended, _ = play([0.8] * 6 + [None] * 20)
    assert len(started) == 1
    assert ended == [(16, 1, 0.0, 0.5)]


def test_a_second_time_is_another_interaction():
    started, ended, _ = play(([0.8] * 6 + [0.0] * 6) * 3)
    assert [row[1] for row in started] == [row[1] for row in ended] == [1, 2, 3]


@pytest.mark.parametrize('period_s', [0.02, 0.1, 0.5])
def test_the_time_counts_not_the_number_of_frames(period_s):
    count = round(3 / period_s)
    started, ended, _ = play([0.8] * count + [0.0] * count, period_s=period_s)
    assert len(started) == len(ended) == 1
    assert 0.299 <= started[0][0] * period_s <= 0.301 + period_s
    assert 3.399 - period_s <= ended[0][0] * period_s <= 3.401


@pytest.mark.parametrize('period_s', [0.01, 0.04, 0.2])
def test_smoothing_follows_its_time_constant_at_every_rate(period_s):
    rule = Hysteresis(on=0.9, off=0.1, smoothing_s=0.4)
    followed = Interactions()
    for k in range(round(0.4 / period_s) + 1):
        followed.update(np.array([KEY] if k else [], np.int64).reshape(-1, 3),
                        np.zeros(min(k, 1), np.int64), np.ones(min(k, 1)), np.array([3, 7]),
                        round(1e9 * (1 + k * period_s)), rule)
    assert followed._all.scores == pytest.approx(1 - np.exp(-1))


def test_the_first_frame_ever_begins_nothing():
    instant = Hysteresis(on=0.2, off=0.1, on_s=0.0)
    assert play([0.9], instant)[0] == []
    assert len(play([0.9] * 9, instant)[0]) == 1


def test_an_interaction_without_object_needs_only_its_human_in_sight():
    started, _, _ = play([0.8] * 6, key=(3, 1, 0))
    assert len(started) == 1


def test_many_interactions_are_independent():
    followed, rng = Interactions(), np.random.default_rng(0)
    keys = np.stack(np.meshgrid([1, 2, 3], [0, 1, 2, 3], [1, 5, 9]), -1).reshape(-1, 3)
    strong = rng.random(len(keys)) < 0.5
    for k in range(12):
        order = rng.permutation(len(keys))
        change = followed.update(keys[order], np.zeros(len(keys), np.int64),
                                 np.where(strong, 0.8, 0.2)[order], np.array([1, 2, 3, 5, 9]),
                                 10 ** 9 + k * 10 ** 8, RULE)
    assert ((change.triplet_ids > 0) == strong[order]).all()
    named = change.triplet_ids[change.triplet_ids > 0]
    assert len(set(named.tolist())) == strong.sum()


def test_of_two_equal_triplets_the_better_counts():
    followed = Interactions()
    for k in range(8):
        change = followed.update(np.array([KEY, KEY]), np.zeros(2, np.int64),
                                 np.array([0.1, 0.8]), np.array([3, 7]), 10 ** 9 + k * 10 ** 8,
                                 RULE)
    assert change.triplet_ids.tolist() == [1, 1]


def test_verbs_that_are_gone_end_and_others_go_on_under_their_new_number():
    followed = Interactions()
    play([0.8] * 6, followed=followed)
    assert len(followed.rename(np.array([-1, 0]))) == 0
    assert followed._all.keys.tolist() == [[3, 0, 7]]
    assert followed.rename(np.array([-1])).ids.tolist() == [1]
    assert len(followed._all) == 0


def test_a_reset_ends_what_was_believed_and_ids_go_on():
    followed = Interactions()
    play([0.8] * 6, followed=followed)
    assert followed.reset().ids.tolist() == [1]
    assert [row[1] for row in play([0.8] * 6, followed=followed)[0]] == [2]


def test_what_is_over_is_forgotten():
    followed = Interactions()
    for human in range(1, 400):
        play([0.4, 0.4, None], key=(human, 0, 999), followed=followed, period_s=0.0)
    assert len(followed._all) == 399
    play([None] * 15, followed=followed)
    assert len(followed._all) == 0


def test_ending_above_the_beginning_is_refused():
    with pytest.raises(HoiError, match='must not be above'):
        Hysteresis(on=0.3, off=0.4)
