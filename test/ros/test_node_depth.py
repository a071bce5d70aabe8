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

"""Positions from depth, markers and vision_msgs, against a real node in its own process."""

from hoi_msgs.msg import HoiDetections
from hoi_perception.ros.detections_2d import Detection2DArray
import numpy as np
import pytest
from ros_graph import image, picture
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

pytestmark = pytest.mark.xdist_group('ros_depth')

WIDTH, HEIGHT, FOCAL = 200, 120, 150.0
RGB = picture(WIDTH, HEIGHT, seed=3)


@pytest.fixture(scope='module')
def seeing(open_graph):
    """A node with depth, and a camera that knows its calibration."""
    graph = open_graph()
    graph.node('depth:=true', 'detections_2d:=true')
    graph.peer().listen(HoiDetections, 'detections')
    return graph


def camera_info(header=None, width=WIDTH, height=HEIGHT):
    message = CameraInfo(header=header or Header(), width=width, height=height)
    message.k = [FOCAL, 0.0, WIDTH / 2, 0.0, FOCAL, HEIGHT / 2, 0.0, 0.0, 1.0]
    return message


def depth_image(header, metres=2.0, size=(WIDTH, HEIGHT)):
    values = np.full(size[::-1], round(1000 * metres), '<u2')
    message = Image(header=header, width=size[0], height=size[1], encoding='16UC1',
                    step=2 * size[0])
    message.data = values.tobytes()
    return message


def show(graph, number, *depths, info=None):
    """Publish depth and calibration, then the frame; return its detections."""
    peer = graph.peer()
    sent = image(number, RGB)
    for message in depths:
        peer.publisher(Image, 'depth').publish(message(sent.header))
    peer.publisher(CameraInfo, 'camera_info').publish(info or camera_info(sent.header))
    peer.spin(lambda: False, 0.3)
    answer = peer.answer(sent)
    assert answer is not None, graph.process.log
    return answer


def placed(graph, numbers, *depths):
    """Show frames until one has positions: a busy machine may lose any single message."""
    for number in numbers:
        answer = show(graph, number, *depths)
        if np.isfinite(answer.instances[0].position).all():
            return answer
    raise AssertionError(f'no positions:\n{graph.process.log}')


def unplaced(graph, number, sentence, *depths, info=None):
    """Show frames until the log explains why there are no positions; the frames are answered."""
    for attempt in range(6):
        answer = show(graph, number + attempt, *depths, info=info)
        if sentence in graph.process.log:
            assert answer.instances and np.isnan([i.position for i in answer.instances]).all()
            return
    raise AssertionError(graph.process.log)


def late(milliseconds):
    def depth(header):
        shifted = Header(frame_id=header.frame_id)
        total = header.stamp.sec * 10**9 + header.stamp.nanosec + milliseconds * 10**6
        shifted.stamp.sec, shifted.stamp.nanosec = divmod(total, 10**9)
        return depth_image(shifted)
    return depth


def test_without_depth_positions_are_unknown_and_the_log_says_why(seeing):
    answer = seeing.peer().answer(image(1, RGB))
    assert np.isnan([i.position for i in answer.instances]).all()
    assert 'no camera_info has come on /hoi/camera_info' in seeing.process.log
    unplaced(seeing, 10, 'no depth image has come on /hoi/depth')


def test_instances_get_position_and_extent_in_the_frame_of_the_image(seeing):
    answer = placed(seeing, range(100, 110), depth_image)
    for found in answer.instances:
        assert found.position[2] == pytest.approx(2.0, abs=1e-3)
        left, right = ((x - 0.5 - WIDTH / 2) * 2 / FOCAL for x in (found.x1, found.x2))
        assert left - 0.01 <= found.position[0] <= right + 0.01
        assert 0 < found.extent[0] <= right - left + 0.01


