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

"""Scenes in the form of V-COCO: what verbs mean, and which images count."""

from hoi_perception.evaluation.datasets.vcoco_json import read_vcoco_instances
from hoi_perception.evaluation.datasets.vcoco_names import vcoco_actions
from hoi_perception.evaluation.triplet_map import named_triplets
from hoi_perception.evaluation.vcoco_scenes import evaluate_scenes, meaning, renamed
from hoi_perception.evaluation.vcoco_truth import truth_from_pairs
import numpy as np
import pytest
from small_scenes import scene

ACTIONS = [name for name, _ in vcoco_actions()]
PERSON, OTHER, BIKE, CUP = (0, 0, 20, 60), (60, 0, 90, 70), (30, 30, 70, 70), (5, 5, 15, 15)


@pytest.mark.parametrize(('verb', 'thing', 'action', 'slots'), [
    ('hold obj', 'cup', 'hold', (0,)), ('hold', 'cup', 'hold', (0,)),
    ('Talk on phone', 'cell phone', 'talk_on_phone', (0,)),
    ('hit instr', 'sports ball', 'hit', (0,)), ('hit', 'tennis racket', 'hit', (0,)),
    ('hit', 'sports_ball', 'hit', (1,)), ('eat', 'apple', 'eat', (0,)),
    ('eat', 'fork', 'eat', (1,)), ('cut', 'giraffe', 'cut', (0, 1)), ('eat', '', 'eat', (0, 1)),
    ('walk', '', 'walk', ())])
def test_verbs_mean_actions_and_roles(verb, thing, action, slots):
    assert meaning(verb, thing) == (ACTIONS.index(action), slots)


def test_verbs_that_v_coco_does_not_have_mean_nothing():
    assert meaning('juggle', 'cup') is None


@pytest.mark.parametrize(('asked', 'names'), [
    (['hold', 'ride'], ['hold', 'ride']), (['ride'], ['hold obj', 'ride']),
    (['hold', 'Hold_obj'], ['Hold_obj', 'ride instr']), (['eat'], ['hold obj', 'ride instr'])])
def test_truth_calls_its_verbs_as_they_were_asked_for(asked, names):
    before = scene([('person', PERSON), ('bicycle', BIKE), ('cup', CUP)],
                   [(0, 'hold obj', 2), (0, 'ride instr', 1)])
    found = renamed(before, asked)
    assert [name for name, _ in named_triplets(found)] == names
    np.testing.assert_array_equal(found.triplets.object, before.triplets.object)


def _truth():
    raw = {'objects': ['background', 'person', 'bicycle', 'cup'],
           'classes': ['hold obj', 'ride instr'], 'annotations': [
               {'file_name': 'a.jpg', 'boxes_h': [PERSON, PERSON], 'boxes_o': [BIKE, CUP],
                'actions': [1, 0], 'objects': [2, 3]},
               {'file_name': 'b.jpg', 'boxes_h': [], 'boxes_o': [], 'actions': [],
                'objects': []},
               {'file_name': 'c.jpg', 'boxes_h': [PERSON], 'boxes_o': [OTHER], 'actions': [0],
                'objects': [1]}]}
    return truth_from_pairs(read_vcoco_instances(raw, 'file'))


def test_pairs_become_people_with_labels_and_role_boxes():
    truth = _truth()
    ride, hold = ACTIONS.index('ride'), ACTIONS.index('hold')
    assert truth.images.tolist() == [0, 0, 0, 2, 2]
    assert truth.person.tolist() == [True, False, False, True, True]
    assert truth.labels[:, ride].tolist() == [1, -1, -1, 0, -1]
    bike = truth.role_rows[0, ride, 0]
    np.testing.assert_array_equal(truth.boxes[bike], np.array(BIKE) - [0, 0, 1, 1])
    assert truth.role_rows[3, hold, 0] == 4 and truth.role_rows[3, ride, 0] == -1


def test_images_are_taken_in_any_order_and_twice():
    truth, taken = _truth(), _truth().take(np.array([2, 1, 0, 2]))
    hold = ACTIONS.index('hold')
    assert taken.images.tolist() == [0, 0, 2, 2, 2, 3, 3]
    for row, other in ((0, 1), (5, 6)):
        assert taken.role_rows[row, hold, 0] == other
    np.testing.assert_array_equal(taken.boxes[[5, 6]], truth.boxes[[3, 4]])
    assert len(truth.take(np.zeros(0, int)).boxes) == 0


RIGHT = scene([('person', PERSON), ('bicycle', BIKE), ('cup', CUP)],
              [(0, 'ride', 1, .9), (0, 'hold', 2, .8)])


@pytest.mark.parametrize(('frames', 'ride', 'hold'), [
    ([(0, RIGHT)], 1, 1),
    ([(0, None)], 0, 0),
    ([(0, RIGHT), (2, None)], 1, .5),
    ([(0, RIGHT), (0, None)], .5, .5),
    ([(0, RIGHT), (1, RIGHT)], 1, 1)])
def test_frames_that_were_not_answered_were_missed(frames, ride, hold):
    result = evaluate_scenes(_truth(), frames)
    for scenario in (0, 1):
        assert result.role[scenario][ACTIONS.index('ride'), 0] == pytest.approx(ride)
        assert result.role[scenario][ACTIONS.index('hold'), 0] == pytest.approx(hold)
