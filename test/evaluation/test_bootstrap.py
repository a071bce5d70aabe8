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

"""Intervals hold what they promise, and resampling equals evaluating the drawn frames."""

from dataclasses import replace

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.average_precision import ranking
from hoi_perception.evaluation.bootstrap import (
    block_length,
    bootstrap,
    compare,
    correlation_time,
    draw,
)
from hoi_perception.evaluation.hico_det import evaluate, HICO_OFFICIAL, judge
from hoi_perception.evaluation.judged import Judged
from hoi_perception.evaluation.pairs import BoxPairs
import numpy as np
import pytest


def _pairs(rng, count, images, classes, scored):
    corner = rng.integers(0, 4, (count, 2)) * 10.0
    boxes = np.concatenate([corner, corner + 12], 1)
    return BoxPairs(boxes, boxes, rng.integers(0, classes, count),
                    rng.permutation(count) / count if scored else None,
                    rng.integers(0, images, count))


def _judged(frames, classes, labels, images, scores, right, true_labels, true_images):
    order = ranking(labels, scores, images)
    return Judged(classes, frames, labels[order], images[order], scores[order], right[order],
                  true_labels, true_images)


def _world(rng, frames, skill=0.6, hardness=None):
    """One true triplet of one of two classes per frame, found with a score that says little."""
    labels = rng.integers(0, 2, frames)
    hard = rng.random(frames) if hardness is None else hardness
    right = hard < skill
    scores = np.clip(0.5 + 0.2 * right + 0.25 * rng.standard_normal(frames), 0.01, 1)
    scores = scores + 1e-9 * rng.permutation(frames)
    frame = np.arange(frames)
    return _judged(frames, 2, labels, frame, scores, right, labels, frame)


@pytest.mark.parametrize('seed', range(4))
def test_weights_give_what_repeating_the_frames_and_matching_again_gives(seed):
    rng = np.random.default_rng(seed)
    found, truth = _pairs(rng, 300, 12, 5, True), _pairs(rng, 60, 12, 4, False)
    judged = judge(HICO_OFFICIAL, found, truth, 5, 12)
    weights = draw(rng, [12], 1)
    drawn = np.repeat(np.arange(12), weights)
    parts = []
    for side in (found, truth):
        rows = [side.take(side.images == frame) for frame in drawn]
        parts.append(BoxPairs.concatenate([
            BoxPairs(row.humans, row.objects, row.classes, row.scores, np.full(len(row), i))
            for i, row in enumerate(rows)]))
    again = evaluate(HICO_OFFICIAL, *parts, 5, 12)
    gone = (again.positives == 0) & (judged.positives > 0)
    np.testing.assert_allclose(judged.weighted_ap(weights), np.where(gone, np.nan, again.ap))
    np.testing.assert_allclose(judged.weighted_ap(np.ones(12, int)), judged.ap)


def test_the_value_is_the_mean_ap_and_a_seed_repeats_it():
    rng = np.random.default_rng(1)
    found, truth = _pairs(rng, 200, 30, 3, True), _pairs(rng, 60, 30, 3, False)
    judged = judge(HICO_OFFICIAL, found, truth, 3, 30)
    first, second, other = (bootstrap(judged, replicates=60, seed=s) for s in (5, 5, 6))
    assert first.full.value == evaluate(HICO_OFFICIAL, found, truth, 3, 30).full
    assert first.full == second.full != other.full
    np.testing.assert_array_equal(first.low, second.low)
    assert first.full.low < first.full.value < first.full.high


def test_intervals_contain_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    truth = _world(rng, 200_000).ap.mean()
    inside = []
    for _ in range(120):
        found = bootstrap(_world(rng, 200), block=1, replicates=120, level=0.9).full
        inside.append(found.low <= truth <= found.high)
    assert 0.8 <= np.mean(inside) <= 0.98


def test_intervals_of_video_are_too_narrow_without_blocks_and_hold_with_them():
    rng = np.random.default_rng(3)
    truth = _world(rng, 200_000).ap.mean()
    inside = {1: [], None: []}
    for _ in range(50):
        judged = _world(rng, 1200, hardness=np.repeat(rng.random(60), 20))
        for block, found in inside.items():
            full = bootstrap(judged, block=block, replicates=60, level=0.9).full
            found.append(full.low <= truth <= full.high)
    assert np.mean(inside[1]) < 0.5
    assert np.mean(inside[None]) > 0.7


def test_a_class_without_truth_counts_as_0_and_has_no_interval():
    rng = np.random.default_rng(4)
    judged = replace(_world(rng, 50), classes=3)
    found = bootstrap(judged, replicates=50)
    assert found.ap[2] == 0 and np.isnan(found.low[2]) and not np.isnan(found.low[:2]).any()
    assert found.full.high < 0.7


