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

"""Tests of target assignment."""

from hoi_perception.networks.dense_detector import location_centres
from hoi_trainer.detector.assignment import assign, pairwise_iou, Targets
import pytest
import torch

SIZE = (64, 96)


def make_targets(boxes, labels, padding=2):
    count = len(boxes)
    full = torch.zeros(1, count + padding, 4)
    full[0, :count] = torch.tensor(boxes, dtype=torch.float32).view(-1, 4)
    label = torch.zeros(1, count + padding, dtype=torch.int64)
    label[0, :count] = torch.tensor(labels)
    valid = torch.arange(count + padding)[None] < count
    return Targets(full, label, valid, torch.zeros(1, count + padding, 16, 24),
                   torch.zeros(1, 16, 24, dtype=torch.int64))


def run(targets, boxes=None, scores=None):
    centres = location_centres(SIZE)
    if boxes is None:
        boxes = torch.cat((centres - 12, centres + 12), dim=1)[None]
    if scores is None:
        scores = torch.full((1, 3, len(centres)), 0.01)
    return assign(scores, boxes, centres, targets, 8), centres


def test_overlap_of_known_boxes():
    first = torch.tensor([[[0.0, 0, 10, 10]]])
    second = torch.tensor([[[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]]])
    torch.testing.assert_close(pairwise_iou(first, second),
                               torch.tensor([[[1.0, 1 / 3, 0.0]]]))


def test_positives_lie_inside_their_box_and_padding_owns_nothing():
    answer, centres = run(make_targets([[8, 8, 40, 40], [60, 20, 90, 60]], [0, 2]))
    owned = answer.quality[0] > 0
    assert 2 <= owned.sum() <= 20
    for location in owned.nonzero()[:, 0].tolist():
        box = [[8, 8, 40, 40], [60, 20, 90, 60]][int(answer.owner[0, location])]
        x, y = centres[location].tolist()
        assert box[0] < x < box[2] and box[1] < y < box[3]
    assert not answer.best_valid[0, 2:].any()


def test_the_best_location_has_the_quality_of_its_overlap():
    answer, _ = run(make_targets([[16, 16, 40, 40]], [1]))
    best = int(answer.best[0, 0, 0])
    assert best == 3 * 12 + 3
    assert answer.quality[0, best] == pytest.approx(1.0)
    assert answer.quality.max() == answer.quality[0, best]


def test_an_instance_smaller_than_a_cell_keeps_a_location():
    answer, centres = run(make_targets([[31.0, 31.0, 33.0, 33.0]], [0]))
    assert answer.best_valid[0, 0].any()
    assert (centres[answer.best[0, 0, 0]] - 32).abs().max() < 8


def test_instances_without_any_overlap_are_still_assigned_by_nearness():
    centres = location_centres(SIZE)
    nowhere = torch.full((1, len(centres), 4), -5.0)
    answer, _ = run(make_targets([[16, 16, 40, 40]], [1]), boxes=nowhere)
    assert answer.best_valid[0, 0].sum() == 9
    assert (centres[answer.best[0, 0, 0]] - 28).abs().max() <= 4


def test_a_location_answers_for_one_instance_only():
    answer, _ = run(make_targets([[16, 16, 40, 40], [18, 16, 42, 40]], [1, 1]))
    first, second = (set(answer.best[0, i][answer.best_valid[0, i]].tolist()) for i in (0, 1))
    assert first and second and not first & second


def test_an_image_without_instances_has_no_positives():
    answer, _ = run(make_targets([], []))
    assert answer.quality.sum() == 0 and not answer.best_valid.any()
