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

"""Which verb is taken for which, case by case."""

from hoi_perception.evaluation.confusion import ConfusionCounter
import numpy as np
import pytest
from small_scenes import scene

VERBS = ('hold', 'ride', 'push')
PERSON, CUP, BIKE = (0, 0, 20, 60), (30, 0, 50, 20), (30, 30, 70, 70)
INSTANCES = [('person', PERSON), ('cup', CUP), ('bicycle', BIKE)]
AWAY = [('person', (60, 0, 90, 70)), ('cup', CUP), ('bicycle', BIKE)]


def _count(true, predicted, instances=INSTANCES, threshold=0.5):
    counter = ConfusionCounter(VERBS, threshold)
    counter.add(scene(instances, predicted), scene(INSTANCES, true))
    return counter.result()


# true triplets, predicted ones, and the non-zero cells (true verb, predicted verb): count
CASES = {
    'right': ([(0, 'hold', 1)], [(0, 'hold', 1)], {(0, 0): 1}),
    'taken for another': ([(0, 'ride', 2)], [(0, 'push', 2)], {(1, 2): 1}),
    'shared among two wrong ones': ([(0, 'ride', 2)], [(0, 'push', 2), (0, 'hold', 2)],
                                    {(1, 2): .5, (1, 0): .5}),
    'right, and one too many': ([(0, 'ride', 2)], [(0, 'ride', 2), (0, 'push', 2)],
                                {(1, 1): 1, (3, 2): 1}),
    'one right, one missed': ([(0, 'ride', 2), (0, 'push', 2)], [(0, 'ride', 2)],
                              {(1, 1): 1, (2, 3): 1}),
    'below the threshold is not predicted': ([(0, 'hold', 1)], [(0, 'hold', 1, .4)], {(0, 3): 1}),
    'the pair was not found': ([(0, 'hold', 1)], [(0, 'hold', 2)], {(0, 3): 1, (3, 0): 1}),
    'no object': ([(0, 'hold', None)], [(0, 'ride', None)], {(0, 1): 1}),
    'no object is another pair than an object': ([(0, 'hold', None)], [(0, 'hold', 1)],
                                                 {(0, 3): 1, (3, 0): 1}),
    'other verbs do not count': ([(0, 'sit', 1)], [(0, 'sit', 1)], {}),
    'spelling does not count': ([(0, 'hold', 1)], [(0, 'Hold ', 1)], {(0, 0): 1}),
    'nothing': ([], [], {})}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES.keys())
def test_cells(case):
    true, predicted, cells = case
    expected = np.zeros((4, 4))
    for cell, count in cells.items():
        expected[cell] = count
    np.testing.assert_allclose(_count(true, predicted).counts, expected)


def test_a_human_elsewhere_is_another_pair():
    found = _count([(0, 'hold', 1)], [(0, 'hold', 1)], AWAY)
    assert found.counts[0, 3] == found.counts[3, 0] == 1 and found.pairs == (1, 1, 0)


def test_rows_sum_to_how_often_a_verb_is_true_over_many_frames():
    rng = np.random.default_rng(0)
    counter, true_count = ConfusionCounter(VERBS, 0.0), np.zeros(3)
    for _ in range(40):
        sides = [[(0, VERBS[v], o) for v in range(3) for o in (1, 2, None) if rng.random() < .4]
                 for _ in range(2)]
        counter.add(scene(INSTANCES, sides[0]), scene(INSTANCES, sides[1]))
        for _, verb, _ in sides[1]:
            true_count[VERBS.index(verb)] += 1
    found = counter.result()
    np.testing.assert_allclose(found.counts[:3].sum(1), true_count)
    np.testing.assert_allclose(found.shares()[:3].sum(1), 1)


def test_pairs_are_matched_one_to_one():
    twice = [('person', PERSON), ('cup', CUP), ('cup', (31, 0, 51, 20))]
    found = _count([(0, 'hold', 1)], [(0, 'hold', 1), (0, 'hold', 2)], twice)
    assert found.counts[0, 0] == 1 and found.counts[3, 0] == 1
