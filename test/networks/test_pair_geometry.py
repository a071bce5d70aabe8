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

"""Tests of the 36 numbers about a pair of boxes; the official form is tested in test/golden."""

from hoi_perception.networks.pair_geometry import box_iou, NUMBERS, pair_geometry
import pytest
import torch
from torchvision.ops import box_iou as reference_iou


def _boxes(seed: int, count: int) -> torch.Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)) * 100
    return torch.cat([corners.min(1).values, corners.max(1).values], -1)


def test_overlap_equals_torchvision():
    first, second = _boxes(0, 20), _boxes(1, 30)
    torch.testing.assert_close(box_iou(first[:, None], second[None]),
                               reference_iou(first, second))


def test_empty_boxes_do_not_overlap():
    point = torch.tensor([5.0, 5.0, 5.0, 5.0])
    assert box_iou(point, point) == 0


def test_batches_give_what_single_pairs_give():
    humans, objects = _boxes(2, 12), _boxes(3, 12)
    batched = pair_geometry(humans.view(3, 4, 4), objects.view(3, 4, 4), 100, 100)
    assert batched.shape == (3, 4, NUMBERS)
    torch.testing.assert_close(batched.view(12, NUMBERS),
                               torch.stack([pair_geometry(h, o, 100, 100)
                                            for h, o in zip(humans, objects)]))


def test_the_object_to_the_right_and_below_is_where_the_numbers_say():
    human, thing = torch.tensor([10.0, 10, 20, 30]), torch.tensor([40.0, 40, 60, 50])
    numbers = pair_geometry(human, thing, 100, 100)
    torch.testing.assert_close(numbers[14:18], torch.tensor([3.5, 0, 1.25, 0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(numbers[:4], torch.tensor([0.15, 0.2, 0.5, 0.45]))


@pytest.mark.parametrize('official', [True, False])
def test_the_two_forms_agree_where_nothing_is_extreme(official):
    human, thing = torch.tensor([10.0, 10, 20, 30]), torch.tensor([12.0, 12, 60, 50])
    plain = pair_geometry(human, thing, 100, 100, official)
    torch.testing.assert_close(plain[:18], pair_geometry(human, thing, 100, 100)[:18], atol=1e-3,
                               rtol=1e-3)


def test_our_form_stays_bounded_on_degenerate_boxes():
    boxes = torch.tensor([[5.0, 5, 5, 5], [0, 0, 100, 0], [-50, -50, -20, 300], [0, 0, 1e4, 1e4]])
    numbers = pair_geometry(boxes[:, None], boxes[None], 100, 100)
    assert torch.isfinite(numbers).all() and numbers.max() <= 10 and numbers.min() > -9.3
