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

"""Flat matching: groups, overlaps, ties and claims."""

from hoi_perception.evaluation.matching import (
    best_truth,
    box_overlap,
    Candidates,
    first_claims,
    NONE,
    same_group,
)
import numpy as np
import pytest


def test_candidates_are_all_pairs_of_a_group_with_truth_in_its_own_order():
    found = same_group(np.array([5, 2, 9, 5]), np.array([2, 5, 2, 5, 7]))
    assert list(zip(*found)) == [(0, 1), (0, 3), (1, 0), (1, 2), (3, 1), (3, 3)]


@pytest.mark.parametrize(('detections', 'truth'), [([], [1]), ([1], []), ([], []), ([1], [2])])
def test_groups_without_a_partner_give_no_candidates(detections, truth):
    detections, truth = np.array(detections, int), np.array(truth, int)
    found = same_group(detections, truth)
    assert len(found.detection) == len(found.truth) == 0
    best = best_truth(found, np.zeros(0), len(detections))
    assert best.truth.tolist() == [NONE] * len(detections)
    assert best.overlap.tolist() == [0] * len(detections)


@pytest.mark.parametrize(('second', 'last_pixel', 'overlap'), [
    ([0, 0, 10, 10], False, 1), ([0, 0, 10, 5], False, 1 / 2), ([10, 0, 20, 10], False, 0),
    ([10, 0, 20, 10], True, 11 / (2 * 121 - 11)), ([0, 0, 10, 4], True, 55 / 121),
    ([4, 4, 4, 4], False, 0), ([9, 9, 1, 1], False, 0), ([np.nan] * 4, True, 0)])
def test_overlap_by_hand(second, last_pixel, overlap):
    found = box_overlap(np.array([[0., 0, 10, 10]]), np.array([second], float), last_pixel)
    assert found[0] == pytest.approx(overlap)


@pytest.mark.parametrize('box', [[5., 5, 5, 5], [9., 9, 1, 1]], ids=['no area', 'inside out'])
def test_such_a_box_does_not_even_overlap_itself(box):
    assert box_overlap(np.array([box]), np.array([box])).tolist() == [0]


def test_overlaps_stay_in_single_precision():
    box = np.array([[0, 0, 3, 1]], np.float32)
    assert box_overlap(box, box).dtype == np.float32


def test_the_first_of_equal_overlaps_is_best_also_when_all_are_zero():
    candidates = Candidates(np.array([0, 0, 0, 2, 2]), np.array([4, 3, 1, 1, 0]))
    best = best_truth(candidates, np.array([.2, .7, .7, 0, 0]), 3)
    assert best.truth.tolist() == [3, NONE, 1]
    assert best.overlap.tolist() == [.7, 0, 0]


def test_only_the_first_match_of_a_truth_is_right():
    right = first_claims(np.array([3, 3, NONE, 1, 3]),
                         np.array([False, True, False, True, True]))
    assert right.tolist() == [False, True, False, True, False]
