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

"""Which frames of a camera are taken, and how cameras share a worker."""

import threading

from camera_bench import Blank
from hoi_msgs.msg import HoiDetections, Instances
import pytest
from ros_graph import image
from sensor_msgs.msg import Image

pytestmark = pytest.mark.xdist_group('ros_cameras')


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
