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

import json

from bags import demo_bag
from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.inputs import Selection
from hoi_perception.replay.records import read_frames, read_run
import pytest
from replay_runs import run, still_bag, TOPIC, write_boxes


def results_of(out, name='detections'):
    with BagReader(out / 'results') as reader:
        topic = next(t for t in reader.topics if t.name == f'/hoi/{name}')
        return list(reader.messages(topic))


def test_every_frame_has_a_record_and_every_usable_one_a_result(tiny, tmp_path):
    bag = demo_bag(tmp_path / 'bag', 5, spoiled=(2,))
    done = run(tiny, tmp_path / 'out', bag)
    assert done.counts == {'answered': 4, 'dropped': 0, 'bad': 1} and done.troubles == ()
    records = read_frames(tmp_path / 'out')
    with BagReader(bag) as reader:
        frames = list(reader.frames())
    assert [(r.index, r.key, r.log_time, r.bag, r.topic) for r in records] == [
        (i, frame.key, frame.log_time, 'bag', TOPIC) for i, frame in enumerate(frames)]
    assert [r.outcome for r in records] == ['answered'] * 2 + ['bad'] + ['answered'] * 2
    assert 'neither a readable JPEG nor PNG' in records[2].reason == done.bad_reasons[0]
    assert {'decode', 'detect', 'interact', 'track', 'convert'} <= set(records[0].stages)
    assert records[0].total == pytest.approx(sum(records[0].stages.values()))
    assert [(time, m.frame_seq) for time, m in results_of(tmp_path / 'out')] == [
        (frame.log_time, i + 1) for i, frame in enumerate(frames) if i != 2]


def test_what_was_run_on_what_is_written_down(tiny, tmp_path):
    done = run(tiny, tmp_path / 'out', demo_bag(tmp_path / 'bag', 2), verbs=('hold', 'meet: cup'))
    info = read_run(tmp_path / 'out')
    assert info == done.info and info.complete and info.mode == 'every-frame'
    assert info.prompts == {2: ['hold', 'meet']}  # as a node that is started with verbs
    assert set(info.inputs) == {'bag/metadata.yaml', 'bag/bag.mcap'}
    assert all(len(digest) == 64 for digest in info.inputs.values())
    assert info.engines['detector'] == 'eager fp32' and info.options['engine'] == 'eager'
    assert {m.prompt_version for _, m in results_of(tmp_path / 'out')} == {2}


@pytest.mark.parametrize(('selection', 'expected'), [
    (Selection(start=0.45), [3, 4, 5, 6, 7]), (Selection(end=0.6), [0, 1, 2]),
    (Selection(stride=3), [0, 3, 6]), (Selection(start=0.2, end=1.2, stride=2), [1, 3, 5])])
def test_only_the_chosen_frames_are_replayed(selection, expected, tiny, tmp_path):
    demo_bag(tmp_path / 'bag', 8)  # five frames per second
    run(tiny, tmp_path / 'out', tmp_path / 'bag', selection=selection)
    records = read_frames(tmp_path / 'out')
    assert [round((r.log_time - 100e9) / 200e6) for r in records] == expected
    assert [r.index for r in records] == list(range(len(expected)))


@pytest.mark.parametrize('selection', [
    {'stride': 0}, {'start': -1.0}, {'start': 2.0, 'end': 2.0}, {'start': float('nan')}])
def test_a_choice_that_makes_no_sense_is_refused(selection):
    with pytest.raises(HoiError, match='--st|--end'):
        Selection(**selection)


def test_time_in_which_there_is_no_frame_is_told(tiny, tmp_path):
    done = run(tiny, tmp_path / 'out', demo_bag(tmp_path / 'bag', 2),
               selection=Selection(start=60))
    assert sum(done.counts.values()) == 0
    assert 'Nothing of bag' in done.troubles[0] and '2 frames' in done.troubles[0]


