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

"""Same decisions pass, other decisions fail, near ties are no difference."""

import re

from hoi_perception.runtime.engines.parity import check_parity, Rules
import pytest
import torch

DETECTOR = ('boxes', 'scores', 'labels', 'queries', 'prototypes')
TRIPLETS = ('scores', 'pair', 'row')


def _detections(change=lambda **outputs: None):
    """Return twenty boxes of falling score, five of them repeating others, with a change made."""
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(1, 20, 2, generator=generator) * 0.7
    corner[0, 15:] = corner[0, :5] + 0.002
    scores = torch.linspace(0.95, 0.05, 20)[None].clone()
    outputs = {'boxes': torch.cat([corner, corner + 0.2], -1), 'scores': scores,
               'labels': torch.arange(20)[None] % 5,
               'queries': torch.randn(1, 20, 8, generator=generator),
               'prototypes': torch.randn(1, 4, 6, 6, generator=generator)}
    change(**outputs)
    return tuple(outputs.values())


def _swap_equal(boxes, scores, labels, queries, prototypes):
    """Exchange two rows, as a tie that falls the other way does."""
    order = torch.arange(20)
    order[[3, 4]] = order[[4, 3]]
    for tensor in (boxes, labels, queries):
        tensor.copy_(tensor[:, order])


def _judge(names, change, make, precision='fp32', same=lambda **outputs: None):
    return check_parity(names, [make(same)], [make(change)], precision)


@pytest.mark.parametrize(('change', 'words'), [
    (lambda boxes, **_: boxes[0, 2].add_(0.05), 'not found'),
    (lambda labels, **_: labels[0, 0].add_(1), 'class 0 .* not found by the engine'),
    (lambda scores, **_: scores.mul_(0.9), 'score 1 is'),
    (lambda boxes, labels, **_: (boxes[0, 1].copy_(boxes[0, 0]), labels[0, 1].fill_(0)),
     'not found'),
    (lambda queries, **_: queries[0, 1].add_(0.5), 'queries differ'),
    (lambda prototypes, **_: prototypes.add_(0.5), 'prototypes differ'),
    (lambda scores, **_: scores[0, 4].fill_(float('nan')), 'scores has NaN'),
], ids=['moved', 'relabelled', 'scaled', 'suppressed', 'queries', 'prototypes', 'nan'])
def test_a_detector_that_decides_otherwise_fails(change, words):
    parity = _judge(DETECTOR, change, _detections)
    assert not parity.ok
    assert re.search(words, parity.failure), parity.failure


@pytest.mark.parametrize('change', [
    lambda **_: None,
    lambda boxes, **_: boxes.add_(1e-5),
    lambda scores, **_: scores.add_(1e-4),
    # Row 19 lies below the threshold: it decides nothing.
    lambda boxes, **_: boxes[0, 19].add_(0.3)], ids=['equal', 'boxes', 'scores', 'below'])
def test_a_detector_that_differs_by_rounding_passes(change):
    parity = _judge(DETECTOR, change, _detections)
    assert parity.ok and parity.decisions > 20
    assert parity.max_error['scores'] <= 2e-4 and parity.max_error['queries'] == 0


def test_boxes_of_one_score_may_change_places():
    def tied(scores, **_):
        scores[0, 3:5] = 0.8

    def swapped(**outputs):
        tied(**outputs)
        _swap_equal(**outputs)

    parity = _judge(DETECTOR, swapped, _detections, same=tied)
    assert parity.ok and parity.max_error['boxes'] < 1e-6
    assert not _judge(DETECTOR, _swap_equal, _detections).ok


def test_which_of_two_repeated_boxes_is_kept_may_change_when_their_scores_are_equal():
    def repeated(boxes, scores, labels, **_):
        boxes[0, 1] = boxes[0, 0] + 0.03
        scores[0, :2] = torch.tensor([0.9001, 0.9])
        labels[0, :2] = 0

    def other(boxes, scores, labels, queries, **rest):
        repeated(boxes, scores, labels)
        scores[0, :2] = torch.tensor([0.9, 0.9001])

    assert _judge(DETECTOR, other, _detections, same=repeated).ok


def test_features_are_compared_with_those_of_the_box_they_belong_to():
    """Two boxes in one place with one score, their rows exchanged."""
    def twins(boxes, scores, labels, **_):
        boxes[0, 4], scores[0, 4], labels[0, 4] = boxes[0, 3], scores[0, 3], labels[0, 3]

    def swapped(**outputs):
        twins(**outputs)
        _swap_equal(**outputs)

    parity = _judge(DETECTOR, swapped, _detections, same=twins)
    assert parity.ok and parity.max_error['queries'] == 0


def _triplets(change=lambda **outputs: None):
    outputs = {'scores': torch.linspace(0.9, 0.01, 30)[None].clone(),
               'pair': torch.arange(30)[None] % 7, 'row': torch.arange(30)[None] // 7}
    change(**outputs)
    return tuple(outputs.values())


@pytest.mark.parametrize(('change', 'words'), [
    (lambda row, **_: row[0, 0].add_(9), 'phrase 0 is judged otherwise'),
    (lambda scores, **_: scores[0, 5].add_(-0.2), 'eager gives'),
    (lambda pair, row, **_: (pair.copy_(pair.flip(1)), row.copy_(row.flip(1))),
     'judged otherwise'),
], ids=['phrase', 'score', 'order'])
def test_triplets_that_differ_fail(change, words):
    parity = _judge(TRIPLETS, change, _triplets)
    assert not parity.ok and words in parity.failure


def test_triplets_of_one_score_may_change_places():
    def tied(scores, **_):
        scores[0, 4:6] = 0.7

    def swapped(scores, pair, row):
        tied(scores)
        for tensor in (pair, row):
            tensor[0, 4:6] = tensor[0, 4:6].flip(0)

    parity = _judge(TRIPLETS, swapped, _triplets, same=tied)
    assert parity.ok and parity.max_error['pair'] > 0


def test_what_falls_off_the_end_of_a_list_by_rounding_is_no_difference():
    def other(row, **_):
        row[0, -1] = 40  # the last of the list, as good as what did not get in

    rules = Rules(triplet=0.0)
    assert check_parity(TRIPLETS, [_triplets()], [_triplets(other)], 'fp32', rules).ok


def test_low_scores_are_compared_too_when_there_are_no_others():
    def low(scores, **_):
        scores.mul_(0.05)

    def other(scores, row, **_):
        low(scores)
        row[0, 0] = 40

    assert _judge(TRIPLETS, low, _triplets, same=low).decisions > 10
    assert not _judge(TRIPLETS, other, _triplets, same=low).ok


@pytest.mark.parametrize(('error', 'precision', 'ok'), [
    (0.005, 'fp32', True), (0.05, 'fp32', False), (0.05, 'bf16', True), (0.5, 'bf16', False)])
def test_other_outputs_are_compared_entry_by_entry(error, precision, ok):
    value = torch.linspace(-1, 1, 9)
    assert check_parity(('out',), [(value,)], [(value + error,)], precision).ok == ok


def test_an_output_of_another_shape_or_type_fails():
    value = torch.zeros(3)
    for other in (torch.zeros(4), torch.zeros(3, dtype=torch.int64)):
        assert 'eager gives' in check_parity(('out',), [(value,)], [(other,)], 'fp32').failure
