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

"""Interactions that are late, broken, missed or made up."""

from hoi_perception.evaluation.event_accuracy import event_accuracy, EventAccuracy, TimedScenes
import numpy as np
import pytest
from small_scenes import scene

STEP = 100_000_000
PERSON, BIKE = (0, 0, 20, 60), (30, 30, 70, 70)


def _scene(*triplets, human_track=1, bike_track=2, person=PERSON):
    return scene([('person', person, human_track), ('bicycle', BIKE, bike_track)], triplets)


RIDE, EMPTY = _scene((0, 'ride', 1)), _scene()


def _seen(identity, verb='ride', **changes):
    return _scene((0, verb, 1, .9, identity), human_track=8, bike_track=9, **changes)


def _frames(truth, predicted):
    """Frames 100 ms apart; truth: 1 where the person rides. predicted: interaction id, 0 none."""
    return [TimedScenes(i * STEP, _seen(p) if p else EMPTY, RIDE if t else EMPTY)
            for i, (t, p) in enumerate(zip(truth, predicted))]


# truth, predicted ids, pieces, start errors, end errors, covered, false
CASES = {
    'exact': ('0111110', '0111110', [1], [0], [0], [1], 0),
    'late to begin, late to end': ('0111110', '0011111', [1], [.1], [.1], [.75], 0),
    'early': ('0011100', '0111100', [1], [-.1], [0], [1], 0),
    'broken in two': ('1111111', '1110222', [2], [0], [0], [4 / 6], 0),
    'missed': ('0111110', '0000000', [0], [np.nan], [np.nan], [0], 0),
    'made up': ('0000000', '0111110', [], [], [], [], 1),
    'two rides with a long pause': ('1110000000111', '1110000000222', [1, 1], [0, 0], [0, 0],
                                    [1, 1], 0),
    'a short pause is the same ride': ('1110111', '1111111', [1], [0], [0], [1], 0),
    'one prediction over two rides belongs to the longer': (
        '1110000000011111', '1111111111111111', [0, 1], [np.nan, -1.1], [np.nan, 0], [0, 1], 0)}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES.keys())
def test_intervals(case):
    truth, predicted, pieces, start, end, covered, false = case
    found = event_accuracy(_frames(map(int, truth), map(int, predicted)), verbs=['ride'])
    assert found.pieces.tolist() == pieces and found.false == false
    for name, expected in (('start_error', start), ('end_error', end), ('covered', covered)):
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-9, err_msg=name)


def test_figures_over_everything():
    found = event_accuracy(_frames(map(int, '1110000000111'), map(int, '1120000000300')))
    assert (found.recall, found.fragmentation, found.predicted) == (1, 1.5, 3)
    assert found.seconds == pytest.approx(1.2) and found.precision == 1
    made_up = event_accuracy(_frames([0] * 7, [1] * 7), verbs=['ride'])
    assert made_up.false_per_minute == pytest.approx(100) and made_up.precision == 0
    assert np.isnan(made_up.recall) and np.isnan(made_up.fragmentation)


def test_events_say_when_an_interaction_began_before_its_first_triplet():
    frames = _frames(map(int, '0111110'), map(int, '0001110'))
    found = event_accuracy(frames, {1: (STEP, 6 * STEP)})
    np.testing.assert_allclose([found.start_error[0], found.end_error[0]], [0, .1])


@pytest.mark.parametrize('wrong', [
    _seen(1, 'push'), _seen(1, person=(70, 0, 90, 60)), _seen(0)])
def test_other_verbs_other_places_and_triplets_without_id_do_not_match(wrong):
    found = event_accuracy([TimedScenes(i * STEP, wrong, RIDE) for i in range(5)],
                           verbs=['ride', 'push'])
    assert found.pieces.tolist() == [0]


def test_unanswered_frames_are_missed_and_unannotated_ones_are_left_out():
    frames = [TimedScenes(0, None, RIDE), TimedScenes(STEP, _seen(1), RIDE),
              TimedScenes(9 * STEP, _seen(5), None)]
    found = event_accuracy(frames)
    assert found.start_error[0] == pytest.approx(.1) and found.predicted == 1


def test_truth_without_track_ids_is_counted_and_not_judged():
    bare = _scene((0, 'ride', 1), human_track=0)
    found = event_accuracy([TimedScenes(0, _seen(1), bare)])
    assert (found.untracked, len(found.verbs)) == (1, 0)


def test_verbs_that_were_not_asked_for_are_left_out():
    assert event_accuracy(_frames([1] * 3, [0] * 3), verbs=['push']).verbs == ()


def test_sequences_are_joined_and_none_is_empty():
    one = event_accuracy(_frames(map(int, '0110'), map(int, '0110')))
    both = EventAccuracy.join([one, event_accuracy(_frames([0] * 4, [3] * 4), verbs=['ride'])])
    assert (both.verbs, both.predicted, both.false) == (('ride',), 2, 1)
    assert both.seconds == pytest.approx(.6)
    assert np.isnan(event_accuracy([]).recall)
