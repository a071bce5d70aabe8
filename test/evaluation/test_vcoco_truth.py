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

"""Original V-COCO files become ground truth with the official cleaning."""

import copy

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.vcoco_truth import clean_box, truth_from_json
import numpy as np
import pytest


def _annotation(number, box, image=7, category=1, **more):
    return {'id': number, 'image_id': image, 'category_id': category, 'bbox': box, 'area': 1.0,
            **more}


def _files():
    """Image 7: objects and persons; image 9 comes first in the list of annotations."""
    coco = {'images': [{'id': 7, 'width': 100, 'height': 50},
                       {'id': 9, 'width': 100, 'height': 50}],
            'categories': [{'id': 1, 'name': 'person'}, {'id': 34, 'name': 'bat'}],
            'annotations': [_annotation(30, [0, 0, 9, 9], image=9),
                            _annotation(12, [50, 0, 10, 10], category=34),
                            _annotation(11, [0, 0, 10, 10]),
                            _annotation(13, [0, 0, 1, 10]),
                            _annotation(14, [5, 0, 10, 10]),
                            _annotation(99, [0, 0, 9, 9], image=1)]}
    vcoco = [{'action_name': 'stand', 'role_name': ['agent'], 'image_id': [7, 9, 7],
              'ann_id': [11, 30, 13], 'label': [1, 0, 1], 'role_object_id': [11, 30, 13]},
             {'action_name': 'hit', 'role_name': ['agent', 'instr', 'obj'],
              'image_id': [7, 9, 7], 'ann_id': [11, 30, 13], 'label': [1, 0, 0],
              'role_object_id': [11, 30, 13, 0, 0, 0, 12, 0, 0]}]
    return coco, vcoco, [7, 9]


def test_boxes_keep_the_order_of_the_file_within_the_order_of_images():
    truth = truth_from_json(*_files())
    assert truth.images.tolist() == [0, 0, 0, 1]
    assert truth.person.tolist() == [False, True, True, True]
    assert truth.boxes.tolist() == [[50, 0, 59, 9], [0, 0, 9, 9], [5, 0, 14, 9], [0, 0, 8, 8]]
    assert (truth.actions, truth.roles) == (('stand', 'hit'), ((), ('instr', 'obj')))


def test_who_is_not_named_is_not_annotated_and_roles_point_at_rows():
    truth = truth_from_json(*_files())
    assert truth.labels.tolist() == [[-1, -1], [1, 1], [-1, -1], [0, 0]]
    rows = np.full((4, 2, 2), -1)
    rows[1, 1, 1] = 0
    np.testing.assert_array_equal(truth.role_rows, rows)


@pytest.mark.parametrize(('box', 'more', 'expected'), [
    ([10, 10, 20, 5], {}, [10, 10, 29, 14]), ([-5, -5, 20, 20], {}, [0, 0, 14, 14]),
    ([90, 40, 20, 20], {}, [90, 40, 99, 49]), ([10, 10, 1, 20], {}, None),
    ([10, 10, 20, 0], {}, None), ([99, 10, 20, 20], {}, None),
    ([10, 10, 20, 20], {'area': 0}, None), ([10, 10, 20, 20], {'ignore': 1}, None),
    ([10, 10, 20, 20], {'ignore': 0}, [10, 10, 29, 29])])
def test_boxes_are_cleaned_as_the_official_code_does(box, more, expected):
    assert clean_box(_annotation(1, box, **more), 100, 50) == expected


def _broken(change):
    coco, vcoco, ids = copy.deepcopy(_files())
    change(coco, vcoco, ids)
    return coco, vcoco, ids


@pytest.mark.parametrize(('change', 'part'), [
    (lambda c, v, i: i.pop(), 'names 2 images, the list of ids 1'),
    (lambda c, v, i: c['images'].pop(), 'lacks 1 images of the split, the first is 9'),
    (lambda c, v, i: v[1]['role_object_id'].__setitem__(6, 77), 'role annotation 77'),
    (lambda c, v, i: v[1]['role_object_id'].__setitem__(6, 13), 'role annotation 13'),
    (lambda c, v, i: v[1].pop('label'), "lacks the field 'label'"),
    (lambda c, v, i: v[1].update(ann_id=[11, 30, 11], label=[1, 0, 1]), 'person 11 twice')])
def test_files_that_do_not_belong_together_are_refused_with_a_sentence(change, part):
    with pytest.raises(HoiError) as error:
        truth_from_json(*_broken(change))
    assert part in str(error.value)
