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

"""Scenes over time: ids in scenes, events in order, odd stamps and changing verbs."""

from dataclasses import replace

from hoi_perception.core.scene import Instances, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.runtime.events import EventKind, LATE_NS, Timeline
from hoi_perception.runtime.smoothing import Hysteresis
import numpy as np
import pytest

WORDS = Vocabulary(('person', 'cup', 'chair'), (Verb('hold'), Verb('sit_on'), Verb('walk')))
RULE = Hysteresis(on=0.5, off=0.3, on_s=0.3, off_s=0.4, smoothing_s=0.0, max_age_s=1.0)
SECOND = 10 ** 9
PERSON, CUP, CHAIR = (100, 100, 160, 300), (150, 180, 170, 200), (90, 220, 180, 320)


def scene(*triplets, boxes=(PERSON, CUP, CHAIR), labels=(0, 1, 2), words=WORDS, ids=None):
    """Return a scene; triplets are (human, verb, object, score)."""
    table = np.array(triplets, float).reshape(-1, 4)
    return Scene(640, 480, words,
                 Instances(np.array(boxes, float).reshape(-1, 4), np.full(len(boxes), 0.9),
                           labels, ids),
                 Triplets(table[:, 0], table[:, 2], table[:, 1], table[:, 3]))


HOLD = scene((0, 0, 1, 0.8), (0, 1, 2, 0.1))
IDLE = scene()


def play(timeline, scenes, start_s=100.0, period_s=0.1):
    """Return the moments of scenes that follow each other."""
    return [timeline.update(found, round(SECOND * (start_s + k * period_s)), 0.3, RULE)
            for k, found in enumerate(scenes)]


def events(moments):
    """Return (frame, event) of all moments."""
    return [(k, event) for k, moment in enumerate(moments) for event in moment.events]


def test_an_interaction_begins_and_ends_with_names_ids_and_times():
    timeline = Timeline()
    moments = play(timeline, [IDLE] * 2 + [HOLD] * 8 + [IDLE] * 10)
    (first, began), (last, ended) = events(moments)
    assert (first, began.kind, last, ended.kind) == (5, EventKind.STARTED, 13, EventKind.ENDED)
    for event in (began, ended):
        assert (event.human_class, event.verb_name, event.object_class) == (
            'person', 'hold', 'cup')
        assert (event.interaction_id, event.human_track, event.object_track) == (1, 1, 2)
        assert event.start_ns == round(100.2 * SECOND)
    assert began.score == pytest.approx(0.8)
    assert began.duration_ns == pytest.approx(0.3 * SECOND)
    assert ended.duration_ns == pytest.approx(0.7 * SECOND)


def test_scenes_carry_the_ids_and_nothing_else_changes():
    moments = play(Timeline(), [HOLD] * 8)
    result = moments[-1].scene
    assert result.instances.track_ids.tolist() == [1, 2, 3]
    assert result.triplets.ids.tolist() == [1, 0]
    assert moments[2].scene.triplets.ids.tolist() == [0, 0]
    assert np.array_equal(result.triplets.scores, HOLD.triplets.scores)
    assert np.array_equal(result.instances.boxes, HOLD.instances.boxes)
    assert not HOLD.instances.track_ids.any()


def test_an_interaction_without_object_has_no_object_track():
    walk = scene((0, 2, NONE, 0.9))
    (_, event), = events(play(Timeline(), [walk] * 8))
    assert (event.verb_name, event.object_track, event.object_class) == ('walk', 0, '')


def test_the_same_scenes_give_the_same_moments():
    scenes = [IDLE, *[HOLD] * 9, *[IDLE] * 9, *[HOLD] * 5]
    first, second = (events(play(Timeline(), scenes)) for _ in range(2))
    assert first == second
    assert first


@pytest.mark.parametrize('back_to_s', [100.0, 50.0, 1.0])
def test_a_jump_back_in_time_ends_everything_and_begins_anew(back_to_s):
    timeline = Timeline()
    assert len(events(play(timeline, [HOLD] * 10))) == 1
    moments = play(timeline, [HOLD] * 10, start_s=back_to_s)
    assert 'begin anew' in moments[0].note
    assert not any(moment.note for moment in moments[1:])
    (k, ended), (_, again) = events(moments)
    assert (k, ended.kind, ended.interaction_id) == (0, EventKind.ENDED, 1)
    assert ended.duration_ns == pytest.approx(0.8 * SECOND)  # from the second sighting on
    assert (again.kind, again.interaction_id, again.human_track) == (EventKind.STARTED, 2, 4)
    assert again.start_ns == pytest.approx(SECOND * (back_to_s + 0.1))


