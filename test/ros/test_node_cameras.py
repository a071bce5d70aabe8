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

"""One camera and its worker against real topics; what is explained, counted, and not taken."""

from dataclasses import replace
import threading

from diagnostic_msgs.msg import DiagnosticStatus
from hoi_msgs.msg import HoiDetections, Instances
from hoi_perception.core.scene import Mask, MaskKind, Scene
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.ros.cameras import Camera
from hoi_perception.ros.diagnostics import CameraHealth
from hoi_perception.ros.parameters import Settings
from hoi_perception.ros.statistics import Explainer
from hoi_perception.ros.troubles import Input, input_trouble
from hoi_perception.ros.worker import FrameWorker
from hoi_perception.runtime.bundle import Thresholds
import numpy as np
import pytest
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from ros_graph import free_domain, image, LATCHED, Peer, RELIABLE
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
import torch

pytestmark = pytest.mark.xdist_group('ros_cameras')

BEST_EFFORT = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
WORDS = Vocabulary(('person', 'cup'), (Verb('hold'),), 'a {verb} {article} {object}', 0)


class Bench:
    """Cameras of a node in this process, spun together with the peer."""

    def __init__(self):
        self.domain = free_domain()
        self.peer, self.stranger = Peer(self.domain), None
        self.node, self.cameras, self.said, self.taken = None, [], [], []
        self.explainer = Explainer(self.said.append)
        self.worker = None

    def start(self, names=('',), overrides=(), **settings):
        self.node = LifecycleNode(
            'hoi_node', context=self.peer.context, namespace='/hoi',
            parameter_overrides=[Parameter(name, value=value) for name, value in overrides])
        self.peer._executor.add_node(self.node)
        self.settings = replace(Settings(), cameras=names, **settings)
        self.cameras = [Camera(self.node, name, self.settings, self.explainer) for name in names]
        self.node.trigger_configure()
        self.node.trigger_activate()
        return self.cameras[0]

    def work(self, pipeline, clock=lambda: 0.0):
        """Let a worker answer the frames; the clock gives the node's time in seconds."""
        self.worker = FrameWorker(pipeline, None, self.cameras, lambda: self.settings, clock,
                                  self.explainer.explain)
        self.worker.start()

    def take(self):
        for camera in self.cameras:
            camera.start(lambda arrival, name=camera.name: self.taken.append((name, arrival)))

    def set(self, **values):
        self.settings = replace(self.settings, **values)
        for camera in self.cameras:
            camera.update(self.settings)

    def send(self, number, topic='image', kind=None):
        """Publish an image until the node's camera has counted it."""
        message = image(number) if kind is None else kind(header=image(number).header)
        camera = next(c for c in self.cameras if c.image_topic.endswith(f'/{topic}'))
        before = camera.statistics.snapshot().frames_in
        publisher = self.peer.publisher(type(message), topic)
        assert self.peer.spin(lambda: publisher.get_subscription_count() > 0)
        assert self.peer.publish_until(
            message, topic, lambda: camera.statistics.snapshot().frames_in > before)

    def heard(self, words):
        """Return whether exactly one sentence with these words is said in time."""
        return self.peer.spin(lambda: any(words in sentence for sentence in self.said)) and sum(
            words in sentence for sentence in self.said) == 1

    def close(self):
        if self.worker is not None:
            self.worker.stop(5.0)
        if self.node is not None:
            self.peer._executor.remove_node(self.node)
            self.node.destroy_node()
        if self.stranger is not None:
            self.stranger.close()
        self.peer.close()


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.close()


class Blank:
    """A model that finds nothing, or fails as a device does."""

    class bundle:
        class spec:
            thresholds = Thresholds(instance=0.5, triplet=0.1)

    device = 'cuda:0'

    def __init__(self):
        self.failures, self.calls = [], 0

    def run(self, images, instances=None):
        self.calls += 1
        if self.failures:
            raise self.failures.pop()
        height, width = images[0].shape[:2]

        class Result:
            scene = Scene(width, height, WORDS)
            stages = {'detect': 1.0}
        return [Result]


class Batched(Blank):
    """Notes how many images come at once; the first call lasts until it is let go."""

    def __init__(self, fails=()):
        super().__init__()
        self.sizes, self.fails, self.go = [], list(fails), threading.Event()

    def run(self, images, instances=None):
        self.sizes.append(len(images))
        self.go.wait(20)
        if len(images) in self.fails:
            raise ValueError('one of them')
        return [super(Batched, self).run([image])[0] for image in images]


# Which cameras are subscribed to

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


# Which frames are taken

def test_frames_beyond_the_rate_limit_are_counted_by_cause(bench):
    camera = bench.start(max_rate=0.001)
    bench.take()
    for number in range(4):
        bench.send(number)
    assert len(bench.taken) == 1
    assert camera.statistics.snapshot().dropped == {'rate_limit': 3}
    bench.set(max_rate=0.0)
    bench.send(9)
    assert len(bench.taken) == 2


