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

"""`hoi replay` as a user types it: exit codes, sentences, files."""

import json
import os
import signal
import subprocess
import sys

from bags import demo_bag
from hoi_perception import cli
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.records import read_frames, read_run
from hoi_perception.replay.sample_frames import shipped_bag
import pytest
from replay_runs import files_of, still_bag
from shared_data import require_shared


def hoi_replay(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(['replay', *map(str, arguments)])
    out = capsys.readouterr()
    return left.value.code, out.out, out.err


@pytest.fixture
def replay_here(capsys, tiny, tmp_path):
    def replay_bags(*arguments):
        return hoi_replay(capsys, *arguments, '--bundle', tiny, '--device', 'cpu', '--out',
                          tmp_path / 'out')
    return replay_bags


def test_a_bag_is_replayed_without_naming_the_command_run(replay_here, tmp_path):
    code, text, error = replay_here(demo_bag(tmp_path / 'bag', 3), '--no-report')
    assert code == 0 and '3 frames: 3 answered, 0 dropped, 0 bad' in text and not error.strip()
    assert {'run.json', 'frames.jsonl', 'results/results.mcap', 'results/metadata.yaml'} == set(
        files_of(tmp_path / 'out'))


def test_with_truth_in_the_bag_there_is_a_report(replay_here, tmp_path):
    code, text, _ = replay_here(demo_bag(tmp_path / 'bag', 4))
    assert code == 0 and 'report.html' in text and 'triplet mAP of answered frames: 0.' in text
    report = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert report['frames']['answered'] == 4 and report['truth'] is not None
    assert '<html' in (tmp_path / 'out' / 'report.html').read_text()


def test_json_holds_counts_and_what_is_wrong(replay_here, tmp_path):
    bag = demo_bag(tmp_path / 'bag', 3, spoiled=(1,))
    (bag / 'metadata.yaml').unlink()
    code, text, error = replay_here(bag, '--no-report', '--json')
    said = json.loads(text)
    assert code == 2 and 'has no metadata.yaml' in error
    assert said['frames'] == {'answered': 2, 'dropped': 0, 'bad': 1} and said['complete']
    assert said['troubles'] and said['troubles'][0] in error


def blind(path):
    with BagWriter(path) as writer:
        writer.add_topic('/hoi/detections', 'hoi_msgs/msg/HoiDetections')


def cut(path):
    data = demo_bag(path, 8) / 'bag.mcap'
    data.write_bytes(data.read_bytes()[:-20000])


def unknown_compression(path):
    demo_bag(path, 2)
    text = (path / 'metadata.yaml').read_text()
    for key, value in (('mode', 'file'), ('format', 'zipp')):
        text = text.replace(f"compression_{key}: ''", f'compression_{key}: {value}')
    (path / 'metadata.yaml').write_text(text)


def undefined(path):
    """Images of a type that nobody knows."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection('/image', 'odd/msg/Image', msgdef='uint8[] data',
                                      rihs01='RIHS01_0')
        writer.write(topic, 1, b'\0\1\0\0\0\0\0\0')


@pytest.mark.parametrize(('make', 'arguments', 'words', 'frames'), [
    (blind, (), 'has no camera images', None), (cut, (), 'as far as it goes', range(1, 8)),
    (unknown_compression, (), 'zipp', None), (undefined, (), 'odd/msg/Image', None),
    (lambda path: demo_bag(path, 1), ('--image-topic', '/x'), "no images on topic '/x'", None),
    (lambda path: demo_bag(path, 1), ('--verbs', 'a', '--verbs', 'a'), 'twice', None),
    (lambda path: demo_bag(path, 1), ('--mode', 'fast'), 'every-frame or real-time', None),
    (lambda path: demo_bag(path, 1), ('--stride', '0'), '--stride', None),
    (lambda path: demo_bag(path, 1), ('--latency-profile', 'x'), '--latency-profile', None),
    (lambda path: demo_bag(path, 1), ('--head', 'x'), 'head', None),
    (lambda path: demo_bag(path, 1), ('--instances', '/x'), '/x', None),
    (lambda path: demo_bag(path, 1), ('--nonsense',), 'nonsense', None),
    (lambda path: None, (), 'does not exist', None)])
def test_bad_input_ends_with_code_two_and_a_sentence(
        make, arguments, words, frames, replay_here, tmp_path):
    make(tmp_path / 'bag')
    code, _, error = replay_here(tmp_path / 'bag', '--no-report', *arguments)
    assert code == 2 and words in error and 'Traceback' not in error
    if frames is None:
        assert not (tmp_path / 'out' / 'frames.jsonl').exists()
    else:  # what could be read is there
        assert len(read_frames(tmp_path / 'out')) in frames
        with BagReader(tmp_path / 'out' / 'results') as reader:
            assert reader.topics_of_type('hoi_msgs/msg/HoiDetections')[0].count in frames
        assert not read_run(tmp_path / 'out').complete


def test_ctrl_c_keeps_what_was_done_and_the_same_command_goes_on(tiny, tmp_path):
    bag = still_bag(tmp_path / 'bag', 300)
    command = [sys.executable, '-m', 'hoi_perception.cli', 'replay', str(bag), '--bundle',
               str(tiny), '--device', 'cpu', '--out', str(tmp_path / 'out'), '--no-report']
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'},
        # Where the tests themselves run in the background, SIGINT would be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    lines = tmp_path / 'out' / 'frames.jsonl'
    while process.poll() is None and not (lines.exists() and lines.stat().st_size):
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            pass
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130 and 'the same command goes on from there' in error
    assert 'Traceback' not in error
    done = len(read_frames(tmp_path / 'out'))
    assert 0 < done < 300 and (tmp_path / 'out' / 'journal.part').exists()


def test_comparing_what_is_no_replay_is_refused(capsys, tmp_path):
    code, _, error = hoi_replay(capsys, 'compare', tmp_path, tmp_path)
    assert code == 2 and 'is not the output of `hoi replay`' in error


def test_two_replays_are_compared_and_one_exported(capsys, replay_here, tiny, tmp_path):
    bag = demo_bag(tmp_path / 'bag', 4)
    replay_here(bag)
    (tmp_path / 'out').rename(tmp_path / 'first')
    replay_here(bag, '--verbs', 'ride', '--verbs', 'push')
    code, text, _ = hoi_replay(capsys, 'compare', tmp_path / 'first', tmp_path / 'out')
    assert code == 0 and 'verbs' in text
    code, text, _ = hoi_replay(capsys, 'compare', tmp_path / 'first', tmp_path / 'out', '--json')
    assert code == 0 and json.loads(text)
    code, text, _ = hoi_replay(capsys, 'export', tmp_path / 'out', tmp_path / 'coco')
    assert code == 0 and len(list((tmp_path / 'coco' / 'images').iterdir())) == 4


def test_help_names_the_commands_and_loads_no_networks():
    code = ("import sys; from hoi_perception.replay_cli import replay_app; "
            "sys.exit(any(m in sys.modules for m in ('torch', 'rosbags', 'rclpy')))")
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == 0


def test_the_real_bags_run_with_one_command(replay_here, tmp_path):
    bags = sorted(require_shared('data/bags').iterdir())
    code, _, error = replay_here(*bags, '--no-report')
    records = read_frames(tmp_path / 'out')
    assert [(record.bag, record.outcome) for record in records] == (
        [('trimmed_locoffice_mcap', 'answered')] * 3
        + [('trimmed_locoffice_sqlite3', 'answered')] * 3
        + [('vcoco_photos_compressed_mcap', 'answered')] * 10)
    assert code == 2 and error.count('has no camera images') == 4  # those of native_noimage


def test_the_shipped_bag_runs_with_one_command(replay_here, tmp_path):
    code, text, _ = replay_here(shipped_bag(), '--no-report', '--stride', '40')
    assert code == 0 and '6 frames: 6 answered' in text
    assert read_run(tmp_path / 'out').complete
