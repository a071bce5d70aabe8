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

"""Masks of instances that were found."""

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.mask_iou import MaskIouCounter
import numpy as np
import pytest
from small_scenes import scene

TRUE = [('person', (0, 0, 20, 40)), ('cup', (50, 0, 60, 10))]


def _found(predicted, truth):
    counter = MaskIouCounter()
    counter.add(predicted, truth)
    return counter.result()


def test_overlap_of_matched_instances_by_hand():
    truth = scene(TRUE, masks=[(0, 0, 0, 20, 40), (1, 50, 0, 10, 10)])
    predicted = scene(TRUE[::-1], masks=[(1, 0, 0, 20, 20)])
    found = _found(predicted, truth)
    assert found.per_class() == {'cup': (0.0, 1), 'person': (0.5, 1)}
    assert (found.mean, found.found, found.truth) == (0.25, 2, 2)


def test_instances_that_were_not_found_are_counted_and_have_no_iou():
    truth = scene(TRUE, masks=[(0, 0, 0, 20, 40), (1, 50, 0, 10, 10)])
    found = _found(scene([('dog', TRUE[1][1])], masks=[(0, 50, 0, 10, 10)]), truth)
    assert (found.found, found.truth) == (0, 2) and np.isnan(found.mean)


def test_truth_without_masks_is_not_judged():
    assert _found(scene(TRUE), scene(TRUE)).truth == 0


def test_masks_of_another_image_size_are_refused():
    with pytest.raises(HoiError, match='50x50'):
        _found(scene(TRUE, size=(50, 50)), scene(TRUE, masks=[(0, 0, 0, 20, 40)]))
