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

"""Curves, thresholds and calibration against values worked out by hand."""

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.average_precision import eleven_points
from hoi_perception.evaluation.curves import best_threshold, calibration, precision_recall
from hoi_perception.evaluation.judged import Judged
import numpy as np
import pytest


def _judged(scores, right, labels=None, truth=2, classes=1):
    labels = np.zeros(len(scores), int) if labels is None else np.array(labels)
    return Judged(classes, 5, labels, np.zeros(len(scores), int), np.array(scores, float),
                  np.array(right, bool), np.arange(truth) % classes, np.zeros(truth, int))


def test_precision_and_recall_by_hand():
    curve = precision_recall(_judged([.9, .8, .7], [True, False, True]))
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(curve.recall, [1 / 2, 1 / 2, 1])
    np.testing.assert_allclose(curve.envelope(np.array([0, .5, .6, 1])), [1, 1, 2 / 3, 2 / 3])


def test_the_envelope_at_eleven_points_has_the_ap_as_its_mean():
    rng = np.random.default_rng(0)
    judged = _judged(np.sort(rng.random(50))[::-1], rng.random(50) < 0.4, truth=40)
    points = np.array([0.0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert precision_recall(judged).envelope(points).mean() == pytest.approx(judged.ap[0])
    assert eleven_points is not None


def test_several_classes_are_ranked_together_by_score():
    judged = _judged([.9, .1, .5], [True, True, False], [0, 0, 1], truth=4, classes=2)
    both, second = precision_recall(judged), precision_recall(judged, [1])
    np.testing.assert_allclose(both.scores, [.9, .5, .1])
    np.testing.assert_allclose(both.recall, [1 / 4, 1 / 4, 1 / 2])
    np.testing.assert_allclose(second.precision, [0])


def test_a_class_without_truth_or_detections_has_no_recall_and_an_empty_curve():
    assert np.isnan(precision_recall(_judged([.5], [False], truth=0)).recall).all()
    empty = precision_recall(_judged([], []))
    assert len(empty.recall) == 0 and (empty.envelope() == 0).all()
    assert best_threshold(_judged([], [])).f1 == 0


@pytest.mark.parametrize(('scores', 'right', 'expected'), [
    ([.9, .8, .7], [True, False, True], (.7, 2 / 3, 1, .8)),
    ([.9, .8, .7], [True, False, False], (.9, 1, .5, 2 / 3)),
    # Two detections with one score stand or fall together.
    ([.9, .9, .2], [True, False, False], (.9, .5, .5, .5))])
def test_the_threshold_with_the_best_f1(scores, right, expected):
    np.testing.assert_allclose(best_threshold(_judged(scores, right)), expected)


def test_scores_that_mean_what_they_say_are_calibrated():
    rng = np.random.default_rng(1)
    scores = rng.random(40_000)
    found = calibration(scores, rng.random(40_000) < scores)
    assert found.ece < 0.01 and found.worst < 0.05
    assert found.brier == pytest.approx(1 / 6, abs=0.01)
    np.testing.assert_allclose(found.confidence, found.accuracy, atol=0.05)


def test_scores_that_promise_too_much_are_not():
    found = calibration(np.full(10, 0.9), np.arange(10) < 5)
    assert (found.ece, found.worst) == (pytest.approx(0.4), pytest.approx(0.4))
    assert found.brier == pytest.approx(5 * 0.1 ** 2 / 10 + 5 * 0.9 ** 2 / 10)


def test_the_error_weights_bins_by_their_detections():
    found = calibration(np.array([0.05, 0.05, 0.05, 0.95]), np.array([0, 0, 0, 0], bool), bins=10)
    assert found.ece == pytest.approx((3 * 0.05 + 0.95) / 4)
    assert found.worst == pytest.approx(0.95)
    assert found.counts.tolist() == [3, *[0] * 8, 1] and np.isnan(found.confidence[4])


def test_scores_at_the_ends_fall_into_the_first_and_last_bin():
    assert calibration(np.array([0.0, 1.0]), np.array([False, True])).counts[[0, -1]].tolist() == [
        1, 1]


def test_no_detections_have_no_calibration():
    assert np.isnan(calibration(np.zeros(0), np.zeros(0, bool)).ece)


@pytest.mark.parametrize(('scores', 'right'), [([1.2], [True]), ([np.nan], [True]),
                                               ([.5, .5], [True])])
def test_scores_outside_0_to_1_are_refused(scores, right):
    with pytest.raises(HoiError, match='scores in 0..1'):
        calibration(np.array(scores), np.array(right))
