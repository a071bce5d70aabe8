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

"""Frames in, results out, against a real node in its own process."""

import io

from diagnostic_msgs.msg import DiagnosticArray
from hoi_msgs.msg import HoiDetections, HoiMasks, StageLatencies, Vocabulary
from hoi_perception.core.scene import MaskKind
from hoi_perception.ros.conversion import bitmap
from hoi_perception.runtime.pipeline import HoiPipeline, STAGES
import numpy as np
from PIL import Image as PillowImage
import pytest
from ros_graph import header, image, LATCHED, picture
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

pytestmark = pytest.mark.xdist_group('ros_frames')


def message(number, encoding, width, height, bytes_per_pixel, data=None):
    size = int(width * height * bytes_per_pixel)
    values = np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)
    return Image(header=header(number), encoding=encoding, width=width, height=height,
                 step=width * int(bytes_per_pixel),
                 data=values.tobytes() if data is None else data)


@pytest.mark.parametrize('number, encoding, bytes_per_pixel', [
    (1, 'rgb8', 3), (2, 'bgr8', 3), (3, 'rgba8', 4), (4, 'bgra8', 4), (5, 'mono8', 1),
    (6, 'mono16', 2), (7, 'yuv422', 2), (8, 'yuv422_yuy2', 2), (9, 'bayer_rggb8', 1),
    (10, 'bayer_bggr8', 1), (11, 'bayer_gbrg8', 1), (12, 'bayer_grbg8', 1), (13, 'nv12', 1.5),
    (14, 'nv21', 1.5)])
def test_every_encoding_is_answered_with_its_own_header(
        running, number, encoding, bytes_per_pixel):
    sent = message(number, encoding, 96, 64, bytes_per_pixel)
    answer = running.peer().answer(sent)
    assert answer is not None, running.process.log
    assert answer.header == sent.header
    assert (answer.width, answer.height) == (96, 64)
    assert answer.instances and answer.prompt_version >= 1


def test_results_are_those_of_the_pipeline(running, bundle):
    rgb = picture(200, 120, seed=3)
    peer = running.peer()
    masks = peer.listen(HoiMasks, 'masks')
    latencies = peer.listen(StageLatencies, 'latency')
    sent = image(50, rgb)
    peer.answer(sent)
    sent = image(51, rgb)
    answer = peer.answer(sent)
    scene = HoiPipeline(bundle)(rgb)
    assert answer.model_id == scene.model_id
    np.testing.assert_allclose(
        [(i.x1, i.y1, i.x2, i.y2) for i in answer.instances], scene.instances.boxes, atol=1e-2)
    assert [i.class_name for i in answer.instances] == [
        scene.vocabulary.objects[label] for label in scene.instances.labels]
    assert [(t.human, t.object, t.verb) for t in answer.triplets] == list(zip(
        scene.triplets.human, scene.triplets.object, scene.triplets.verb))
    assert all(np.isnan(i.position).all() for i in answer.instances)
    assert peer.spin(lambda: any(m.header == sent.header for m in masks))
    published = next(m for m in masks if m.header == sent.header)
    assert published.frame_seq == answer.frame_seq
    wanted = [m for m in scene.masks if m.bitmap.size]
    assert [m.kind for m in published.masks] == [m.kind for m in wanted]
    for got, mask in zip(published.masks, wanted):
        assert (got.owner, got.x, got.y) == (mask.owner, mask.x, mask.y)
        assert (bitmap(got) != mask.bitmap).mean() < 0.01
    assert {MaskKind.INSTANCE, MaskKind.UNION} <= {m.kind for m in published.masks}
    assert peer.spin(lambda: any(m.header == sent.header for m in latencies))
    stages = next(m for m in latencies if m.header == sent.header)
    assert tuple(stages.stages) == ('decode', *STAGES, 'track', 'convert', 'publish')
    assert sum(stages.milliseconds) <= stages.total + 1.0


