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

"""HICO's classification protocol against its definition, and on cases worked out by hand."""

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.hico_classification import evaluate_labels, few_shot
import numpy as np
import pytest


def _by_definition(scores, labels, known_object):
    """Return AP of one class: walk down the ranking, then take the best precision per recall."""
    counted = np.abs(labels) == 1 if known_object else labels != 0
    order = np.argsort(-scores[counted], kind='stable')
    right = labels[counted][order] == 1
    hits, best = np.cumsum(right), []
    precision, recall = hits / np.arange(1, len(right) + 1), hits / max(right.sum(), 1)
    for point in np.arange(11):
        reached = precision[recall >= point / 10 - 1e-12]
        best.append(reached.max() if len(reached) else 0.0)
    return np.mean(best) if right.any() else 0.0


@pytest.mark.parametrize('known_object', [False, True])
def test_it_equals_the_definition_class_by_class(known_object):
    rng = np.random.default_rng(0)
    labels = rng.choice([1, 0, -1, -2], (60, 9), p=[.2, .1, .3, .4])
    labels[:, 4] = -2
    scores = rng.normal(size=labels.shape).round(1)  # ties keep the images' order
    result = evaluate_labels(scores, labels, known_object)
    expected = [_by_definition(scores[:, c], labels[:, c], known_object) for c in range(9)]
    np.testing.assert_allclose(result.ap, expected, atol=1e-12)
    assert result.positives[4] == 0 and result.images == 60
    assert result.mean() == pytest.approx(np.delete(expected, 4).mean())
    assert result.mean(np.array([0, 4])) == pytest.approx(expected[0])
    assert result.mean(np.array([4])) is None
    assert result.setting == ('known_object' if known_object else 'default')


def test_an_ambiguous_image_on_top_costs_nothing_and_a_sure_one_does():
    scores = np.array([[3.0], [2.0], [1.0]])
    assert evaluate_labels(scores, np.array([[0], [1], [-2]])).ap[0] == pytest.approx(1.0)
    assert evaluate_labels(scores, np.array([[-2], [1], [-2]])).ap[0] == pytest.approx(0.5)


def test_known_object_leaves_out_images_without_the_object_only():
    scores = np.array([[3.0], [2.0], [1.0]])
    labels = np.array([[-2], [1], [-1]])
    assert evaluate_labels(scores, labels, known_object=True).ap[0] == pytest.approx(1.0)
    labels[0] = -1
    assert evaluate_labels(scores, labels, known_object=True).ap[0] == pytest.approx(0.5)


def test_few_shot_classes_have_at_least_one_image_and_at_most_so_many():
    labels = np.full((12, 4), -1)
    labels[:1, 1] = labels[:5, 2] = labels[:11, 3] = 1
    labels[:, 0] = 0
    assert [few_shot(labels, most).tolist() for most in (1, 5, 10, 11)] == [
        [1], [1, 2], [1, 2], [1, 2, 3]]


@pytest.mark.parametrize(('scores', 'labels', 'words'), [
    (np.zeros((2, 3)), np.zeros((3, 2)), 'shape'), (np.full((1, 1), np.nan), [[1]], 'NaN'),
    (np.zeros((1, 1)), [[7]], 'ambiguous')])
def test_bad_input_is_named(scores, labels, words):
    with pytest.raises(HoiError, match=words):
        evaluate_labels(scores, labels)
