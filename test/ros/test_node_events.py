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

"""Identities, events and questions, against a real node in its own process."""

from hoi_msgs.msg import HoiDetections, HoiEvent
from hoi_msgs.srv import Query
import numpy as np
import pytest
from rcl_interfaces.msg import ParameterType, ParameterValue
from ros_graph import image, picture

pytestmark = pytest.mark.xdist_group('ros_events')

RGB = picture(200, 120, seed=3)
USUAL = {'track': True, 'event_on': 0.0, 'event_off': 0.0, 'verbs': ['']}


@pytest.fixture
def seconds(running):
    """Every frame a second later than the last one, over all tests; everything believed."""
    peer = running.peer()
    peer.listen(HoiEvent, 'events')
    assert all(result.successful for result in peer.set_parameters(**USUAL))
    running.clock = getattr(running, 'clock', 0) + 100
    yield running
    assert all(result.successful for result in peer.set_parameters(**USUAL))


def show(running, count=1, back=0, rgb=RGB):
    """Publish frames a second apart and return their detections."""
    running.clock -= back
    answers = []
    for _ in range(count):
        running.clock += 1
        answers.append(running.peer().answer(image(running.clock, rgb)))
        assert answers[-1] is not None, running.process.log
    return answers


def events_of(running, done):
    """Return the events that came, when `done` holds for them."""
    events = running.peer().received['events']
    assert running.peer().spin(lambda: done(events), 10.0), events
    found = list(events)
    events.clear()
    return found


def who(message):
    """Return what identifies the instances of a message (their unknown positions are NaN)."""
    return [(i.class_name, i.track_id, i.x1, i.y1, i.x2, i.y2) for i in message.instances]


def ask(running, **question):
    return running.peer().call(Query, 'hoi_node/query', Query.Request(**question))


def test_ids_stay_and_events_name_them(seconds):
    answers = show(seconds, 4)
    tracks = [[i.track_id for i in answer.instances] for answer in answers]
    assert tracks[1] == tracks[2] == tracks[3]
    assert all(tracks[1]) and len(set(tracks[1])) == len(tracks[1])
    last = answers[-1]
    assert last.triplets and all(t.interaction_id for t in last.triplets)
    events = events_of(seconds, lambda got: len(
        [e for e in got if e.kind == HoiEvent.STARTED]) >= len(last.triplets))
    started = {event.interaction_id: event for event in events if event.kind == HoiEvent.STARTED}
    for triplet in last.triplets:
        event = started[triplet.interaction_id]
        human, thing = last.instances[triplet.human], last.instances[triplet.object]
        assert (event.human_track_id, event.object_track_id) == (human.track_id, thing.track_id)
        assert (event.human_class, event.verb_name, event.object_class) == (
            human.class_name, triplet.verb_name, thing.class_name)
        assert event.header in [answer.header for answer in answers]
        assert 0 < event.start.sec <= event.header.stamp.sec
        assert event.header.stamp.sec - event.start.sec == event.duration.sec


def test_a_clock_that_jumps_back_ends_events_and_is_explained_once(seconds):
    before = show(seconds, 4)[-1]
    seconds.peer().received['events'].clear()
    again = show(seconds, 4, back=50)
    old = {t.interaction_id for t in before.triplets}
    events = events_of(seconds, lambda got: old <= {
        e.interaction_id for e in got if e.kind == HoiEvent.ENDED})
    assert {e.header.stamp.sec for e in events if e.interaction_id in old} == {
        again[0].header.stamp.sec}
    assert not {i.track_id for i in before.instances} & {i.track_id for i in again[-1].instances}
    assert not old & {t.interaction_id for t in again[-1].triplets}
    seconds.clock += 50
    assert seconds.process.log.count('begin anew') == 1


def test_tracking_can_be_switched_off_and_on(seconds):
    before = show(seconds, 4)[-1]
    seconds.peer().received['events'].clear()
    assert seconds.peer().set_parameters(track=False)[0].successful
    plain = show(seconds, 2)[-1]
    assert not any(i.track_id for i in plain.instances)
    assert not any(t.interaction_id for t in plain.triplets)
    ended = {t.interaction_id for t in before.triplets}
    events = events_of(seconds, lambda got: len(got) >= len(ended))
    assert {event.interaction_id for event in events} == ended
    assert {event.kind for event in events} == {HoiEvent.ENDED}
    assert seconds.peer().set_parameters(track=True)[0].successful
    assert all(i.track_id for i in show(seconds, 3)[-1].instances)


def test_interactions_end_with_their_verbs(seconds):
    before = show(seconds, 4)[-1]
    seconds.peer().received['events'].clear()
    assert seconds.peer().set_parameters(verbs=['dance with'])[0].successful
    while {t.verb_name for t in show(seconds)[0].triplets} - {'dance with'}:
        pass
    ended = {t.interaction_id for t in before.triplets}
    events_of(seconds, lambda got: ended <= {
        e.interaction_id for e in got if e.kind == HoiEvent.ENDED})