def test_after_a_jump_back_old_boxes_meet_no_new_frame(bench):
    camera = bench.start(instances_source='topic', instances_buffer=8)
    bench.take()
    bench.peer.publisher(Instances, 'instances').publish(Instances(header=image(20).header))
    bench.peer.spin(lambda: bool(camera._matcher._boxes))
    bench.send(30)
    bench.send(20 - 5)  # the bag starts again ...
    bench.send(20)  # ... and comes to the stamp that boxes of the last round had
    assert bench.taken == []
    seen = camera.statistics.snapshot()
    assert seen.odd_stamps == {'jumped_back': 1} and seen.dropped == {'time_jump': 1}
    assert bench.heard('/hoi/image: the stamps jump back by 15.000 s')


def depth_at(number):
    message = image(number)
    message.encoding = '16UC1'
    return message


@pytest.mark.parametrize('first', ['image', 'depth'])
def test_after_a_jump_back_old_depth_meets_no_new_frame(bench, first):
    camera = bench.start(depth=True)
    bench.take()
    kept = camera.depth._images
    depth = bench.peer.publisher(Image, 'depth')

    def send_depth(number):
        stamp = 10**9 * (1000 + number) + 7 * number + 1
        assert bench.peer.spin(lambda: depth.publish(depth_at(number)) or any(
            at == stamp for at, _ in kept))

    for number in (20, 21, 22):
        send_depth(number)
    bench.send(22)
    if first == 'depth':
        send_depth(20)
        bench.send(20)
    else:
        bench.send(20)
        assert not kept, 'the old ones around this stamp are from before'
        send_depth(20)
    assert {at // 10**9 for at, _ in kept} == {1020}
    send_depth(21)
    bench.send(21)
    assert {at // 10**9 for at, _ in kept} == {1020, 1021}, 'and what came since then is kept'
    bench.send(10)
    assert not kept, 'a second jump is one too'


def test_frames_older_than_the_limit_are_counted_and_explained(bench):
    now = [1000.0]
    camera = bench.start(max_age=2.0)
    bench.work(Blank(), lambda: now[0])
    answers = bench.peer.listen(HoiDetections, 'detections')
    for number, at in enumerate((1000.1, 1004.5, 1005.5, 1003.2)):
        now[0] = at
        bench.send(number)
        assert bench.peer.spin(lambda number=number: len(answers) + sum(
            camera.statistics.snapshot().dropped.values()) == number + 1)
    assert [m.header.stamp.sec for m in answers] == [1000, 1003]
    assert camera.statistics.snapshot().dropped == {'too_old': 2}
    assert bench.heard('max_age') and '/hoi/image: a frame was 3.50 s old' in bench.said[0]


@pytest.mark.parametrize('now, future', [(990.0, True), (0.0, False), (1000.2, False)],
                         ids=['ahead', 'no clock yet', 'in time'])
def test_a_stamp_in_the_future_is_answered_and_explained(bench, now, future):
    camera = bench.start(max_age=2.0)
    bench.work(Blank(), lambda: now)
    answers = bench.peer.listen(HoiDetections, 'detections')
    bench.send(0)
    assert bench.peer.spin(lambda: bool(answers))
    assert camera.statistics.snapshot().odd_stamps == ({'future': 1} if future else {})
    assert bool(bench.said) == future
    assert not future or bench.heard('/hoi/image: stamps lie 10.00 s in the future')
    assert ('age' in camera.statistics.snapshot().percentiles) == (now > 0)


def test_a_model_that_fails_is_counted_explained_and_works_on(bench):
    camera, model = bench.start(), Blank()
    watch = CameraHealth('/hoi/hoi_node', '', camera.image_topic, 'cuda:0')
    bench.work(model)
    answers = bench.peer.listen(HoiDetections, 'detections')
    model.failures = [RuntimeError('CUDA error: an illegal memory access'), MemoryError('full')]
    for number in range(3):
        bench.send(number)
        bench.peer.spin(lambda number=number: len(answers) + camera.statistics.snapshot().bad.get(
            'failed', 0) > number)
    seen = camera.statistics.snapshot()
    assert seen.bad == {'failed': 2} and [m.frame_seq for m in answers] == [3]
    assert bench.heard('illegal memory access') and bench.heard('MemoryError')
    status = watch.status(1.0, camera.paused, seen, 1, None)
    assert status.level == DiagnosticStatus.ERROR and '2 frames' in status.message
    assert watch.status(2.0, camera.paused, seen, 1, None).level == DiagnosticStatus.OK


ASSERTED = RuntimeError('CUDA error: device-side assert triggered')
FULL = torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')


@pytest.mark.parametrize('error', [
    ASSERTED, RuntimeError('cuDNN error: CUDNN_STATUS_EXECUTION_FAILED'),
    getattr(torch, 'AcceleratorError', RuntimeError)('CUDA error: unspecified launch failure')])
def test_a_device_that_fails_three_times_in_a_row_is_given_up(bench, error):
    camera, model = bench.start(), Blank()
    bench.work(model)
    model.failures = 9 * [error]
    for number in range(6):
        bench.send(number)
        bench.peer.spin(lambda number=number: camera.statistics.snapshot().bad.get(
            'failed', 0) > min(number, 2))
    assert model.calls == camera.statistics.snapshot().bad['failed'] == 3, 'no frame after that'
    assert 'cuda:0 is lost' in bench.worker.lost and 'start the process again' in bench.worker.lost
    assert str(error) in bench.worker.lost


@pytest.mark.parametrize('failures, freed', [
    ([FULL, FULL, FULL, FULL], 1), ([ASSERTED, FULL, ASSERTED], 1),
    ([ASSERTED, ValueError('a fault of ours'), ASSERTED], 0)],
    ids=['memory', 'both', 'something else too'])
def test_full_memory_is_freed_once_and_the_next_frame_is_tried(bench, monkeypatch, failures,
                                                               freed):
    calls = []
    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: calls.append(1))
    camera, model = bench.start(), Blank()
    bench.work(model)
    answers = bench.peer.listen(HoiDetections, 'detections')
    for round_ in (1, 2):
        model.failures = failures[:]
        for number in range(len(failures) + 1):
            bench.send(10 * round_ + number)
            bench.peer.spin(lambda: not model.failures and len(answers) == round_, 0.3)
        assert bench.peer.spin(lambda round_=round_: len(answers) == round_)
        assert len(calls) == round_ * freed, 'an answered frame makes it worth trying again'
    assert bench.worker.lost == ''
    assert camera.statistics.snapshot().bad == {'failed': 2 * len(failures)}
    assert not freed or bench.heard('memory is short: end other programs')


def test_a_picture_that_cannot_be_drawn_does_not_count_its_frame_twice(bench):
    class Beyond(Blank):
        """A model whose mask reaches beyond the image."""

        def run(self, images, instances=None):
            (result,) = super().run(images, instances)
            result.scene = replace(result.scene, masks=(Mask(
                MaskKind.INSTANCE, 0, 90, 0, np.ones((4, 40), bool)),))
            return [result]
    camera = bench.start(track=False)
    answers = bench.peer.listen(HoiDetections, 'detections')
    bench.peer.listen(Image, 'label_image')
    assert bench.peer.spin(lambda: camera.label_image.get_subscription_count() > 0)
    bench.work(Beyond())
    bench.send(1)
    assert bench.heard('frame 1 is answered but cannot be drawn')
    assert bench.peer.spin(lambda: len(answers) == 1)
    seen = camera.statistics.snapshot()
    assert (seen.frames_in, seen.frames_out, seen.bad) == (1, 1, {})


def test_a_frame_that_comes_after_the_end_is_counted(bench):
    camera = bench.start()
    bench.take()
    camera.stop()
    camera._on_image(image(1))  # the executor had taken it before
    seen = camera.statistics.snapshot()
    assert (seen.frames_in, seen.dropped) == (1, {'deactivated': 1}) and bench.taken == []


def test_a_dead_camera_and_a_broken_one_stop_nobody(bench):
    bench.start(('dead', 'broken', 'good'))
    bench.work(Blank())
    answers = bench.peer.listen(HoiDetections, 'good/detections')
    broken = image(1)
    broken.encoding = 'rgb99'
    for number in range(3):
        bench.peer.publisher(Image, 'broken/image').publish(broken)
        bench.send(number, 'good/image')
    assert bench.peer.spin(lambda: len(answers) >= 1)
    assert bench.heard('/hoi/broken/image: frame not used (unknown_encoding)')


# Why nothing comes in

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


# Cameras side by side

@pytest.mark.parametrize('fails, sizes', [((), [1, 2]), ((2,), [1, 2, 1, 1])],
                         ids=['together', 'one frame spoils the call'])
def test_cameras_that_wait_are_computed_in_one_call_and_answered_each_with_its_own(
        bench, fails, sizes):
    bench.start(('front', 'back'), batch=4)
    model = Batched(fails)
    bench.work(model)
    heard = {name: bench.peer.listen(HoiDetections, f'{name}/detections')
             for name in ('front', 'back')}
    bench.send(1, 'front/image')
    assert bench.peer.spin(lambda: model.sizes == [1])
    bench.send(2, 'front/image')
    bench.send(3, 'back/image')
    model.go.set()
    assert bench.peer.spin(lambda: len(heard['front']) == 2 and len(heard['back']) == 1)
    assert model.sizes == sizes
    assert [m.header for m in heard['front']] == [image(1).header, image(2).header]
    assert heard['back'][0].header == image(3).header
    assert not bench.said