def test_frame_numbers_rise_without_repeats(running):
    peer = running.peer()
    numbers = [peer.answer(image(100 + i)).frame_seq for i in range(5)]
    assert numbers == sorted(set(numbers))


JPEG = io.BytesIO()
PillowImage.fromarray(picture()).save(JPEG, 'JPEG')

BAD = [
    ('size_mismatch', {'data': bytes(10)}),
    ('size_mismatch', {'height': 65}),
    ('step_too_small', {'step': 95 * 3}),
    ('zero_size', {'width': 0, 'step': 0}),
    ('zero_size', {'height': 0, 'data': b''}),
    ('unknown_encoding', {'encoding': ''}),
    ('unknown_encoding', {'encoding': 'rgb99'}),
    ('unknown_encoding', {'encoding': '\u2603' * 100}),
    ('step_too_small', {'width': 2 ** 32 - 1, 'height': 2 ** 32 - 1, 'step': 2 ** 32 - 1}),
]


@pytest.mark.parametrize('row', range(len(BAD)))
def test_bad_frames_are_counted_explained_once_and_survived(running, row):
    kind, changes = BAD[row]
    peer, number = running.peer(), 200 + 10 * row
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    for repeat in range(3):
        bad = image(number + repeat)
        for name, value in changes.items():
            setattr(bad, name, value)
        peer.publish_until(bad, 'image', lambda: f'({kind})' in running.process.log)
        assert peer.answer(image(number + 5 + repeat)) is not None, running.process.log
    headers = [m.header.stamp.sec for m in peer.received['detections']]
    assert not {1000 + number + repeat for repeat in range(3)} & set(headers)
    # Once a minute at most, and this file may take longer than that on a slow machine.
    assert 1 <= running.process.log.count(f'({kind})') <= 2
    diagnostics.clear()
    assert peer.spin(lambda: any(value.key == f'bad.{kind}' and int(value.value) >= 1
                                 for m in diagnostics for s in m.status for value in s.values))


@pytest.mark.parametrize('number, kind, sec, nanosec', [
    (401, 'zero', 0, 0), (402, 'negative', -5, 3), (403, 'nanosec_too_large', 7, 10 ** 9),
    (404, 'nanosec_too_large', -1, 2 ** 32 - 1)])
def test_a_frame_with_an_odd_stamp_is_answered_unchanged_and_explained(
        running, number, kind, sec, nanosec):
    sent = image(number)
    sent.header.stamp.sec, sent.header.stamp.nanosec = sec, nanosec
    sent.header.frame_id = f'camera_{number}'
    assert running.peer().answer(sent) is not None, running.process.log
    assert running.process.log.count('image stamp') >= 1


def test_pictures_are_published_only_while_someone_looks(running):
    peer = running.peer()
    sent = image(500, picture(200, 120, seed=4))
    peer.answer(sent)
    overlay = peer.listen(Image, 'overlay')
    labels = peer.listen(Image, 'label_image')
    overlay.clear()
    labels.clear()

    def both():
        peer.answer(sent)
        return bool(overlay) and bool(labels)
    assert peer.spin(both)
    assert overlay[-1].header == sent.header
    assert (overlay[-1].encoding, overlay[-1].width, overlay[-1].height) == ('rgb8', 200, 120)
    assert bytes(overlay[-1].data) != picture(200, 120, seed=4).tobytes()
    values = np.frombuffer(labels[-1].data, np.uint8).reshape(120, 200)
    answer = peer.answer(image(501, picture(200, 120, seed=4)))
    assert labels[-1].encoding == 'mono8'
    assert 0 < values.max() <= len(answer.instances)
    peer.unlisten('overlay')
    peer.unlisten('label_image')


