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

"""Triplet mAP over scenes: names, not indices, are compared."""

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import Instances, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.evaluation.hico_det import HICO_OFFICIAL, LAIN
from hoi_perception.evaluation.results import KNOWN_OBJECT
from hoi_perception.evaluation.triplet_map import evaluate_scenes, SceneEvaluator
import numpy as np
import pytest

WORLD = Vocabulary(('person', 'cup'), (Verb('hold'), Verb('no_interaction')))
OTHER = Vocabulary(('cup', 'dog', 'person'), (Verb('pat'), Verb('hold')), human=2)


def _scene(vocabulary, person, cup, verb, thing=1, score=0.9):
    boxes = [[0, 0, 40, 80], [30, 30, 50, 50]]
    names = vocabulary.objects
    return Scene(100, 100, vocabulary, Instances(
        boxes, [1, 1], [names.index(person), names.index(cup)]), Triplets(
            [0], [thing], [vocabulary.verb_names.index(verb)], [score]))


def test_scenes_are_compared_by_name_whatever_their_vocabulary():
    report = evaluate_scenes([(_scene(OTHER, 'person', 'cup', 'hold'),
                               _scene(WORLD, 'person', 'cup', 'hold'))])
    assert report.protocol == HICO_OFFICIAL.name
    assert (report.full, report.per_class, report.positives, report.images) == (
        pytest.approx(1.0), {('hold', 'cup'): pytest.approx(1.0)}, {('hold', 'cup'): 1}, 1)


@pytest.mark.parametrize(('predicted', 'full'), [
    (_scene(OTHER, 'person', 'dog', 'hold'), 0.0), (_scene(OTHER, 'person', 'cup', 'pat'), 0.0),
    (Scene(100, 100, WORLD), 0.0)])
def test_wrong_names_and_empty_predictions_score_nothing(predicted, full):
    assert evaluate_scenes([(predicted, _scene(WORLD, 'person', 'cup', 'hold'))]).full == full


def test_no_interaction_is_not_evaluated_unless_asked_for():
    pairs = [(Scene(100, 100, WORLD), _scene(WORLD, 'person', 'cup', 'no_interaction'))]
    assert evaluate_scenes(pairs).per_class == {}
    assert evaluate_scenes(pairs, ignore_verbs=()).per_class == {('no_interaction', 'cup'): 0.0}


def test_a_triplet_without_object_matches_on_the_human_alone():
    scene = _scene(WORLD, 'person', 'cup', 'hold', thing=NONE)
    assert evaluate_scenes([(scene, scene)]).per_class == {('hold', ''): pytest.approx(1.0)}


def test_an_evaluator_takes_scenes_one_by_one_under_either_protocol():
    right, wrong = (_scene(WORLD, 'person', 'cup', 'hold'),
                    _scene(OTHER, 'person', 'cup', 'hold', score=0.95))
    for protocol, full in ((HICO_OFFICIAL, 1 / 2), (LAIN, 1)):
        evaluator = SceneEvaluator([('hold', 'cup')], protocol)
        evaluator.add(wrong, Scene(100, 100, WORLD))
        evaluator.add(right, right)
        result = evaluator.result()
        assert (result.protocol, result.full) == (protocol.name, pytest.approx(full))


def test_under_known_object_a_class_counts_where_the_truth_has_its_object():
    holding = _scene(WORLD, 'person', 'cup', 'hold')
    beside = _scene(WORLD, 'person', 'cup', 'no_interaction')
    results = []
    for truth_of_false_alarm in (Scene(100, 100, WORLD), beside):
        evaluator = SceneEvaluator([('hold', 'cup')])
        evaluator.add(_scene(WORLD, 'person', 'cup', 'hold', score=0.95), truth_of_false_alarm)
        evaluator.add(holding, holding)
        results.append(evaluator.result(KNOWN_OBJECT).full)
    assert results == [pytest.approx(1), pytest.approx(1 / 2)]


def test_scenes_with_scores_that_are_no_numbers_are_refused():
    with pytest.raises(HoiError, match='scores holds nan'):
        evaluate_scenes([(_scene(WORLD, 'person', 'cup', 'hold', score=np.nan),
                          _scene(WORLD, 'person', 'cup', 'hold'))])


def test_no_scenes_give_an_empty_report():
    report = evaluate_scenes([])
    assert (report.full, report.per_class, report.images) == (0.0, {}, 0)
