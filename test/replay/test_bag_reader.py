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

import shutil

from hoi_perception.core.errors import FrameError, HoiError
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import COMPRESSED_IMAGE, IMAGE
import pytest
from shared_data import require_shared


def test_photos_come_out_with_their_own_headers():
    with BagReader(require_shared('data/bags/vcoco_photos_compressed_mcap')) as reader:
        topic = reader.choose_image_topic()
        assert (topic.name, topic.type) == ('/camera/image_raw/compressed', COMPRESSED_IMAGE)
        frames = list(reader.frames(topic))
    assert [frame.key[:2] for frame in frames] == [
        (1700000000 + i // 2, 500000000 * (i % 2)) for i in range(10)]
    assert frames[0].key[2] == 'COCO_val2014_000000000294.jpg'
    assert frames[0].rgb().shape == (427, 640, 3)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_mono8_camera_is_read_from_both_storages(storage):
    with BagReader(require_shared(f'data/bags/trimmed_locoffice_{storage}')) as reader:
        assert [t.name for t in reader.image_topics()] == [
            '/camera/fisheye1/image_raw', '/camera/fisheye2/image_raw']
        frames = list(reader.frames(reader.choose_image_topic('/camera/fisheye2/image_raw')))
        assert reader.ground_truth() == {}
    assert len(frames) == 3 and frames[0].type == IMAGE
    assert frames[0].message.encoding == 'mono8' and frames[0].rgb().shape == (800, 848, 3)


def test_single_file_of_a_bag_can_be_opened():
    path = require_shared('data/bags/trimmed_locoffice_mcap/trimmed_locoffice_mcap.mcap')
    with BagReader(path) as reader:
        assert reader.choose_image_topic().count == 3


@pytest.mark.parametrize('name, mentioned', [
    ('plotjuggler_rosbag2_test', '/imu (sensor_msgs/msg/Imu)'),
    ('rosbag2_empty_sqlite3', '/rosout (rcl_interfaces/msg/Log)'),
    ('rosbag2_talker_mcap', '/topic (std_msgs/msg/String)'),
    ('rosbag2_talker_sqlite3', '/topic (std_msgs/msg/String)')])
def test_bag_without_images_is_refused_naming_what_it_has(name, mentioned):
    with BagReader(require_shared(f'data/bags/native_noimage/{name}')) as reader:
        with pytest.raises(HoiError, match='has no camera images') as error:
            reader.choose_image_topic()
    assert mentioned in str(error.value)


def test_folder_of_bags_is_refused_naming_the_bags():
    with pytest.raises(HoiError, match='rosbag2_talker_mcap'):
        BagReader(require_shared('data/bags/native_noimage'))


def test_unknown_image_topic_is_refused_naming_the_known():
    with BagReader(require_shared('data/bags/trimmed_locoffice_mcap')) as reader:
        with pytest.raises(HoiError, match='/camera/fisheye1/image_raw'):
            reader.choose_image_topic('/camera/fisheye3/image_raw')


def test_colour_is_preferred_to_depth_and_many_frames_to_few(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        for name, count in (('/a_depth/image', 3), ('/few/image', 1), ('/many/image', 2)):
            for i in range(count):
                writer.write_serialized(name, IMAGE, i, b'')
    with BagReader(tmp_path / 'bag') as reader:
        assert [t.name for t in reader.image_topics()] == [
            '/many/image', '/few/image', '/a_depth/image']


@pytest.fixture
def copy(tmp_path):
    def make(name):
        source = require_shared(f'data/bags/{name}')
        target = tmp_path / name
        target.mkdir()
        for path in source.iterdir():
            shutil.copyfile(path, target / path.name)
        return target
    return make


def read_everything(path):
    with BagReader(path) as reader:
        for frame in reader.frames():
            try:
                frame.rgb()
            except FrameError:
                pass


@pytest.mark.parametrize('name', ['trimmed_locoffice_mcap', 'trimmed_locoffice_sqlite3'])
@pytest.mark.parametrize('keep', [0, 10, 0.5, 0.99])
def test_bag_cut_short_is_refused_with_a_sentence(copy, name, keep):
    bag = copy(name)
    data = next(path for path in bag.iterdir() if path.suffix in ('.mcap', '.db3'))
    size = int(keep if keep > 1 else keep * data.stat().st_size)
    data.write_bytes(data.read_bytes()[:size])
    with pytest.raises(HoiError, match='cannot be read|has no camera images') as error:
        read_everything(bag)
    assert str(bag) in str(error.value)


@pytest.mark.parametrize('text, word', [
    ('', 'cannot be read'), ('a: [', 'cannot be read'), ('- 1', 'cannot be read'),
    ('rosbag2_bagfile_information: {version: 99}', 'version 99'),
    ('rosbag2_bagfile_information: {version: 9, storage_identifier: tape, '
     'relative_file_paths: []}', 'tape')])
def test_metadata_that_makes_no_sense_is_refused(copy, text, word):
    bag = copy('vcoco_photos_compressed_mcap')
    (bag / 'metadata.yaml').write_text(text)
    with pytest.raises(HoiError, match=word):
        BagReader(bag)


def test_missing_data_file_is_refused_by_name(copy):
    bag = copy('vcoco_photos_compressed_mcap')
    (bag / 'vcoco_photos_compressed_mcap.mcap').unlink()
    with pytest.raises(HoiError, match='vcoco_photos_compressed_mcap.mcap'):
        BagReader(bag)


def test_paths_that_are_no_bags_are_refused(tmp_path):
    note = tmp_path / 'note.txt'
    note.write_text('hello')
    for path, word in ((tmp_path / 'absent', 'does not exist'), (note, 'not a rosbag2'),
                       (tmp_path, 'without metadata.yaml')):
        with pytest.raises(HoiError, match=word):
            BagReader(path)
