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

"""The HICO-DET protocol on cases whose answer is known, and on scenes."""

from hoi_perception.core.scene import Instances, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.evaluation.triplet_map import (
    average_precision,
    BoxPairs,
    evaluate_scenes,
    match_image,
    PROTOCOL,
    TripletMap,
)
import numpy as np
import pytest

WORLD = Vocabulary(('person', 'cup'), (Verb('hold'), Verb('no_interaction')))
OTHER = Vocabulary(('cup', 'dog', 'person'), (Verb('pat'), Verb('hold')), human=2)
NOBODY = BoxPairs(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))


def _pairs(*rows):
    """Rows of (human x, object x, class, score); boxes are 10 x 10."""
    box = np.array([0, 0, 10, 10])
    shift = np.array([1, 0, 1, 0])
    h, o, c, s = (np.array(v) for v in zip(*rows))
    return BoxPairs(box + h[:, None] * shift, box + o[:, None] * shift, c, s.astype(float))


@pytest.mark.parametrize(('predicted', 'right'), [
    ([(0, 50, 0, .9)], [True]),
    ([(3, 53, 0, .9)], [True]),                      # IoU 7/13
    ([(4, 50, 0, .9)], [False]),                     # the worse of the two counts, 6/14
    ([(0, 50, 1, .9)], [False]),
    ([(0, 50, 0, .5), (1, 50, 0, .9)], [False, True]),
    ([(0, 50, 0, .9), (0, 50, 0, .9)], [True, False])])
def test_matching_is_greedy_by_score_within_the_class(predicted, right):
    assert match_image(_pairs(*predicted), _pairs((0, 50, 0, 0))).tolist() == right


def test_a_second_detection_of_a_taken_pair_gets_no_second_best():
    truth = _pairs((0, 50, 0, 0), (2, 50, 0, 0))
    assert match_image(_pairs((0, 50, 0, .9), (0, 50, 0, .8)), truth).tolist() == [True, False]


@pytest.mark.parametrize(('right', 'positives', 'ap'), [
    ([], 3, 0.0), ([True], 1, 1.0), ([True], 2, 6 / 11), ([False, True], 1, 0.5),
    ([True, False, True], 2, (6 + 5 * 2 / 3) / 11), ([False], 0, 0.0)])
def test_eleven_point_average_precision(right, positives, ap):
    assert average_precision(np.array(right, bool), positives)[0] == pytest.approx(ap)


def test_known_object_drops_detections_on_other_images_and_keeps_the_truth():
    evaluation = TripletMap(1)
    evaluation.add(_pairs((0, 50, 0, .9)), NOBODY, known=np.array([False]))
    evaluation.add(_pairs((0, 50, 0, .5)), _pairs((0, 50, 0, 0)), known=np.array([True]))
    assert evaluation.results().ap[0] == pytest.approx(0.5)
    assert evaluation.results(known_object=True).ap[0] == pytest.approx(1.0)


def _scene(vocabulary, person, cup, verb, thing=1, score=0.9):
    boxes = [[0, 0, 40, 80], [30, 30, 50, 50]]
    names = vocabulary.objects
    return Scene(100, 100, vocabulary, Instances(
        boxes, [1, 1], [names.index(person), names.index(cup)]), Triplets(
            [0], [thing], [vocabulary.verb_names.index(verb)], [score]))


def test_scenes_are_compared_by_name_whatever_their_vocabulary():
    report = evaluate_scenes([(_scene(OTHER, 'person', 'cup', 'hold'),
                               _scene(WORLD, 'person', 'cup', 'hold'))])
    assert report.protocol == PROTOCOL
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
