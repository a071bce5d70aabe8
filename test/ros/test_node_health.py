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

"""Filters, limits, pauses and diagnostics, against a real node in its own process."""

from diagnostic_msgs.msg import DiagnosticArray
from hoi_msgs.msg import HoiDetections
import pytest
from ros_graph import image, picture
from rosgraph_msgs.msg import Clock

pytestmark = pytest.mark.xdist_group('ros_health')

RGB = picture(200, 120, seed=3)
USUAL = {'class_filter': [''], 'verb_filter': [''], 'enabled': True, 'lazy': False,
         'max_rate': 0.0, 'max_age': 0.0}


@pytest.fixture
def usual(running):
    """Reset everything that a test may have changed."""
    assert all(result.successful for result in running.peer().set_parameters(**USUAL))
    yield running
    assert all(result.successful for result in running.peer().set_parameters(**USUAL))


def status(graph, name, done):
    """Return the values of a status, with its message, once `done` holds for them."""
    messages = graph.peer().listen(DiagnosticArray, '/diagnostics')
    messages.clear()
    found = {}

    def look():
        for message in messages:
            for part in message.status:
                if part.name.endswith(name):
                    found.clear()
                    found.update({v.key: v.value for v in part.values}, message=part.message)
        messages.clear()
        return bool(found) and done(found)
    assert graph.peer().spin(look), (found, graph.process.log)
    return found


def test_filters_hold_from_the_next_frame_on_and_are_set_together(usual):
    peer = usual.peer()
    before = peer.answer(image(1, RGB))
    things = {before.instances[t.object].class_name for t in before.triplets}
    assert len(things) > 1 and len({t.verb_name for t in before.triplets}) > 1
    assert peer.set_parameters(
        atomically=True, class_filter=['bicycle'], verb_filter=['push'])[0].successful
    after = peer.answer(image(2, RGB))
    assert {i.class_name for i in after.instances} == {'person', 'bicycle'}
    assert {(t.verb_name, after.instances[t.object].class_name) for t in after.triplets} == {
        ('push', 'bicycle')}
    assert after.prompt_version == before.prompt_version


@pytest.mark.parametrize('values, words', [
    ({'class_filter': ['bycicle']}, "did you mean 'bicycle'"),
    ({'verb_filter': ['levitate']}, 'ride, hold, push'),
    ({'max_age': -1.0}, 'range'), ({'max_rate': 1e9}, 'range'),
    ({'disabled_cameras': ['left']}, 'none of the cameras'),
    ({'compressed_cameras': ['']}, 'read-only')])
def test_what_makes_no_sense_is_refused_with_a_reason(usual, values, words):
    result = usual.peer().set_parameters(**values)[0]
    assert not result.successful and words in result.reason.lower(), result.reason


def test_a_paused_node_takes_no_frames_and_says_so(usual):
    peer = usual.peer()
    assert peer.answer(image(10)) is not None
    assert peer.set_parameters(enabled=False)[0].successful
    assert peer.spin(lambda: peer.node.count_subscribers('/hoi/image') == 0)
    assert 'enabled is false' in status(usual, 'camera', lambda v: True)['message']
    assert peer.set_parameters(enabled=True)[0].successful
    peer._publishers.clear()
    assert peer.answer(image(11)) is not None


def test_old_frames_are_dropped_counted_and_explained(usual):
    peer = usual.peer()
    assert peer.answer(image(19)) is not None
    assert peer.set_parameters(max_age=5.0)[0].successful
    peer.publish_until(image(20), 'image', lambda: 'the limit max_age is 5 s' in usual.process.log)
    values = status(usual, 'camera', lambda v: int(v.get('dropped.too_old', 0)) >= 1)
    assert int(values['frames_in']) == (int(values['frames_out']) + int(values['dropped'])
                                        + int(values['bad']))
    assert float(values['latency.age.p50_ms']) > 1e9  # these stamps are from 1970
    assert peer.set_parameters(max_age=0.0)[0].successful
    assert peer.answer(image(21)) is not None


def test_diagnostics_name_the_prompts_and_what_is_missing(usual):
    values = status(usual, 'model', lambda v: v['state'] == 'active')
    assert int(values['prompt_version']) >= 1 and int(values['verbs']) == 3
    usual.peer().answer(image(30))
    usual.peer()._publishers.clear()
    # A publisher that is kept but says nothing, or none at all: both are explained after 3 s.
    values = status(usual, 'camera', lambda v: 'has a publisher' in v['message']
                    or 'nobody publishes' in v['message'])
    assert '/hoi/image' in values['message']
    assert values['message'].split(' has come for ')[0] in usual.process.log


def test_simulated_time_is_waited_for_obeyed_and_may_start_again(graph):
    node, peer = graph.node('use_sim_time:=true', 'max_age:=2.0'), graph.peer()
    peer.listen(HoiDetections, 'detections')
    assert 'ros2 bag' not in node.log
    assert '/clock' in status(graph, 'model', lambda v: 'sim' in v['message'])['message']
    assert peer.answer(image(0, RGB)) is not None, 'without a clock no frame is too old'
    clock = peer.node.create_publisher(Clock, '/clock', 10)

    def at(second):
        message = Clock()
        message.clock.sec = 1000 + second
        assert peer.spin(lambda: clock.publish(message) or any(
            abs(m.header.stamp.sec - message.clock.sec) < 1 for m in seen))
        seen.clear()
    seen = peer.listen(DiagnosticArray, '/diagnostics')
    ids = []
    for loop in range(2):  # the bag is played twice
        for second in range(10, 13):
            at(second)
            answer = peer.answer(image(second, RGB))
            assert answer is not None, node.log
            ids.append({i.track_id for i in answer.instances} - {0})
        assert peer.answer(image(2, RGB), timeout=1.0) is None, 'this frame is too old'
    assert ids[1] == ids[2] and ids[4] == ids[5]
    assert not ids[2] & ids[5]
    assert node.log.count('begin anew') >= 1
