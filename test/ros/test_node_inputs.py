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

"""Compressed images, several cameras, and boxes from another detector."""

import io

from hoi_msgs.msg import HoiDetections, Instance, Instances, Vocabulary
from hoi_perception.ros.detections_2d import Detection2DArray
import numpy as np
from PIL import Image as PillowImage
import pytest
from ros_graph import header, image, LATCHED, picture
from sensor_msgs.msg import CompressedImage, Image

pytestmark = pytest.mark.xdist_group('ros_inputs')


def compressed(number, data=None, kind='jpeg', size=(200, 120)):
    stream = io.BytesIO()
    PillowImage.fromarray(picture(*size, seed=number)).save(stream, 'PNG' if kind == 'png'
                                                            else 'JPEG')
    message = CompressedImage(header=header(number), format=kind)
    message.data = stream.getvalue() if data is None else data
    return message


def jpeg_bomb():
    """A small JPEG whose header says 65500 x 65500 pixels."""
    data = bytearray(bytes(compressed(1).data))
    start = data.index(b'\xff\xc0') + 5
    data[start:start + 4] = (65500).to_bytes(2, 'big') * 2
    return bytes(data)


def test_compressed_frames_are_answered_and_broken_ones_survived(graph):
    node, peer = graph.node('image_transport:=compressed'), graph.peer()
    peer.listen(HoiDetections, 'detections')
    topic = 'image/compressed'
    for number, kind in enumerate(['jpeg', 'png', 'rgb8; jpeg compressed bgr8', '']):
        answer = peer.answer(compressed(number, kind=kind), topic)
        assert answer is not None, node.log
        assert (answer.width, answer.height) == (200, 120)
    whole = bytes(compressed(9).data)
    broken = [('truncated', whole[:len(whole) // 2]), ('too_large', jpeg_bomb()),
              ('zero_size', b''), ('undecodable', b'\xff\xd8' + bytes(100))]
    for number, (kind, data) in enumerate(broken, 20):
        peer.publish_until(compressed(number, data), topic,
                           lambda kind=kind: f'({kind})' in node.log)
        assert peer.answer(compressed(number + 20), topic) is not None, node.log
    lines = [line for line in node.log.splitlines() if 'frame not used' in line]
    for kind in ('truncated', 'too_large', 'zero_size'):
        assert sum(f'({kind})' in line for line in lines) == 1, node.log
    stamps = {m.header.stamp.sec for m in peer.received['detections']}
    assert not {1020, 1021, 1022, 1023} & stamps


def test_a_live_pixel_limit_refuses_larger_pictures(graph):
    node, peer = graph.node('image_transport:=compressed'), graph.peer()
    peer.listen(HoiDetections, 'detections')
    assert peer.answer(compressed(1), 'image/compressed') is not None
    assert peer.set_parameters(max_pixels=1000)[0].successful
    assert peer.answer(compressed(2), 'image/compressed', timeout=1.0) is None
    assert '(too_large)' in node.log


def test_each_camera_has_its_own_topics_and_results_never_swap(graph):
    graph.node("cameras:=['front','arm/wrist']")
    peer = graph.peer()
    sizes = {'front': (96, 64), 'arm/wrist': (120, 80)}
    for camera in sizes:
        peer.listen(HoiDetections, f'{camera}/detections')
    for number in range(5):
        for camera, size in sizes.items():
            sent = image(number, picture(*size, seed=number))
            sent.header.frame_id = camera
            answer = peer.answer(sent, f'{camera}/image', f'{camera}/detections')
            assert answer is not None, graph.process.log
            assert (answer.width, answer.height) == size
            assert answer.header.frame_id == camera
            assert answer.frame_seq == number + 1
    topics = dict(peer.node.get_topic_names_and_types())
    assert '/hoi/front/masks' in topics and '/hoi/detections' not in topics


def given(number, *rows):
    message = Instances(header=header(number))
    for name, box, score in rows:
        message.instances.append(Instance(
            x1=box[0], y1=box[1], x2=box[2], y2=box[3], score=score, class_name=name))
    return message


ROWS = (('person', (10.0, 10.0, 60.0, 60.0), 0.9), ('cup', (40.0, 20.0, 80.0, 50.0), 0.8),
        ('ladder', (5.0, 5.0, 30.0, 60.0), 0.7))


@pytest.fixture
def boxes(graph):
    graph.node('instances_source:=topic', 'instances_buffer:=3')
    graph.peer().listen(HoiDetections, 'detections')
    graph.peer().publisher(Image, 'image')
    graph.peer().publisher(Instances, 'instances')
    return graph


def test_given_boxes_are_used_in_either_order_with_names_of_their_own(boxes):
    peer = boxes.peer()
    images, instances = peer.publisher(Image, 'image'), peer.publisher(Instances, 'instances')
    words = peer.listen(Vocabulary, 'vocabulary', LATCHED)
    for number, first in enumerate(('image', 'boxes')):
        if first == 'image':
            images.publish(image(number))
            peer.spin(lambda: False, 0.2)
            instances.publish(given(number, *ROWS))
        else:
            instances.publish(given(number, *ROWS))
            peer.spin(lambda: False, 0.2)
            images.publish(image(number))
        results = peer.received['detections']
        assert peer.spin(lambda: len(results) > number), boxes.process.log
        answer = results[-1]
        assert answer.header == header(number)
        found = {i.class_name: i for i in answer.instances}
        assert set(found) == {'person', 'cup', 'ladder'}
        np.testing.assert_allclose([found['cup'].x1, found['cup'].y2], [40, 50])
        assert answer.triplets
        # 'hold' is for cup and umbrella only; the unknown ladder gets no restricted verb.
        for triplet in answer.triplets:
            assert answer.instances[triplet.object].class_name != 'ladder'
    assert peer.spin(lambda: 'ladder' in words[-1].objects)
    assert answer.prompt_version == words[-1].version


def given_vision(number, *rows):
    """The same rows as a detector of vision_msgs gives them."""
    from vision_msgs.msg import Detection2D, ObjectHypothesisWithPose
    message = Detection2DArray(header=header(number))
    for track, (name, (x1, y1, x2, y2), score) in enumerate(rows, 40):
        detection = Detection2D(header=message.header, id=str(track))
        for class_id, value in (('something worse', score / 2), (name, score)):
            hypothesis = ObjectHypothesisWithPose()
            hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = class_id, value
            detection.results.append(hypothesis)
        box = detection.bbox
        box.center.position.x, box.center.position.y = (x1 + x2) / 2, (y1 + y2) / 2
        box.size_x, box.size_y = x2 - x1, y2 - y1
        message.detections.append(detection)
    return message


@pytest.mark.skipif(Detection2DArray is None, reason='vision_msgs is not installed')
def test_boxes_of_vision_msgs_give_what_our_own_give(boxes):
    peer = boxes.peer()
    results, images = peer.received['detections'], peer.publisher(Image, 'image')
    answers = []
    for number, kind, topic, make in ((1, Instances, 'instances', given),
                                      (2, Detection2DArray, 'instances_vision', given_vision)):
        def answer(number=number):
            return [m for m in results if m.header == header(number)]

        def ask(number=number, kind=kind, topic=topic, make=make, answer=answer):
            peer.publisher(kind, topic).publish(make(number, *ROWS))
            images.publish(image(number))
            return peer.spin(lambda: bool(answer()), 2.0)
        assert peer.spin(ask), boxes.process.log
        answers.append(answer()[0])
    own, vision = answers
    assert vision.triplets and len(own.instances) == len(vision.instances) == len(ROWS)
    for a, b in zip(own.instances, vision.instances):
        assert (a.class_name, a.score) == (b.class_name, b.score)
        np.testing.assert_allclose([a.x1, a.y1, a.x2, a.y2], [b.x1, b.y1, b.x2, b.y2], atol=1e-4)


@pytest.mark.skipif(Detection2DArray is None, reason='vision_msgs is not installed')
def test_what_vision_msgs_may_leave_open_is_left_out_and_a_turned_box_is_enclosed(boxes):
    peer = boxes.peer()
    message = given_vision(1, *ROWS[:2], ('17', (1.0, 1.0, 9.0, 9.0), 0.9), ROWS[1])
    message.detections[3].results = []
    message.detections[0].bbox.center.theta = np.pi / 2
    message.detections[0].bbox.size_x = 20.0
    results, images = peer.received['detections'], peer.publisher(Image, 'image')

    def ask():
        peer.publisher(Detection2DArray, 'instances_vision').publish(message)
        images.publish(image(1))
        return peer.spin(lambda: bool(results), 2.0)
    assert peer.spin(ask), boxes.process.log
    assert '2 of 4 given instances are not used' in boxes.process.log
    person = next(i for i in results[0].instances if i.class_name == 'person')
    # 20 x 50 around (35, 35), turned by a quarter: 50 x 20.
    np.testing.assert_allclose([person.x1, person.y1, person.x2, person.y2], [10, 25, 60, 45],
                               atol=1e-3)


@pytest.mark.skipif(Detection2DArray is not None, reason='vision_msgs is installed')
def test_without_vision_msgs_boxes_of_it_are_explained_instead_of_missed(boxes):
    peer = boxes.peer()
    # A topic of any type is enough: what is heard is that somebody publishes there.
    peer.node.create_publisher(Instances, 'instances_vision', 1)
    for number in range(100):
        peer.publisher(Image, 'image').publish(image(number))
        if peer.spin(lambda: 'vision_msgs is not installed here' in boxes.process.log, 0.1):
            break
    assert '/hoi/instances_vision is published and not heard' in boxes.process.log


def test_an_unknown_object_goes_with_verbs_that_have_no_restriction(boxes):
    peer = boxes.peer()
    assert peer.set_parameters(verbs=['climb'])[0].successful
    images, instances = peer.publisher(Image, 'image'), peer.publisher(Instances, 'instances')
    results = peer.received['detections']

    def climbing():
        number = len(results)
        instances.publish(given(number, *ROWS))
        images.publish(image(number))
        peer.spin(lambda: len(results) > number, 2.0)
        return any(t.verb_name == 'climb' and t.object >= 0
                   and r.instances[t.object].class_name == 'ladder'
                   for r in results for t in r.triplets)
    assert peer.spin(climbing), boxes.process.log


def test_frames_without_boxes_are_dropped_and_explained(boxes):
    peer = boxes.peer()
    for number in range(10):
        peer.publisher(Image, 'image').publish(image(number))
        peer.spin(lambda: False, 0.05)
    assert peer.spin(lambda: 'no instances with its stamp' in boxes.process.log)
    assert not peer.received['detections']
    peer.publisher(Instances, 'instances').publish(given(9, *ROWS))
    assert peer.spin(lambda: bool(peer.received['detections']))


NAN = float('nan')


def test_unusable_boxes_are_left_out_counted_and_explained(boxes):
    peer = boxes.peer()
    bad = [('person', (NAN, 0.0, 1.0, 1.0), 0.5), ('person', (9.0, 9.0, 3.0, 30.0), 0.5),
           ('cup', (0.0, 0.0, 5.0, float('inf')), 0.5), ('cup', (1.0, 1.0, 9.0, 9.0), 1.5),
           ('cup', (1.0, 1.0, 9.0, 9.0), NAN), ('', (1.0, 1.0, 9.0, 9.0), 0.5),
           ('x' * 300, (1.0, 1.0, 9.0, 9.0), 0.5)]
    peer.publisher(Instances, 'instances').publish(given(1, *bad, *ROWS[:2]))
    peer.publisher(Image, 'image').publish(image(1))
    results = peer.received['detections']
    assert peer.spin(lambda: bool(results)), boxes.process.log
    assert sorted(i.class_name for i in results[0].instances) == ['cup', 'person']
    assert '7 of 9 given instances are not used' in boxes.process.log
    peer.publisher(Instances, 'instances').publish(given(2))
    peer.publisher(Image, 'image').publish(image(2))
    assert peer.spin(lambda: len(results) == 2)
    assert not results[1].instances and not results[1].triplets
