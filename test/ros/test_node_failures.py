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

"""Models and devices that fail while frames come: counted, explained, and worked on."""

from dataclasses import replace

from camera_bench import Blank
from diagnostic_msgs.msg import DiagnosticStatus
from hoi_msgs.msg import HoiDetections
from hoi_perception.core.scene import Mask, MaskKind
from hoi_perception.ros.diagnostics import CameraHealth
import numpy as np
import pytest
from sensor_msgs.msg import Image
import torch

pytestmark = pytest.mark.xdist_group('ros_failures')


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