def test_a_frame_without_a_time_has_no_ids_and_does_no_harm(seconds):
    before = show(seconds, 3)[-1]
    sent = image(0, RGB)
    sent.header.stamp.sec = sent.header.stamp.nanosec = 0
    answer = seconds.peer().answer(sent)
    assert not any(i.track_id for i in answer.instances)
    after = show(seconds)[0]
    assert [i.track_id for i in after.instances] == [i.track_id for i in before.instances]


def test_questions_are_answered_from_the_newest_frame(seconds):
    newest = show(seconds, 4)[-1]
    triplet = newest.triplets[0]
    thing = newest.instances[triplet.object]
    box = ask(seconds, kind=Query.Request.BOX, x1=thing.x1, y1=thing.y1, x2=thing.x2, y2=thing.y2)
    assert box.success, box.message
    assert box.detections.header == newest.header
    assert who(box.detections) == who(newest)
    assert triplet in box.detections.triplets
    assert {triplet.object} <= set.intersection(
        *({t.human, t.object} for t in box.detections.triplets))
    assert f'{thing.class_name} {thing.track_id}' in box.message
    phrase = ask(seconds, kind=Query.Request.PHRASE,
                 phrase=f'who: {triplet.verb_name} {thing.class_name}')
    assert (triplet.human, triplet.object, triplet.verb) in {
        (t.human, t.object, t.verb) for t in phrase.detections.triplets}
    assert {t.verb_name for t in phrase.detections.triplets} == {triplet.verb_name}
    point = ask(seconds, kind=Query.Request.POINT, x1=(thing.x1 + thing.x2) / 2,
                y1=(thing.y1 + thing.y2) / 2)
    assert point.success and point.message.endswith('.')


@pytest.mark.parametrize('question, reason', [
    ({'kind': 0, 'x1': -5.0}, 'not in the image of 200 x 120'),
    ({'kind': 0, 'x1': float('nan')}, 'not in the image'),
    ({'kind': 1}, 'cannot be used'),
    ({'kind': 2}, 'says nothing'),
    ({'kind': 2, 'phrase': 'juggle cup'}, 'begins with no verb'),
    ({'kind': 7}, 'kind 7 is unknown'),
    ({'kind': 0, 'camera': 'rear'}, "no camera 'rear'")])
def test_bad_questions_are_refused_with_a_reason(seconds, question, reason):
    show(seconds)
    answer = ask(seconds, **question)
    assert not answer.success
    assert reason in answer.message
    assert answer.detections == HoiDetections()


@pytest.mark.parametrize('values, reason', [
    ({'event_on': 0.3, 'event_off': 0.4}, 'event_off cannot be 0.4'),
    ({'event_on': 1.5}, 'range'), ({'track_max_age': -1.0}, 'range'),
    ({'event_smoothing': float('nan')}, 'nan'),
    ({'event_off': ParameterValue(type=ParameterType.PARAMETER_NOT_SET)}, 'undeclared')])
def test_bad_parameters_are_refused_with_a_reason(seconds, values, reason):
    result = seconds.peer().set_parameters(atomically=True, **values)[0]
    assert not result.successful
    assert reason in result.reason.lower()


def test_a_node_that_is_not_active_answers_why(seconds):
    show(seconds)
    assert seconds.peer().change_state('deactivate')
    try:
        answer = ask(seconds, kind=Query.Request.PHRASE, phrase='ride')
        assert (answer.success, 'activate it' in answer.message) == (False, True)
    finally:
        assert seconds.peer().change_state('activate')
    answer = ask(seconds, kind=Query.Request.PHRASE, phrase='ride')
    assert (answer.success, 'no frame' in answer.message) == (False, True)
    assert show(seconds)


def test_each_camera_has_its_own_identities_and_is_asked_by_name(graph):
    graph.node('cameras:=[front, rear]', 'event_on:=0.0')
    peer = graph.peer()
    shown = {}
    for camera, rgb in (('front', RGB), ('rear', np.ascontiguousarray(RGB[::-1]))):
        peer.listen(HoiDetections, f'{camera}/detections')
        for number in range(1, 4):
            shown[camera] = peer.answer(image(number, rgb), f'{camera}/image',
                                        f'{camera}/detections')
    tracks = {camera: [i.track_id for i in answer.instances] for camera, answer in shown.items()}
    assert min(tracks['front']) == min(tracks['rear']) == 1
    answer = peer.call(Query, 'hoi_node/query', Query.Request(
        camera='rear', kind=Query.Request.POINT, x1=5.0, y1=5.0))
    assert who(answer.detections) == who(shown['rear'])
    lost = peer.call(Query, 'hoi_node/query', Query.Request())
    assert (lost.success, 'front, rear' in lost.message) == (False, True)
