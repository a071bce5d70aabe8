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

"""Which cameras are subscribed to, and with what quality of service."""

from camera_bench import BEST_EFFORT
from hoi_msgs.msg import HoiDetections
import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy
from ros_graph import image, LATCHED, RELIABLE
from sensor_msgs.msg import CompressedImage, Image

pytestmark = pytest.mark.xdist_group('ros_subscriptions')


def subscribed(bench, topic='image'):
    return bench.peer.node.count_subscribers(f'/hoi/{topic}')


@pytest.mark.parametrize('off, on', [
    ({'enabled': False}, {'enabled': True}),
    ({'disabled_cameras': ('front',)}, {'disabled_cameras': ('',)})])
def test_a_disabled_camera_is_not_subscribed_to_and_says_why(bench, off, on):
    camera = bench.start(('front', 'back'))
    bench.take()
    bench.send(1, 'front/image')
    bench.set(**off)
    assert next(iter(off)) in camera.paused
    assert bench.peer.spin(lambda: subscribed(bench, 'front/image') == 0)
    others = 0 if 'enabled' in off else 1
    assert bench.peer.spin(lambda: subscribed(bench, 'back/image') == others)
    bench.set(**on)
    assert camera.paused == ''
    bench.send(2, 'front/image')
    assert [name for name, _ in bench.taken] == ['front', 'front']


def test_lazy_input_follows_the_listeners(bench):
    camera = bench.start(lazy=True)
    bench.take()
    assert 'nobody listens' in camera.paused and subscribed(bench) == 0
    bench.peer.listen(HoiDetections, 'detections')
    assert bench.peer.spin(lambda: (bench.set(), not camera.paused)[1])
    bench.send(1)
    bench.peer.unlisten('detections')
    assert bench.peer.spin(lambda: (bench.set(), camera.paused)[1])
    assert bench.peer.spin(lambda: subscribed(bench) == 0)
    bench.set(lazy=False)
    bench.send(2)


def test_raw_and_compressed_cameras_live_side_by_side(bench):
    bench.start(('front', 'back'), compressed_cameras=('back',))
    bench.take()
    bench.send(1, 'front/image')
    bench.send(2, 'back/image/compressed', CompressedImage)
    assert [(name, type(arrival.message)) for name, arrival in bench.taken] == [
        ('front', Image), ('back', CompressedImage)]


def test_images_are_asked_for_as_sensor_data_so_that_every_camera_is_heard(bench):
    camera = bench.start()
    bench.take()
    asked = camera._subscriptions[0].qos_profile
    assert asked.reliability == QoSReliabilityPolicy.BEST_EFFORT and asked.depth == 1
    assert asked.durability == QoSDurabilityPolicy.VOLATILE
    for number, profile in enumerate((BEST_EFFORT, RELIABLE, LATCHED)):
        publisher = bench.peer.node.create_publisher(Image, 'image', profile)
        assert bench.peer.spin(lambda publisher=publisher: publisher.get_subscription_count())
        assert bench.peer.spin(lambda publisher=publisher, number=number: (
            publisher.publish(image(number)) or len(bench.taken) > number))
    assert bench.said == []


def test_quality_of_service_can_be_overridden_by_topic(bench):
    camera = bench.start(overrides=[
        ('qos_overrides./hoi/image.subscription.reliability', 'reliable'),
        ('qos_overrides./hoi/image.subscription.depth', 3),
        ('qos_overrides./hoi/detections.publisher.reliability', 'best_effort')])
    bench.take()
    asked = camera._subscriptions[0].qos_profile
    assert (asked.reliability, asked.depth) == (QoSReliabilityPolicy.RELIABLE, 3)
    offered = bench.peer.node.get_publishers_info_by_topic
    assert bench.peer.spin(lambda: offered('/hoi/detections') and offered('/hoi/masks'))
    assert offered('/hoi/detections')[0].qos_profile.reliability == (
        QoSReliabilityPolicy.BEST_EFFORT)
    assert offered('/hoi/masks')[0].qos_profile.reliability == QoSReliabilityPolicy.RELIABLE
