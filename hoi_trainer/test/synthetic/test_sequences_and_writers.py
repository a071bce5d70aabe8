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

"""Sequences begin and end interactions; the writers lose nothing."""

import json

import cv2
from hoi_perception.replay.message_types import COMPRESSED_IMAGE, DETECTIONS, hoi_typestore
from hoi_trainer.synthetic import generate, load, OBJECTS, VERBS
from hoi_trainer.synthetic.bag import IMAGE_TOPIC, TRUTH_TOPIC, write_demo_bag
from hoi_trainer.synthetic.hico import write_hico
from hoi_trainer.synthetic.sequences import render_sequence
import numpy as np
import pytest
from rosbags.rosbag2 import Reader


@pytest.fixture(scope='module')
def frames():
    return list(render_sequence(3, 60, rate=6.0, size=(320, 240)))


def test_interactions_begin_and_end(frames):
    active = [{(f.ids[h], v, f.ids[o]) for h, v, o in f.record['triplets']} for f in frames]
    assert not active[0]
    begun = set().union(*(b - a for a, b in zip(active, active[1:])))
    ended = set().union(*(a - b for a, b in zip(active, active[1:])))
    assert begun and begun & ended


def test_boxes_move_smoothly_and_match_the_masks(frames):
    boxes = [dict(zip(f.ids.tolist(), f.record['boxes'])) for f in frames]
    moved = 0.0
    for before, after in zip(boxes, boxes[1:]):
        for identity in before.keys() & after.keys():
            a, b = np.array(before[identity]), np.array(after[identity])
            step = abs((a[:2] + a[2:]) - (b[:2] + b[2:])).max() / 2
            assert step < 0.25 * 320
            moved = max(moved, step)
    assert moved > 1
    for frame in frames:
        for i, box in enumerate(frame.record['boxes']):
            rows, columns = np.nonzero(frame.instance_map == i + 1)
            assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert frame.instance_map.max() <= len(frame.ids)


def test_a_sequence_is_the_same_every_time(frames):
    again = next(render_sequence(3, 60, rate=6.0, size=(320, 240)))
    assert (again.image == frames[0].image).all() and again.record == frames[0].record


def test_hico_files_hold_every_triplet_and_pixel(tmp_path):
    data = load(generate('train', 8, tmp_path / 'set', size=(240, 180)))
    raw = json.loads(write_hico(data, tmp_path / 'hico', 'train').read_text())
    assert len(raw['annotation']) == len(raw['filenames']) == 8
    for scene, image, row, name in zip(
            data.scenes, data.images, raw['annotation'], raw['filenames']):
        stored = cv2.imread(str(tmp_path / 'hico' / 'images' / 'train' / name))
        assert (cv2.cvtColor(stored, cv2.COLOR_BGR2RGB) == image).all()
        assert row['verb'] == scene.triplets[:, 1].tolist()
        assert row['boxes_h'] == scene.boxes[scene.triplets[:, 0]].tolist()
        assert row['boxes_o'] == scene.boxes[scene.triplets[:, 2]].tolist()
        for hoi, label, verb in zip(row['hoi'], row['object'], row['verb']):
            assert raw['correspondence'][hoi] == [hoi, label, verb]


def test_bag_holds_frames_and_truth_under_the_same_header(tmp_path):
    path = write_demo_bag(tmp_path / 'bag', seconds=4.0, rate=5.0, scenes=1, size=(320, 240))
    store, images, truths = hoi_typestore(), {}, {}
    with Reader(path) as reader:
        for connection, _, raw in reader.messages():
            message = store.deserialize_cdr(raw, connection.msgtype)
            stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
            kept = {(IMAGE_TOPIC, COMPRESSED_IMAGE): images, (TRUTH_TOPIC, DETECTIONS): truths}
            kept[connection.topic, connection.msgtype][stamp] = message
    assert len(images) == 20 and images.keys() == truths.keys()
    for image in images.values():
        assert cv2.imdecode(image.data, cv2.IMREAD_COLOR).shape == (240, 320, 3)
    named = [t for truth in truths.values() for t in truth.triplets]
    assert named and all(VERBS[t.verb] == t.verb_name for t in named)
    for truth in truths.values():
        assert (truth.width, truth.height) == (320, 240)
        assert all(OBJECTS[i.label] == i.class_name and i.track_id for i in truth.instances)
        assert all(truth.instances[t.human].class_name == 'person' for t in truth.triplets)
