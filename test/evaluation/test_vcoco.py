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

"""V-COCO by hand: every rule of the official evaluator that is easily got wrong."""

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.vcoco import AgentRows, evaluate, RoleRows, VcocoDetections
from hoi_perception.evaluation.vcoco_truth import VcocoTruth
import numpy as np
import pytest

ACTIONS, ROLES = ('hit', 'stand', 'point'), (('instr', 'obj'), (), ('instr',))
NAN, NO_BOX = np.nan, (0, 0, 0, 0)
BAT, BALL = (200, 0, 219, 9), (300, 0, 309, 9)


def _person(x, actions=(0, 0, 0), instr=None, obj=None):
    return (x, 0, x + 19, 39), actions, instr, obj


def _truth(*images) -> VcocoTruth:
    """Images of persons; role boxes are appended to their image as objects of 'hit'."""
    images_, boxes, person, labels, roles = [], [], [], [], []
    for image, people in enumerate(images):
        for box, actions, *role_boxes in people:
            row = len(boxes)
            rows = np.full((3, 2), -1)
            extra = [b for b in role_boxes if b]
            rows[0] = [row + 1 + extra.index(b) if b else -1 for b in role_boxes]
            boxes += [box, *extra]
            person += [True] + [False] * len(extra)
            labels += [actions] + [(-1, -1, -1)] * len(extra)
            roles += [rows] + [np.full((3, 2), -1)] * len(extra)
            images_ += [image] * (1 + len(extra))
    return VcocoTruth(ACTIONS, ROLES, np.arange(len(images)), np.array(images_, int),
                      np.array(boxes, np.float32).reshape(-1, 4), np.array(person, bool),
                      np.array(labels, np.int8).reshape(-1, 3),
                      np.array(roles, int).reshape(-1, 3, 2))


def _found(*rows) -> VcocoDetections:
    """Rows of (image, person x, score of 'hit', its instr box, its obj box)."""
    count = len(rows)
    agents, roles = np.full((count, 3), NAN), np.full((count, 3, 2, 5), NAN)
    for i, (_, _, score, *boxes) in enumerate(rows):
        agents[i, 0] = score
        for slot, box in enumerate(boxes):
            roles[i, 0, slot] = (*box, score)
    return VcocoDetections.from_dense(
        np.array([row[0] for row in rows], int),
        np.array([(row[1], 0, row[1] + 19, 39) for row in rows], float).reshape(-1, 4), agents,
        roles)


HIT = (1, 0, 0)
ONE = [_person(0, HIT, BAT, BALL)]
CASES = {
    # name: truth, detections, agent AP of 'hit', role AP (instr, obj) in scenario 1 and 2
    'all right': ([ONE], [(0, 0, .9, BAT, BALL)], 1, (1, 1), (1, 1)),
    'roles are apart': ([ONE], [(0, 0, .9, BAT, BAT)], 1, (1, 0), (1, 0)),
    'nothing detected': ([ONE], [], 0, (0, 0), (0, 0)),
    'the wrong action of a person': ([[_person(0)], ONE], [(0, 0, .9, BAT, BALL)], 0, (0, 0),
                                     (0, 0)),
    'an empty role is wrong where there is a box': ([ONE], [(0, 0, .9, NO_BOX, (NAN,) * 4)], 1,
                                                    (0, 0), (0, 0)),
    'no box in the truth: 1 wants none, 2 takes any': (
        [[_person(0, HIT, None, None)]], [(0, 0, .9, BAT, NO_BOX)], 1, (0, 1), (1, 1)),
    'a NaN box is none, too': (
        [[_person(0, HIT, None, None)]], [(0, 0, .9, (NAN,) * 4, BALL)], 1, (1, 0), (1, 1)),
    'a half NaN box is a box': (
        [[_person(0, HIT, None, None)]], [(0, 0, .9, (NAN, 0, 0, 0), NO_BOX)], 1, (0, 1), (1, 1)),
    'persons without a role box count in its recall': (
        [[_person(0, HIT, BAT, BALL), _person(100, HIT, None, BALL)]],
        [(0, 0, .9, BAT, BALL)], 1 / 2, (1 / 2, 1 / 2), (1 / 2, 1 / 2)),
    'a second detection of a person is wrong': (
        [[_person(0, HIT, BAT, BALL), _person(4, HIT, BAT, BALL)]],
        [(0, 0, .9, BAT, BALL), (0, 0, .8, BAT, BALL)], 1 / 2, (1 / 2, 1 / 2), (1 / 2, 1 / 2)),
    'a person is covered per role: a wrong instr leaves it free': (
        [ONE], [(0, 0, .9, BALL, BALL), (0, 0, .8, BAT, BALL)], 1, (1 / 2, 1), (1 / 2, 1)),
    'an ignored person swallows what overlaps it most': (
        [[_person(0, (-1, -1, -1)), _person(4, HIT, BAT, BALL)]],
        [(0, 1, .9, BAT, BALL), (0, 4, .8, BAT, BALL)], 1, (1, 1), (1, 1)),
    'also without any overlap, if it comes first': (
        [[_person(0, (-1, -1, -1)), _person(100, HIT, BAT, BALL)]],
        [(0, 600, .9, BAT, BALL), (0, 100, .8, BAT, BALL)], 1, (1, 1), (1, 1)),
    'but not if it comes second': (
        [[_person(100, HIT, BAT, BALL), _person(0, (-1, -1, -1))]],
        [(0, 600, .9, BAT, BALL), (0, 100, .8, BAT, BALL)], 1 / 2, (1 / 2, 1 / 2),
        (1 / 2, 1 / 2)),
    'an image without persons: wrong': (
        [[], ONE], [(0, 0, .9, BAT, BALL), (1, 0, .8, BAT, BALL)], 1 / 2, (1 / 2, 1 / 2),
        (1 / 2, 1 / 2)),
    'equal scores keep the order of images': (
        [ONE, [_person(0)]], [(1, 0, .5, BAT, BALL), (0, 0, .5, BAT, BALL)], 1, (1, 1), (1, 1))}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES.keys())
