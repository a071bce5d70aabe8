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

import sqlite3

from bags import demo_bag
from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.message_types import common_typestore, COMPRESSED_IMAGE, hoi_typestore
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer

FRAMES = 40


@pytest.fixture(scope='module', params=['mcap', 'sqlite3', 'mcap zstd'])
def bag(request, tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'bag'
    storage, _, packed = request.param.partition(' ')
    demo_bag(path, FRAMES, storage)
    return packed_copy(path) if packed else path


def packed_copy(path):
    """Return the bag with chunks compressed by zstd, as `ros2 bag record` can."""
    packed = path.parent / 'packed'
    with BagReader(path) as reader, Writer(
            packed, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.compression_mode = CompressionMode.STORAGE
        writer.storage.compression = 'zstd'
        writer.storage.compressor = _zstd
        for topic in reader.topics:
            connection = writer.add_connection(topic.name, topic.type, typestore=hoi_typestore())
            for log_time, raw in reader._raw(topic):
                writer.write(connection, log_time, raw)
    return packed


def _zstd(data):
    from hoi_perception.replay.salvage import _zstd as module
    return module().compress(data)


def data_of(bag):
    return next(path for path in bag.iterdir() if path.suffix in ('.mcap', '.db3'))


def copy_of(bag, target, keep=1.0, metadata=True):
    target.mkdir()
    data = data_of(bag).read_bytes()
    (target / data_of(bag).name).write_bytes(data[:int(keep * len(data))])
    if metadata:
        (target / 'metadata.yaml').write_bytes((bag / 'metadata.yaml').read_bytes())
    return target


def keys(path):
    with BagReader(path, salvage=True) as reader:
        return [(frame.key, frame.rgb().tobytes()) for frame in reader.frames()], reader


def test_of_a_bag_cut_anywhere_a_beginning_is_read_and_the_sentence_says_so(bag, tmp_path):
    whole, _ = keys(bag)
    assert len(whole) == FRAMES
    counts = []
    for step, keep in enumerate((0.3, 0.55, 0.8, 0.97, 0.999)):
        cut = copy_of(bag, tmp_path / str(step), keep)
        try:
            found, reader = keys(cut)
        except HoiError as error:  # not even one frame is there
            assert 'can' in str(error) and str(cut) in str(error)
            found = []
        else:
            # Behind the last message there is only the index: without it nothing is lost.
            assert reader.trouble and (reader.cut or len(found) == FRAMES)
        assert found == whole[:len(found)]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] >= FRAMES - 3


def test_bag_without_metadata_is_read_whole_and_told(bag, tmp_path):
    whole, _ = keys(bag)
    found, reader = keys(copy_of(bag, tmp_path / 'bare', metadata=False))
    assert found == whole and not reader.cut
    assert 'has no metadata.yaml' in reader.trouble and data_of(bag).name in reader.trouble


def test_parts_of_a_bag_are_read_in_the_order_of_their_numbers(bag, tmp_path):
    whole, _ = keys(bag)
    parts = tmp_path / 'parts'
    parts.mkdir()
    for number in (10, 2):
        name = f'bag_{number}{data_of(bag).suffix}'
        (parts / name).write_bytes(data_of(bag).read_bytes())
    found, reader = keys(parts)
    assert found == whole + whole and reader.topics[0].count == 2 * FRAMES
    assert reader.trouble.index('bag_2') < reader.trouble.index('bag_10')


def test_missing_part_of_a_bag_is_named_and_the_rest_is_read(bag, tmp_path):
    copy = copy_of(bag, tmp_path / 'copy')
    text = (copy / 'metadata.yaml').read_text()
    name = data_of(bag).name
    (copy / 'metadata.yaml').write_text(text.replace(
        f'  - {name}\n', f'  - {name}\n  - lost{data_of(bag).suffix}\n', 1))
    found, reader = keys(copy)
    assert len(found) == FRAMES and reader.cut and f'lost{data_of(bag).suffix}' in reader.trouble


def test_unknown_compression_is_named(tmp_path):
    demo_bag(tmp_path / 'bag', 3)
    packed = packed_copy(tmp_path / 'bag')
    data = data_of(packed)
    data.write_bytes(data.read_bytes().replace(b'\x04\x00\x00\x00zstd', b'\x04\x00\x00\x00zipp'))
    with pytest.raises(HoiError, match="'zipp'"):
        with BagReader(packed) as reader:
            list(reader.frames())
    (packed / 'metadata.yaml').unlink()
    data.write_bytes(data.read_bytes()[:-8])
    with pytest.raises(HoiError, match="'zipp', which is not known"):
        BagReader(packed, salvage=True)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_definition_that_makes_no_sense_does_not_hide_the_images(storage, tmp_path):
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin[storage.upper()]) as w:
        image = w.add_connection('/image', COMPRESSED_IMAGE, typestore=common_typestore())
        odd = w.add_connection('/odd', 'odd/msg/Odd', msgdef='odd/Missing what', rihs01='RIHS01_0')
        demo = demo_bag(tmp_path / 'demo', 2)
        with BagReader(demo) as reader:
            for frame in reader.frames():
                w.write(image, frame.log_time, frame.serialized)
                w.write(odd, frame.log_time, b'\0' * 8)
    assert len(keys(tmp_path / 'bag')[0]) == 2
    with BagReader(tmp_path / 'bag', salvage=True) as reader:
        assert not reader.cut
        odd = next(topic for topic in reader.topics if topic.name == '/odd')
        with pytest.raises(HoiError, match=r'odd/msg/Odd|cannot be read'):
            list(reader.messages(odd))


def test_common_type_without_definition_is_read_with_the_common_one(tmp_path):
    demo_bag(tmp_path / 'bag', 2, 'sqlite3')
    with sqlite3.connect(data_of(tmp_path / 'bag')) as file:
        file.execute('DELETE FROM message_definitions WHERE topic_type = ?', (COMPRESSED_IMAGE,))
    found, reader = keys(tmp_path / 'bag')
    assert len(found) == 2 and not reader.trouble
