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

from bags import demo_bag, ground_truth_message, header
from hoi_perception.core.errors import HoiError
from hoi_perception.replay import message_types
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import DETECTIONS, hoi_msgs_directory, MASKS
from hoi_perception.replay.scenes import scene_of, vocabulary_of
import numpy as np
import pytest


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_frames_and_ground_truth_survive_the_way_through_a_bag(tmp_path, storage):
    demo_bag(tmp_path / 'bag', frames=3, storage=storage)
    with BagReader(tmp_path / 'bag') as reader:
        frames, truth = list(reader.frames()), reader.ground_truth()
    assert [frame.key for frame in frames] == list(truth) == [
        (100, 200_000_000 * i, 'camera') for i in range(3)]
    assert frames[1].rgb().shape == (96, 128, 3)
    scene = scene_of(truth[frames[1].key], vocabulary_of(truth.values()))
    assert scene.phrases() == ('person ride bicycle',)
    assert scene.instances.boxes.tolist() == [[10, 20, 60, 90], [12, 50, 70, 95]]


def test_definitions_travel_with_the_bag(tmp_path, monkeypatch):
    demo_bag(tmp_path / 'bag', frames=1)
    monkeypatch.setattr(message_types, '_candidates', lambda: iter(()))
    with BagReader(tmp_path / 'bag') as reader:
        assert len(reader.ground_truth()) == 1


def test_missing_definitions_are_explained_with_the_command(monkeypatch):
    monkeypatch.setattr(message_types, '_candidates', lambda: iter(()))
    with pytest.raises(HoiError, match='colcon build --base-paths'):
        hoi_msgs_directory()


def test_masks_keep_their_bytes(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        make = writer.message
        mask = make('hoi_msgs/msg/Mask', kind=0, owner=0, x=1, y=2, width=3, height=4, encoding=0,
                    data=np.frombuffer(b'04L4', np.uint8))
        writer.write('/hoi/masks', MASKS, 7, make(
            MASKS, header=header(writer, 1, 2), frame_seq=1, width=9, height=9, masks=[mask]))
    with BagReader(tmp_path / 'bag') as reader:
        (log_time, message), = reader.messages(reader.topics_of_type(MASKS)[0])
    assert log_time == 7 and bytes(message.masks[0].data) == b'04L4'


def test_announced_topic_is_in_the_bag_without_messages(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.add_topic('/hoi/detections', DETECTIONS)
    with BagReader(tmp_path / 'bag') as reader:
        assert [(topic.name, topic.count) for topic in reader.topics] == [('/hoi/detections', 0)]


def test_results_of_a_node_are_not_taken_for_ground_truth(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write('/hoi/detections', DETECTIONS, 1, ground_truth_message(writer, 1, 0))
    with BagReader(tmp_path / 'bag') as reader:
        assert reader.ground_truth() == {}


def test_older_bag_is_replaced_but_nothing_else(tmp_path):
    for _ in range(2):
        demo_bag(tmp_path / 'bag', frames=1)
    keepsake = tmp_path / 'photos' / 'dear.txt'
    keepsake.parent.mkdir()
    keepsake.write_text('dear')
    with pytest.raises(HoiError, match='not overwritten'):
        BagWriter(keepsake.parent)
    with pytest.raises(HoiError, match='not overwritten'):
        BagWriter(keepsake)
    assert keepsake.read_text() == 'dear'


def test_time_before_1970_is_written_as_zero(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write('/hoi/detections', DETECTIONS, -5, ground_truth_message(writer, -1, 0))
    with BagReader(tmp_path / 'bag') as reader:
        assert [t for t, _ in reader.messages(reader.topics[0])] == [0]
