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

"""Why nothing comes in, or nothing arrives at a listener: said once, with the cure."""

from camera_bench import BEST_EFFORT
from diagnostic_msgs.msg import DiagnosticStatus
from hoi_msgs.msg import HoiDetections
from hoi_perception.ros.diagnostics import CameraHealth
from hoi_perception.ros.troubles import Input, input_trouble
import pytest
from ros_graph import LATCHED, Peer, RELIABLE
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

pytestmark = pytest.mark.xdist_group('ros_silence')


def trouble(bench, camera, subscribed_s=10.0):
    return input_trouble(bench.node, Input(
        camera.image_topic, camera.other_topic, camera.image_type, subscribed_s,
        camera.incompatible), camera.statistics.snapshot())


def test_a_missing_publisher_is_explained_after_a_while_with_topic_and_cure(bench):
    camera = bench.start()
    bench.take()
    assert trouble(bench, camera, subscribed_s=1.0) is None
    found = trouble(bench, camera)
    assert found.kind == 'no_publisher'
    assert '/hoi/image' in found.sentence and 'remap' in found.sentence


@pytest.mark.parametrize('kind, topic, expected, words', [
    (Image, 'image', 'silent', '/hoi/peer'),
    (CompressedImage, 'image/compressed', 'other_transport', '/hoi/image/compressed is published'),
    (String, 'image', 'other_type', 'std_msgs/msg/String')])
def test_a_publisher_that_brings_nothing_is_explained(bench, kind, topic, expected, words):
    camera = bench.start()
    bench.take()
    bench.stranger = Peer(bench.domain)  # one participant cannot give a topic two types
    publisher = bench.stranger.node.create_publisher(kind, topic, RELIABLE)
    assert bench.peer.spin(lambda: bench.node.count_publishers(publisher.topic_name) > 0)
    assert bench.peer.spin(lambda: words in trouble(bench, camera).sentence)
    found = trouble(bench, camera)
    assert found.kind == expected and '/hoi/image' in found.sentence


def test_an_incompatible_publisher_is_explained_once_with_policy_and_cure(bench):
    name = 'qos_overrides./hoi/image.subscription.reliability'
    camera = bench.start(overrides=[(name, 'reliable')])
    bench.take()
    publishers = [bench.peer.node.create_publisher(Image, 'image', BEST_EFFORT) for _ in range(2)]
    assert bench.peer.spin(lambda: bool(camera.incompatible)), publishers
    assert bench.heard(f'remove the override {name}')
    found = trouble(bench, camera)
    assert found.kind == 'incompatible' and 'its reliability is less' in found.sentence


def test_a_listener_that_gets_nothing_is_explained_once(bench):
    bench.start()
    bench.peer.node.create_subscription(HoiDetections, 'detections', lambda message: None, LATCHED)
    assert bench.heard('a listener of /hoi/detections gets nothing, because it asks for a '
                       'durability')


def test_frames_that_come_are_no_trouble_and_a_pause_is_none_either(bench):
    camera = bench.start()
    bench.take()
    bench.send(1)
    assert trouble(bench, camera) is None
    watch = CameraHealth('/hoi/hoi_node', 'front', camera.image_topic, 'cpu')
    status = watch.status(1.0, '', camera.statistics.snapshot(), 1, None)
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'frames are answered')
    bench.set(enabled=False)
    status = watch.status(2.0, camera.paused, camera.statistics.snapshot(), 1, None)
    assert status.level == DiagnosticStatus.OK and 'enabled is false' in status.message
