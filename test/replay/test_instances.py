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

"""Boxes of another detector for a replay: from a file, from our topic, from vision_msgs."""

import json
from types import SimpleNamespace

from bags import header, instance
from hoi_perception.core.errors import HoiError
from hoi_perception.replay import given_boxes
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.instances import of_vision, open_instances
from hoi_perception.replay.message_types import COMPRESSED_IMAGE, INSTANCES
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

BOX = (1.5, 2.0, 30.0, 40.0)
KNOWN = ('person', 'cup')


def _file(tmp_path, content):
    path = tmp_path / 'boxes.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def _usable(message):
    found, faults = given_boxes.instances(message, KNOWN)
    return found.labels.tolist(), found.boxes.tolist(), found.track_ids.tolist(), faults


def test_rows_of_a_file_are_found_by_the_name_of_the_image(tmp_path):
    source = open_instances(_file(tmp_path, {'photos/a.jpg': [['cup', 0.5, BOX]],
                                             'b.jpg': []}), [])
    assert _usable(source.of(None, (1, 0, 'a.jpg'), 0)) == ([1], [list(BOX)], [0], [])
    assert source.of(None, (1, 0, 'b.jpg'), 0).instances == ()
    assert source.of(None, (1, 0, 'c.jpg'), 0) is None


def test_boxes_that_cannot_be_used_are_told_by_the_rules_of_the_node(tmp_path):
    rows = [['cup', 1.5, BOX], ['cup', 0.5, [5, 5, 5, 9]], ['zebra', 0.5, BOX]]
    message = open_instances(_file(tmp_path, {'a': rows}), []).of(None, (0, 0, 'a'), 0)
    assert given_boxes.new_names(given_boxes.class_names(message), KNOWN) == ['zebra']
    labels, _, _, faults = _usable(message)
    assert labels == [] and len(faults) == 3


@pytest.mark.parametrize(('content', 'sentence'), [
    ('{', 'not readable JSON'),
    ([], 'holds list, expected an object'),
    ({'a': {}}, 'a: got dict'),
    ({'a': [['cup', .5, BOX], ['cup', .5]]}, 'a, row 1: got'),
    ({'a': [['cup', .5, [1, 2, 3]]]}, 'row 0'),
    ({'a': [['cup', 'high', BOX]]}, 'row 0'),
    ({'a': [[3, .5, BOX]]}, 'row 0'),
    ('{"a": [["cup", 0.5, [1, 2, 3, NaN]]]}', 'row 0'),
    ({'x/a': [], 'y/a': []}, 'a comes twice')])
def test_malformed_files_are_told_with_their_place(tmp_path, content, sentence):
    with pytest.raises(HoiError, match=sentence):
        open_instances(_file(tmp_path, content), [])


def test_a_topic_of_ours_is_matched_by_stamp(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        for sec in (1, 2):
            writer.write('/boxes', INSTANCES, sec * 10**9, writer.message(
                INSTANCES, header=header(writer, sec, 5),
                instances=[instance(writer, (sec, 0, 50, 50), 0, 'cup')]))
    with BagReader(tmp_path / 'bag') as reader:
        source = open_instances('/boxes', [reader])
        assert source.of(reader, (1, 5, 'other name'), 10**9).instances[0].x1 == 1
        assert source.of(reader, (1, 6, 'camera'), 10**9) is None
        assert source.of(reader, (2, 5, 'camera'), 2 * 10**9).instances[0].x1 == 2
        with pytest.raises(HoiError, match='/nothing is neither a file nor a topic .*: /boxes'):
            open_instances('/nothing', [reader])


# Definitions as vision_msgs has them since Humble.
VISION = {
    'Point2D': 'float64 x\nfloat64 y',
    'Pose2D': 'vision_msgs/Point2D position\nfloat64 theta',
    'BoundingBox2D': 'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y',
    'ObjectHypothesis': 'string class_id\nfloat64 score',
    'ObjectHypothesisWithPose':
        'vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose',
    'Detection2D': 'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
                   'vision_msgs/BoundingBox2D bbox\nstring id',
    'Detection2DArray': 'std_msgs/Header header\nvision_msgs/Detection2D[] detections'}


def _vision_bag(path, storage):
    store, types = get_typestore(Stores.ROS2_JAZZY), {}
    for name, text in VISION.items():
        types.update(get_types_from_msg(text, f'vision_msgs/msg/{name}'))
    store.register(types)

    def make(name, *fields):
        package = 'vision_msgs' if name in VISION else 'geometry_msgs'
        return store.types[f'{package}/msg/{name}'](*fields)
    head = store.types['std_msgs/msg/Header'](
        store.types['builtin_interfaces/msg/Time'](1, 5), 'camera')
    pose = make('PoseWithCovariance', make('Pose', make('Point', 0., 0., 0.), make(
        'Quaternion', 0., 0., 0., 1.)), np.zeros(36))
    results = [make('ObjectHypothesisWithPose', make('ObjectHypothesis', name, score), pose)
               for name, score in (('person', .2), ('cup', .7))]
    box = make('BoundingBox2D', make('Pose2D', make('Point2D', 20., 30.), 0.), 10., 40.)
    message = make('Detection2DArray', head, [make('Detection2D', head, results, box, '12'),
                                              make('Detection2D', head, [], box, '')])
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        type_ = 'vision_msgs/msg/Detection2DArray'
        connection = writer.add_connection('/yolo', type_, typestore=store)
        writer.write(connection, 10**9, store.serialize_cdr(message, type_))
    return path


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_vision_msgs_come_from_a_bag_that_brings_their_definitions(tmp_path, storage):
    with BagReader(_vision_bag(tmp_path / 'bag', storage)) as reader:
        message = open_instances('/yolo', [reader]).of(reader, (1, 5, 'camera'), 10**9)
    labels, boxes, tracks, faults = _usable(message)
    assert (labels, boxes, tracks) == ([1], [[15, 10, 25, 50]], [12])
    assert len(faults) == 1  # the detection without a hypothesis


@pytest.mark.parametrize(('turned', 'box'), [(0, [15, 10, 25, 50]), (np.pi / 2, [0, 25, 40, 35])])
def test_a_turned_box_becomes_the_upright_one_around_it(turned, box):
    found = of_vision(SimpleNamespace(detections=[_old(turned)])).instances[0]
    np.testing.assert_allclose(found[:4], box)


def _old(turned=0.0):
    """Return a detection as vision_msgs had it up to Galactic."""
    box = SimpleNamespace(center=SimpleNamespace(x=20., y=30., theta=turned), size_x=10.,
                          size_y=40.)
    return SimpleNamespace(results=[SimpleNamespace(id='cup', score=.7)], bbox=box)


def test_vision_msgs_of_old_distributions_are_read_too():
    found = of_vision(SimpleNamespace(detections=[_old()]))
    assert _usable(found) == ([1], [[15, 10, 25, 50]], [0], [])


def test_a_topic_of_another_type_is_refused(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.add_topic('/image', COMPRESSED_IMAGE)
        writer.write('/boxes', INSTANCES, 1, writer.message(
            INSTANCES, header=header(writer, 1, 5), instances=[]))
    with BagReader(tmp_path / 'bag') as reader:
        with pytest.raises(HoiError, match='has no boxes on /image: expected a topic of'):
            open_instances('/image', [reader]).of(reader, (1, 5, 'x'), 1)