def test_every_output_carries_the_whole_header_of_its_frame(running):
    peer = running.peer()
    pictures = {'overlay': Image, 'label_image': Image, 'markers': MarkerArray}
    kinds = {'detections': HoiDetections, 'masks': HoiMasks, 'latency': StageLatencies, **pictures}
    heard = {topic: peer.listen(kind, topic) for topic, kind in kinds.items()}
    sent = image(700, picture(200, 120, seed=4))

    def arrived():
        return [topic for topic, messages in heard.items() if any(
            (m.markers[0] if topic == 'markers' else m).header == sent.header for m in messages)]
    assert peer.publish_until(sent, 'image', lambda: len(arrived()) == len(heard)), arrived()
    for topic in pictures:
        peer.unlisten(topic)


def test_the_overlay_is_drawn_on_the_very_frame_that_was_computed(running):
    peer = running.peer()
    assert peer.set_parameters(masks=False)[0].successful  # tints would touch every pixel
    overlays = peer.listen(Image, 'overlay')
    overlays.clear()
    frames = {1720 + n: np.random.default_rng(n).integers(0, 256, (120, 200, 3), np.uint8)
              for n in range(5)}
    for number, rgb in frames.items():
        assert peer.publish_until(image(number - 1000, rgb), 'image', lambda number=number: any(
            m.header.stamp.sec == number for m in overlays))
    for message in overlays:
        drawn = np.frombuffer(message.data, np.uint8).reshape(120, 200, 3)
        same = {number: (drawn == rgb).all(-1).mean() for number, rgb in frames.items()}
        assert max(same, key=same.get) == message.header.stamp.sec
        assert sorted(same.values())[-1] > 0.01 > 10 * sorted(same.values())[-2], same
    assert peer.set_parameters(masks=True)[0].successful
    peer.unlisten('overlay')


def test_the_overlay_can_be_switched_off_while_someone_looks(running):
    peer = running.peer()
    assert peer.set_parameters(overlay=False)[0].successful
    overlay = peer.listen(Image, 'overlay')
    overlay.clear()
    for number in range(510, 515):
        peer.answer(image(number))
    assert not overlay
    assert peer.set_parameters(overlay=True)[0].successful
    peer.unlisten('overlay')


def test_a_late_listener_gets_the_vocabulary(running, bundle):
    words = running.peer().listen(Vocabulary, 'vocabulary', LATCHED)
    assert running.peer().spin(lambda: bool(words))
    expected = bundle.spec.core_vocabulary()
    assert tuple(words[-1].objects) == expected.objects
    assert tuple(words[-1].verbs) == expected.verb_names
    assert np.array_equal(
        np.array(words[-1].validity).reshape(expected.validity.shape), expected.validity)


def test_diagnostics_come_once_a_second_also_without_frames(running):
    peer = running.peer()
    assert peer.answer(image(590)) is not None, running.process.log
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    diagnostics.clear()
    assert peer.spin(lambda: len(diagnostics) >= 4)
    stamps = [m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in diagnostics]
    # By the node's stamps: what waited to be received comes in at once.
    assert 0.5 <= np.median(np.diff(stamps)) <= 1.5
    names = [status.name for status in diagnostics[-1].status]
    assert names == ['/hoi/hoi_node: model', '/hoi/hoi_node: camera', '/hoi/hoi_node: engines']
    values = {v.key: v.value for v in diagnostics[-1].status[1].values}
    assert int(values['frames_in']) == int(values['frames_out']) + int(values['dropped']) + int(
        values['bad'])
    assert float(values['latency.detect.p95_ms']) >= float(values['latency.detect.p50_ms']) > 0


def test_an_empty_scene_is_published_too(running):
    peer = running.peer()
    assert peer.set_parameters(instance_threshold=1.0, triplet_threshold=1.0)[0].successful
    answer = peer.answer(image(600))
    assert peer.set_parameters(instance_threshold=-1.0, triplet_threshold=-1.0)[0].successful
    assert isinstance(answer, HoiDetections)
    assert len(answer.instances) == len(answer.triplets) == 0