def test_a_late_frame_disturbs_nothing():
    timeline = Timeline()
    play(timeline, [HOLD] * 8)
    moment = timeline.update(HOLD, round(100.7 * SECOND) - LATE_NS + 1, 0.3, RULE)
    assert moment.scene.instances.track_ids.tolist() == [1, 2, 3]
    assert (moment.events, moment.note) == ((), '')
    assert events(play(timeline, [HOLD] * 8, start_s=100.8)) == []


def test_one_stamp_from_the_future_is_got_over():
    timeline = Timeline()
    play(timeline, [HOLD] * 8)
    far = timeline.update(HOLD, 10 ** 18, 0.3, RULE)
    assert [event.kind for event in far.events] == [EventKind.ENDED]
    back = play(timeline, [HOLD] * 8, start_s=101.0)
    assert back[0].note
    assert back[-1].scene.triplets.ids.tolist() == [2, 0]


def test_ids_that_came_with_the_boxes_are_kept():
    theirs = replace(HOLD, instances=replace(HOLD.instances, track_ids=np.array([70, 5, 0])))
    moments = play(Timeline(), [theirs] * 8 + [replace(theirs, triplets=IDLE.triplets)] * 8)
    assert moments[-1].scene.instances.track_ids.tolist() == [70, 5, 0]
    assert [(event.human_track, event.object_track) for _, event in events(moments)] == [
        (70, 5)] * 2


def test_a_triplet_with_an_untracked_part_is_no_interaction():
    boxes = [PERSON, (400, 100, 420, 120)]
    scenes = [scene((0, 0, 1, 0.9), boxes=[boxes[0], (400 + 60 * (k % 7), 100, 420 + 60 * (k % 7),
                                                     120)], labels=(0, 1)) for k in range(14)]
    assert events(play(Timeline(), scenes)) == []


def test_verbs_are_followed_by_name_when_the_vocabulary_changes():
    turned = Vocabulary(WORDS.objects + ('dog',), (Verb('walk'), Verb('hold')))
    timeline = Timeline()
    play(timeline, [HOLD] * 8)
    same = play(timeline, [scene((0, 1, 1, 0.8), words=turned)] * 8, start_s=100.8)
    assert events(same) == []
    assert same[-1].scene.triplets.ids.tolist() == [1]
    without = Vocabulary(turned.objects, (Verb('walk'),))
    moment = play(timeline, [scene(words=without)], start_s=101.6)[0]
    assert [(event.kind, event.verb_name, event.object_class) for event in moment.events] == [
        (EventKind.ENDED, 'hold', 'cup')]


def test_a_reset_ends_what_is_under_way():
    timeline = Timeline()
    play(timeline, [HOLD] * 8)
    assert [event.kind for event in timeline.reset()] == [EventKind.ENDED]
    assert timeline.reset() == ()


def test_every_beginning_has_its_end_whatever_comes():
    rng, timeline, seen = np.random.default_rng(0), Timeline(), []
    now = 10 * SECOND
    for _ in range(400):
        now = max(1, now + int(rng.choice([0, 0.05, 0.1, 0.3, 3.0, -0.1, -2.0],
                                          p=[.1, .3, .3, .2, .04, .03, .03]) * SECOND))
        count = rng.integers(0, 4)
        boxes = np.array([PERSON, CUP, CHAIR])[:count] + rng.normal(0, 2, (count, 1))
        triplets = [(0, 0, 1, rng.random()), (0, 1, 2, rng.random())][:max(count - 1, 0)]
        found = scene(*triplets, boxes=boxes, labels=(0, 1, 2)[:count])
        seen += timeline.update(found, now, 0.3, replace(RULE, on_s=0.1)).events
    seen += timeline.reset()
    begun = [event.interaction_id for event in seen if event.kind == EventKind.STARTED]
    ended = [event.interaction_id for event in seen if event.kind == EventKind.ENDED]
    assert len(begun) > 10
    assert sorted(begun) == sorted(ended)
    assert len(set(begun)) == len(begun)
    assert all(event.duration_ns >= 0 for event in seen)