def test_rules_by_hand(case):
    truth, found, agent, *scenarios = case
    result = evaluate(_found(*found), _truth(*truth))
    assert result.agent[0] == pytest.approx(agent)
    for role, expected in zip(result.role, scenarios):
        np.testing.assert_allclose(role[0], expected)


@pytest.mark.parametrize(('height', 'ap'), [(20, 1), (19, 0)])
def test_sides_are_one_longer_than_they_look_and_one_half_is_enough(height, ap):
    found = _found((0, 0, .9, BAT, BALL))
    box = np.array([[0, 0, 19, height - 1]])
    found = VcocoDetections(found.images, box, found.agents, found.roles)
    assert evaluate(found, _truth(ONE)).agent[0] == pytest.approx(ap)


def test_the_area_under_the_envelope_is_taken_not_eleven_points():
    people = [_person(100 * i, HIT, None, None) for i in range(3)]
    found = [(0, 0, .9), (0, 600, .8), (0, 100, .7)]
    assert evaluate(_found(*found), _truth(people)).agent[0] == pytest.approx((1 + 2 / 3) / 3)


def test_actions_without_positives_and_roles_that_do_not_exist_are_nan():
    result = evaluate(_found((0, 0, .9, BAT, BALL)), _truth(ONE))
    np.testing.assert_array_equal(result.agent, [1, NAN, NAN])
    np.testing.assert_array_equal(result.role[0], [[1, 1], [NAN, NAN], [NAN, NAN]])
    assert result.positives.tolist() == [1, 0, 0]
    assert (result.agent_mean, result.role_mean(1)) == (pytest.approx(1 / 3), 1)


def test_both_means_are_stated_with_what_they_are_over():
    everything = (1, 1, 1)
    result = evaluate(_found((0, 0, .9, BAT, BALL)), _truth([_person(0, everything, BAT, BALL)]))
    assert (result.role_count(), result.role_count(point=True)) == (2, 3)
    assert result.role_mean(1) == pytest.approx(1)
    assert result.role_mean(1, point=True) == pytest.approx(2 / 3)
    for part in ('protocol vcoco_official', '(3 actions)', '100.00 (2 roles, without point)',
                 '66.67 (3 roles, official)', 'scenario 1', 'scenario 2'):
        assert part in str(result)


def test_slots_of_roles_that_an_action_does_not_have_are_not_looked_at():
    found = _found((0, 0, .9, BAT, BALL))
    extra = RoleRows(*(np.concatenate([part, part]) for part in found.roles))
    extra = extra._replace(action=np.array([0, 0, 1, 1]))
    result = evaluate(VcocoDetections(found.images, found.persons, found.agents, extra),
                      _truth(ONE))
    np.testing.assert_array_equal(result.role[0], [[1, 1], [NAN, NAN], [NAN, NAN]])


def test_no_detections_on_no_annotation_give_nan_everywhere():
    result = evaluate(_found(), _truth([]))
    assert np.isnan(result.agent).all() and np.isnan(result.role_mean(1))


def _rows(**changes) -> VcocoDetections:
    fields = {'images': np.array([0]), 'persons': np.zeros((1, 4)),
              'agents': AgentRows(np.array([0]), np.array([0]), np.array([.5])),
              'roles': RoleRows(np.zeros(0, int), np.zeros(0, int), np.zeros(0),
                                np.zeros(0, int), np.zeros((0, 4)))}
    return VcocoDetections(**{**fields, **changes})


BAD = {
    'NaN person': (lambda: _rows(persons=np.full((1, 4), NAN)), 'persons holds nan'),
    'NaN score': (lambda: _rows(agents=AgentRows(np.array([0]), np.array([0]), np.array([NAN]))),
                  'agents.scores holds nan'),
    'person beyond the last': (
        lambda: _rows(agents=AgentRows(np.array([1]), np.array([0]), np.array([.5]))),
        'agents.person holds 1'),
    'action beyond the last': (
        lambda: evaluate(_rows(agents=AgentRows(np.array([0]), np.array([3]), np.array([.5]))),
                         _truth(ONE)), 'agents.action holds 3'),
    'image beyond the last': (
        lambda: evaluate(_rows(images=np.array([1])), _truth(ONE)), 'images holds 1'),
    'infinite role': (lambda: _found((0, 0, .9, (0, 0, np.inf, 0))), 'roles holds inf'),
    'roles of another shape': (
        lambda: VcocoDetections.from_dense(np.array([0]), np.zeros((1, 4)), np.zeros((1, 3)),
                                           np.zeros((1, 3, 5))), 'expected (1, 3, 2, 5)')}


@pytest.mark.parametrize('case', BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_with_a_sentence(case):
    make, part = case
    with pytest.raises(HoiError) as error:
        make()
    assert part in str(error.value)