def test_nothing_judged_gives_0_and_no_failure():
    none = np.zeros(0)
    empty = Judged(1, 0, none, none, none, none, none, none)
    assert bootstrap(empty, replicates=3).full.value == 0


@pytest.mark.parametrize(('lengths', 'block'), [([10], 1), ([10, 7], 3), ([5], 9), ([3, 0], 2)])
def test_draws_take_as_many_frames_as_each_sequence_has(lengths, block):
    counts = draw(np.random.default_rng(0), lengths, block)
    parts = np.split(counts, np.cumsum(lengths)[:-1])
    assert [part.sum() for part in parts] == lengths


def test_blocks_are_consecutive_frames():
    counts = draw(np.random.default_rng(0), [40], 40)
    np.testing.assert_array_equal(counts, np.ones(40))
    starts = {tuple(np.flatnonzero(draw(np.random.default_rng(seed), [10], 5)))
              for seed in range(30)}
    runs = [{(start + i) % 10 for i in range(5)} for start in range(10)]
    assert all(any(run <= set(found) for run in runs) for found in starts)


@pytest.mark.parametrize(('similarity', 'expected'), [(0.0, 1.0), (0.6, 4.0), (0.9, 19.0)])
def test_correlation_time_of_an_autoregressive_series(similarity, expected):
    rng = np.random.default_rng(5)
    noise, series = rng.standard_normal(40_000), np.zeros(40_000)
    for i in range(1, len(series)):
        series[i] = similarity * series[i - 1] + noise[i]
    assert correlation_time(series, [20_000, 20_000]) == pytest.approx(expected, rel=0.2)


def test_photos_are_drawn_one_by_one_and_video_in_blocks():
    rng = np.random.default_rng(6)
    assert block_length(_world(rng, 400)) == 1
    video = _world(rng, 400, hardness=np.repeat(rng.random(20), 20))
    assert 20 <= block_length(video) <= 50
    assert block_length(video, [200, 200]) <= 25


def test_a_run_compared_with_itself_has_not_changed():
    judged = _world(np.random.default_rng(7), 80)
    found = compare(judged, judged, replicates=50)
    assert found.full.value == found.full.low == found.full.high == 0
    assert found.chance == 1 and not found.more_than_noise


def test_a_better_run_is_more_than_noise():
    rng = np.random.default_rng(8)
    first = _world(rng, 300, 0.4, hardness=np.linspace(0, 1, 300))
    better = _judged(300, 2, first.labels, first.images, first.scores,
                     first.images / 299 < 0.6, first.true_labels, first.true_images)
    found = compare(first, better, replicates=100, block=1)
    assert found.more_than_noise and found.chance < 0.05 and (found.low > 0).all()
    worse = compare(better, first, replicates=100, block=1)
    assert worse.full.value == -found.full.value and worse.full.high < 0


def test_equally_good_runs_are_seldom_told_apart():
    rng = np.random.default_rng(9)
    told = []
    for _ in range(50):
        first, other = _world(rng, 150), _world(rng, 150)
        second = _judged(150, 2, first.true_labels, np.arange(150),
                         np.sort(other.scores)[::-1][np.argsort(rng.random(150))],
                         np.zeros(150, bool), first.true_labels, first.true_images)
        # The same quality by other luck: verdicts and scores of frames shuffled within a class.
        right = np.zeros(150, bool)
        for label in (0, 1):
            rows = first.labels == label
            moved = rng.permutation(first.images[rows])
            right[moved] = first.right[rows]
            second.scores[np.searchsorted(np.arange(150), moved)] = first.scores[rows]
        second = _judged(150, 2, first.true_labels, np.arange(150), _by_frame(second), right,
                         first.true_labels, first.true_images)
        told.append(compare(first, second, replicates=60, block=1, level=0.9).more_than_noise)
    assert np.mean(told) <= 0.24


def _by_frame(judged):
    scores = np.zeros(judged.frames)
    scores[judged.images] = judged.scores
    return scores


GOOD = _world(np.random.default_rng(10), 20)


@pytest.mark.parametrize(('call', 'sentence'), [
    (lambda: bootstrap(GOOD, lengths=[10, 9]), 'expected the 20 that were judged'),
    (lambda: bootstrap(GOOD, block=0), 'block 0'),
    (lambda: bootstrap(GOOD, replicates=0), 'replicates 0'),
    (lambda: bootstrap(GOOD, level=1.0), 'level 1.0'),
    (lambda: compare(GOOD, _world(np.random.default_rng(1), 21)), '20 and 21 frames'),
    (lambda: compare(GOOD, replace(GOOD, true_labels=1 - GOOD.true_labels)), 'same frames'),
    (lambda: replace(GOOD, scores=GOOD.scores[::-1]), 'not sorted'),
    (lambda: replace(GOOD, frames=3), 'Judged.images')])
def test_what_cannot_be_is_refused(call, sentence):
    with pytest.raises(HoiError, match=sentence):
        call()