def test_depth_a_little_late_is_used_and_far_too_late_is_not(seeing):
    placed(seeing, range(200, 210), late(15))
    unplaced(seeing, 220, 'raise depth_tolerance', late(60))
    assert seeing.peer().set_parameters(depth_tolerance=0.1)[0].successful
    placed(seeing, range(240, 250), late(60))
    assert seeing.peer().set_parameters(depth_tolerance=0.02)[0].successful


def rgb_as_depth(header):
    return Image(header=header, width=WIDTH, height=HEIGHT, encoding='rgb8', step=3 * WIDTH,
                 data=bytes(3 * WIDTH * HEIGHT))


def cut_short(header):
    message = depth_image(header)
    message.data = message.data[:100]
    return message


@pytest.mark.parametrize('number, depth, info, sentence', [
    (300, rgb_as_depth, None, "depth encoding 'rgb8' is not supported"),
    (310, cut_short, None, '100 bytes'),
    (320, lambda header: depth_image(header, size=(64, 48)), None, 'depth image is 64x48'),
    (330, depth_image, camera_info(width=640, height=480), 'camera_info is for 640x480'),
    (340, depth_image, CameraInfo(width=WIDTH, height=HEIGHT), 'calibrate the camera'),
], ids=['encoding', 'cut short', 'size', 'camera_info of another size', 'uncalibrated'])
def test_what_is_wrong_with_depth_is_said_once_and_frames_go_on(seeing, number, depth, info,
                                                                sentence):
    unplaced(seeing, number, sentence, depth, info=info)
    show(seeing, number + 8, depth, info=info)
    assert seeing.process.log.count(sentence) == 1
    placed(seeing, range(number + 1000, number + 1010), depth_image)


def test_markers_are_drawn_where_instances_are_while_someone_looks(seeing):
    peer = seeing.peer()
    markers = peer.listen(MarkerArray, 'markers')
    for number in range(400, 410):
        answer = placed(seeing, [number], depth_image)
        if peer.spin(lambda: any(m.markers[0].header == answer.header for m in markers), 5.0):
            break
    drawn = next(m for m in markers if m.markers[0].header == answer.header).markers
    assert drawn[0].action == Marker.DELETEALL
    assert {m.header.frame_id for m in drawn} == {answer.header.frame_id}
    cubes = [m for m in drawn if m.ns == 'instances']
    assert [c.pose.position.z for c in cubes] == pytest.approx(
        [i.position[2] for i in answer.instances])
    assert all(min(c.scale.x, c.scale.y, c.scale.z) > 0 for c in cubes)
    assert any(m.ns == 'links' and len(m.points) == 2 for m in drawn)
    peer.unlisten('markers')


def test_markers_without_depth_say_what_they_need(running):
    peer = running.peer()
    markers = peer.listen(MarkerArray, 'markers')
    assert peer.publish_until(image(1, RGB), 'image', lambda: bool(markers))
    assert [m.action for m in markers[-1].markers] == [Marker.DELETEALL]
    assert 'start the node with depth:=true' in running.process.log
    peer.unlisten('markers')


@pytest.mark.skipif(Detection2DArray is not None, reason='vision_msgs is installed')
def test_boxes_for_others_without_vision_msgs_are_explained_once(seeing):
    assert seeing.process.log.count('vision_msgs is not installed') == 1


@pytest.mark.skipif(Detection2DArray is None, reason='vision_msgs is not installed')
def test_boxes_for_others_are_those_of_the_detections(seeing):
    peer = seeing.peer()
    boxes = peer.listen(Detection2DArray, 'detections_2d')
    answer = show(seeing, 500, depth_image)
    assert peer.spin(lambda: any(m.header == answer.header for m in boxes))
    found = next(m for m in boxes if m.header == answer.header).detections
    assert [(d.results[0].hypothesis.class_id, d.id) for d in found] == [
        (i.class_name, str(i.track_id) if i.track_id else '') for i in answer.instances]
    assert [d.bbox.center.position.x + d.bbox.size_x / 2 for d in found] == pytest.approx(
        [i.x2 for i in answer.instances])
