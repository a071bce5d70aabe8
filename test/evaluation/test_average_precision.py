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

"""Curves and average precision of several classes at once, by hand."""

from hoi_perception.evaluation.average_precision import (
    area,
    curve,
    eleven_points,
    last_recall,
    ranking,
)
import numpy as np
import pytest

# Per class: which detections are right, best first; positives; 11-point AP; area.
CLASSES = [
    ([], 3, 0, 0),
    ([True], 1, 1, 1),
    ([True], 2, 6 / 11, 1 / 2),
    ([False, True], 1, 1 / 2, 1 / 2),
    ([True, False, True], 2, (6 + 5 * 2 / 3) / 11, (1 + 2 / 3) / 2),
    # The envelope lifts the precision at recall 1/3 from 1/2 to 2/3.
    ([False, True, True], 3, 7 * 2 / 3 / 11, 2 / 3 * 2 / 3),
    ([False], 0, 0, np.nan),
    ([], 0, 0, np.nan),
    ([False, False], 1, 0, 0)]


def _curve(rows):
    classes = np.repeat(np.arange(len(rows)), [len(right) for right, *_ in rows])
    right = np.concatenate([np.array(right, bool) for right, *_ in rows])
    positives = np.array([positives for _, positives, *_ in rows])
    return curve(classes, right, positives), positives


@pytest.mark.parametrize('rows', [CLASSES, CLASSES[::-1]] + [[row] for row in CLASSES])
def test_classes_do_not_touch_each_other(rows):
    found, positives = _curve(rows)
    np.testing.assert_allclose(eleven_points(found), [row[2] for row in rows])
    np.testing.assert_allclose(area(found, positives), [row[3] for row in rows])


def test_last_recall_is_0_without_detections_and_nan_without_truth():
    found, _ = _curve([CLASSES[i] for i in (0, 4, 6, 7, 5)])
    np.testing.assert_allclose(last_recall(found), [0, 1, np.nan, 0, 2 / 3])


def test_rows_are_ranked_by_class_score_image_and_then_as_they_came():
    classes = np.array([1, 0, 0, 0, 0])
    scores, images = np.array([.9, .1, .5, .5, .5]), np.array([0, 0, 2, 1, 1])
    assert ranking(classes, scores, images).tolist() == [3, 4, 2, 1, 0]
