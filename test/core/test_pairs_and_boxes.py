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

"""Selection, pairing, duplicates and masks: the arithmetic between the networks."""

from hoi_perception.core.boxes import iou, nms
from hoi_perception.core.masks import instance_masks, intersection, triplet_masks, union
from hoi_perception.core.pairs import bucket_for, candidate_pairs, select_instances
from hoi_perception.core.scene import Mask, MaskKind
import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms, box_iou


def _boxes(count, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 80, (count, 2))
    return np.concatenate([low, low + rng.uniform(1, 40, (count, 2))], 1).astype(np.float32)


def test_overlaps_are_those_of_torchvision():
    first, second = _boxes(30), _boxes(20, 1)
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    np.testing.assert_allclose(iou(first, second), expected, atol=1e-6)
    assert iou(np.zeros((1, 4)), np.zeros((1, 4)))[0, 0] == 0


@pytest.mark.parametrize('seed', range(5))
def test_suppression_is_that_of_torchvision(seed):
    rng = np.random.default_rng(seed)
    boxes, labels = _boxes(120, seed), rng.integers(0, 3, 120)
    scores = rng.random(120).astype(np.float32)
    expected = batched_nms(torch.from_numpy(boxes), torch.from_numpy(scores),
                           torch.from_numpy(labels), 0.5)
    assert nms(boxes, scores, labels, 0.5).tolist() == expected.tolist()
    assert len(expected) < 120


@pytest.mark.parametrize(('scores', 'labels', 'kept'), [
    ([.9, .8, .7], [0, 1, 0], [0, 2, 1]),                        # humans first
    ([.1, .15, .05, .12, .9], [0, 0, 0, 0, 1], [1, 3, 0, 4]),    # at least three of a side
    ([.9, .8, .7, .6, .5], [0, 0, 0, 0, 0], [0, 1, 2, 3]),       # at most four
    ([], [], [])])
def test_selection_keeps_three_to_the_limit_per_side(scores, labels, kept):
    got = select_instances(np.array(scores), np.array(labels), 0, 0.2, 3, 4, 4)
    assert got.tolist() == kept


def test_pairs_are_all_ordered_ones_with_a_human_first_best_prior_first():
    pairs = candidate_pairs(np.array([.9, .8, .5]), np.array([True, True, False]), 10)
    assert list(zip(pairs.human, pairs.object)) == [(0, 1), (1, 0), (0, 2), (1, 2)]
    short = candidate_pairs(np.array([.9, .8, .5]), np.array([True, True, False]), 3)
    assert (len(short.human), short.dropped) == (3, 1)


def test_only_wanted_instances_are_the_object_of_a_pair():
    pairs = candidate_pairs(np.array([.9, .8, .5, .4]), np.array([True, True, False, False]), 10,
                            np.array([False, False, True, False]))
    assert list(zip(pairs.human, pairs.object)) == [(0, 2), (1, 2)]
    assert pairs.dropped == 0


@pytest.mark.parametrize(('count', 'bucket'), [(0, 16), (16, 16), (17, 64), (435, 435),
                                               (999, 435)])
def test_the_smallest_bucket_that_fits_is_taken(count, bucket):
    assert bucket_for(count, (64, 16, 435)) == bucket


def test_masks_equal_bilinear_upsampling_inside_the_box_and_nothing_outside():
    logits = torch.randn(3, 16, 20)
    full = torch.nn.functional.interpolate(logits[None], (120, 160), mode='bilinear')[0] > 0
    boxes = np.array([[0, 0, 160, 120], [10.5, 20.2, 90.9, 100], [50, 50, 50, 80]], np.float32)
    masks = instance_masks(logits.numpy(), boxes, 160, 120)
    assert [mask.owner for mask in masks] == [0, 1]  # the empty box has no mask
    assert np.array_equal(masks[0].bitmap, full[0].numpy())
    assert (masks[1].x, masks[1].y, masks[1].bitmap.shape) == (10, 20, (80, 81))
    assert np.array_equal(masks[1].bitmap, full[1, 20:100, 10:91].numpy())


def test_union_and_intersection_are_those_of_the_full_masks():
    rng = np.random.default_rng(0)
    first = Mask(MaskKind.INSTANCE, 0, 2, 3, rng.random((10, 12)) > 0.5)
    for x, y in ((5, 6), (40, 40), (0, 0)):
        second = Mask(MaskKind.INSTANCE, 1, x, y, rng.random((8, 8)) > 0.5)
        a, b = first.full(64, 64), second.full(64, 64)
        assert np.array_equal(union(first, second, 0).full(64, 64), a | b)
        assert np.array_equal(intersection(first, second, 0).full(64, 64), a & b)
        kinds = [m.kind for m in triplet_masks([first, second], np.array([0]), np.array([1]))]
        assert kinds == [MaskKind.UNION] + [MaskKind.INTERSECTION] * bool((a & b).any())
