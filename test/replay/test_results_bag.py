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

from types import SimpleNamespace

from bags import demo_bag
from hoi_perception.replay import message_types
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.message_types import hoi_typestore
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.events import Timeline
from hoi_perception.runtime.pipeline import HoiPipeline
from hoi_perception.runtime.stage_engines import EngineOptions
import pytest
from replay_runs import files_of, run, still_bag
from rosbags.highlevel import AnyReader

FRAMES = 8
KINDS = {'/hoi/detections': 'hoi_msgs/msg/HoiDetections', '/hoi/masks': 'hoi_msgs/msg/HoiMasks',
         '/hoi/events': 'hoi_msgs/msg/HoiEvent', '/hoi/vocabulary': 'hoi_msgs/msg/Vocabulary'}


@pytest.fixture(scope='module', params=['mcap', 'sqlite3'])
def twice(request, tiny, tmp_path_factory):
    """A bag of that storage, and two replays of it."""
    root = tmp_path_factory.mktemp('twice')
    bag = still_bag(root / 'bag', FRAMES, request.param)
    for name in ('one', 'two'):
        run(tiny, root / name, bag)
    return request.param, bag, root / 'one', root / 'two'


def test_two_runs_give_the_same_bag_byte_for_byte(twice):
    storage, _, one, two = twice
    files = files_of(one / 'results')
    assert set(files) == {'metadata.yaml',
                          'results.mcap' if storage == 'mcap' else 'results.db3'}
    assert files == files_of(two / 'results')


def raw(directory):
    """Return (topic, log time, bytes) of all messages of a bag."""
    with AnyReader([directory]) as reader:
        return [(c.topic, time, bytes(data)) for c, time, data in reader.messages()]


def test_log_times_and_headers_are_those_of_the_images(twice):
    _, bag, one, _ = twice
    with BagReader(bag) as reader:
        frames = {frame.log_time: frame.message.header for frame in reader.frames()}
    with BagReader(one / 'results') as reader:
        for topic in reader.topics:
            for log_time, message in reader.messages(topic):
                if topic.name != '/hoi/vocabulary':
                    header = frames[log_time]
                    assert (message.header.stamp.sec, message.header.stamp.nanosec,
                            message.header.frame_id) == (
                        header.stamp.sec, header.stamp.nanosec, header.frame_id)


def test_results_bag_brings_its_own_definitions_and_latches_the_vocabulary(twice, monkeypatch):
    monkeypatch.setattr(message_types, '_candidates', lambda: iter(()))
    _, _, one, _ = twice
    with AnyReader([one / 'results']) as reader:
        assert {c.topic: c.msgtype for c in reader.connections} == KINDS
        durable = {c.topic for c in reader.connections for qos in c.ext.offered_qos_profiles
                   if qos.durability.name == 'TRANSIENT_LOCAL'}
        assert durable == {'/hoi/vocabulary'}
        for connection, _, data in reader.messages():
            reader.deserialize(data, connection.msgtype)


def test_messages_are_those_of_the_node_bit_for_bit(twice, tiny):
    serialization = pytest.importorskip('rclpy.serialization')
    from builtin_interfaces.msg import Time
    from hoi_perception.ros import conversion
    from hoi_perception.ros.events import follow
    from hoi_perception.ros.parameters import Settings
    from std_msgs.msg import Header
    _, bag, one, _ = twice
    pipeline = HoiPipeline(Bundle.open(tiny), 'cpu', engines=EngineOptions('eager'))
    camera = SimpleNamespace(timeline=Timeline(), explain=print)
    expected = []

    def tell(topic, log_time, message):
        again = hoi_typestore().deserialize_cdr(
            serialization.serialize_message(message), KINDS[topic])
        expected.append((topic, log_time,
                         bytes(hoi_typestore().serialize_cdr(again, KINDS[topic]))))
    with BagReader(bag) as reader:
        for number, frame in enumerate(reader.frames(), 1):
            sec, nanosec, frame_id = frame.key
            header = Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id)
            if number == 1:
                now, first = pipeline.prompts.current, divmod(frame.log_time, 10**9)
                tell('/hoi/vocabulary', frame.log_time, conversion.vocabulary(
                    now.vocabulary, now.version, pipeline.model_id,
                    Time(sec=first[0], nanosec=first[1])))
            scene, events = follow(camera, pipeline(frame.rgb()), header, number, Settings(),
                                   pipeline.bundle.spec.thresholds)
            tell('/hoi/detections', frame.log_time, conversion.detections(scene, header, number))
            tell('/hoi/masks', frame.log_time, conversion.masks(scene, header, number))
            for event in events:
                tell('/hoi/events', frame.log_time, event)
    assert any(topic == '/hoi/events' for topic, _, _ in expected)
    assert sorted(raw(one / 'results')) == sorted(expected)


def test_an_older_results_bag_is_replaced(tiny, tmp_path):
    bag = demo_bag(tmp_path / 'bag', 2)
    for _ in range(2):
        run(tiny, tmp_path / 'out', bag)
    assert len([1 for topic, _, _ in raw(tmp_path / 'out' / 'results')
                if topic == '/hoi/detections']) == 2
