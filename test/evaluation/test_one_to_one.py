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

"""Matching one to one against all ways of doing it."""

from itertools import permutations

from hoi_perception.evaluation.one_to_one import assign, overlaps
import numpy as np
import pytest


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('shape', [(3, 3), (2, 4), (4, 2), (0, 3), (3, 0)])
def test_as_many_as_possible_and_then_the_best_sum(seed, shape):
    overlap = np.random.default_rng(seed).random(shape)
    rows, columns = assign(overlap)
    assert (overlap[rows, columns] >= 0.5).all()
    small, large = min(shape), max(shape)
    wide = overlap if shape[0] <= shape[1] else overlap.T
    ways = [wide[range(small), list(way)] for way in permutations(range(large), small)]
    best = max(((way >= .5).sum(), way[way >= .5].sum()) for way in ways)
    assert (len(rows), overlap[rows, columns].sum()) == (best[0], pytest.approx(best[1]))


def test_overlaps_of_boxes_by_hand():
    first, second = np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 5], [5, 5, 15, 15],
                                                           [20, 20, 30, 30]])
    np.testing.assert_allclose(overlaps(first, second), [[.5, 25 / 175, 0]])