def test_bags_of_a_directory_come_one_after_the_other_and_those_without_images_are_told(
        tiny, tmp_path):
    demo_bag(tmp_path / 'bags' / 'b_sqlite', 2, 'sqlite3')
    demo_bag(tmp_path / 'bags' / 'a_mcap', 3)
    with BagWriter(tmp_path / 'bags' / 'c_blind') as writer:
        writer.add_topic('/hoi/detections', 'hoi_msgs/msg/HoiDetections')
    done = run(tiny, tmp_path / 'out', tmp_path / 'bags', tmp_path / 'nowhere')
    assert [r.bag for r in read_frames(tmp_path / 'out')] == ['a_mcap'] * 3 + ['b_sqlite'] * 2
    assert len(done.troubles) == 2 and done.counts['answered'] == 5
    assert 'c_blind has no camera images' in done.troubles[0]
    assert 'nowhere does not exist' in done.troubles[1]
    assert done.info.complete  # nothing is lost of the bags that have frames


def test_without_any_frame_the_sentence_comes_before_the_networks(tmp_path):
    with BagWriter(tmp_path / 'blind') as writer:
        writer.add_topic('/hoi/detections', 'hoi_msgs/msg/HoiDetections')
    with pytest.raises(HoiError, match='blind has no camera images'):
        run(tmp_path / 'no bundle', tmp_path / 'out', tmp_path / 'blind')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_of_a_cut_bag_the_readable_part_is_replayed(storage, tiny, tmp_path):
    bag = demo_bag(tmp_path / 'bag', 12, storage)
    data = next(path for path in bag.iterdir() if path.suffix in ('.mcap', '.db3'))
    data.write_bytes(data.read_bytes()[:int(0.6 * data.stat().st_size)])
    done = run(tiny, tmp_path / 'out', bag)
    records = read_frames(tmp_path / 'out')
    assert 3 <= len(records) < 12 and len(results_of(tmp_path / 'out')) == len(records)
    assert not done.info.complete and len(done.troubles) == 1
    assert f'{len(records)} frames of {TOPIC} were read, up to ' in done.troubles[0]
    assert f'{0.2 * (len(records) - 1):.3f} s after the first' in done.troubles[0]


def test_bag_that_breaks_off_in_the_middle_is_kept_up_to_there(tiny, tmp_path):
    bag = still_bag(tmp_path / 'bag', 12, 'sqlite3')
    import sqlite3
    with sqlite3.connect(bag / 'bag.db3') as file:
        file.execute("UPDATE messages SET data = x'00' WHERE id = 8")
    done = run(tiny, tmp_path / 'out', bag)
    assert done.counts == {'answered': 11, 'dropped': 0, 'bad': 1}
    assert read_frames(tmp_path / 'out')[7].key == (0, 0, '')


def test_boxes_of_another_detector_are_used_and_their_new_names_learnt(tiny, tmp_path):
    bag = write_boxes(tmp_path / 'bag', 5, 'skateboard', late_ns=300_000_000, missing=(2,))
    done = run(tiny, tmp_path / 'out', bag, instances='/boxes')
    assert done.counts == {'answered': 4, 'dropped': 1, 'bad': 0}
    assert read_frames(tmp_path / 'out')[2].reason == 'no_instances'
    for _, message in results_of(tmp_path / 'out'):
        assert {(i.class_name, i.track_id) for i in message.instances} == {
            ('person', 41), ('skateboard', 42)}
    vocabularies = [m for _, m in results_of(tmp_path / 'out', 'vocabulary')]
    assert [m.version for m in vocabularies] == [2] and 'skateboard' in vocabularies[0].objects


def test_topic_of_boxes_that_is_not_there_is_refused(tiny, tmp_path):
    with pytest.raises(HoiError, match='/boxes'):
        run(tiny, tmp_path / 'out', demo_bag(tmp_path / 'bag', 1), instances='/boxes')


def test_output_directory_that_cannot_be_written_is_refused(tiny, tmp_path):
    (tmp_path / 'file').write_text('dear')
    with pytest.raises(HoiError, match='cannot write to --out'):
        run(tiny, tmp_path / 'file', demo_bag(tmp_path / 'bag', 1))


def test_frames_are_lines_of_json(tiny, tmp_path):
    run(tiny, tmp_path / 'out', demo_bag(tmp_path / 'bag', 2))
    lines = (tmp_path / 'out' / 'frames.jsonl').read_text().splitlines()
    assert [json.loads(line)['index'] for line in lines] == [0, 1]
