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
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
import uuid

from bags import demo_bag
from hoi_perception.replay.bag_reader import BagReader, frame_key
from hoi_perception.replay.message_types import DETECTIONS, EVENT, LATENCIES, MASKS
from PIL import Image
import pytest
from ros_graph import free_domain, ROOT
from shared_data import require_shared

LIMIT_S = 150
# One worker runs them all, because they share a demo that takes a while.
pytestmark = pytest.mark.xdist_group('demo')
MARK = 'HOI_TEST_MARK'


class Demo:
    """`hoi demo` as users run it, in its own process, marked so that its children are found."""

    def __init__(self, bundle, out, *arguments):
        self.mark = uuid.uuid4().hex
        command = [sys.executable, '-m', 'hoi_perception.cli', 'demo', '--out', str(out),
                   '--domain', str(free_domain()), *map(str, arguments)]
        if bundle is not None:
            command += ['--bundle', str(bundle.path)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env={**os.environ, MARK: self.mark, 'OMP_NUM_THREADS': '1'},
            # Where the tests themselves run in the background, SIGINT would be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def finish(self):
        try:
            out, err = self.process.communicate(timeout=LIMIT_S)
        finally:
            self.process.kill()
        return self.process.returncode, out, err

    def children(self):
        """Return the modules that run as children, read from the process table."""
        found = set()
        for directory in Path('/proc').glob('[0-9]*'):
            try:
                if int(directory.name) == self.process.pid or \
                        f'{MARK}={self.mark}'.encode() not in (directory / 'environ').read_bytes():
                    continue
                words = (directory / 'cmdline').read_bytes().split(b'\0')
            except OSError:
                continue
            found.update(word.decode() for word in words if word.startswith(b'hoi_perception.'))
        return found - {'hoi_perception.cli'}

    def wait_for_children(self, wanted, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if len(self.children()) == wanted:
                return True
            time.sleep(0.1)
        return False


@pytest.fixture(scope='module')
def played(bundle, tmp_path_factory):
    """A demo of twelve frames, one of them unreadable; returns exit code, outputs and folder."""
    directory = tmp_path_factory.mktemp('demo')
    bag = demo_bag(directory / 'bag', frames=12, spoiled=(2,))
    code, out, err = Demo(bundle, directory / 'out', '--bag', bag).finish()
    assert code == 0, out + err
    return bag, directory / 'out', out


def test_every_readable_frame_is_answered_once_with_its_own_header(played):
    bag, out, _ = played
    with BagReader(bag) as reader:
        keys = [frame.key for frame in reader.frames()]
    del keys[2]
    with BagReader(out / 'results') as reader:
        for type_ in (DETECTIONS, MASKS, LATENCIES):
            topic, = reader.topics_of_type(type_)
            assert [frame_key(m.header) for _, m in reader.messages(topic)] == keys, type_


def test_summary_counts_frames_latencies_and_versions(played):
    _, out, _ = played
    summary = json.loads((out / 'summary.json').read_text())
    assert (summary['frames_in'], summary['frames_out'], summary['frames_dropped']) == (12, 11, 1)
    assert summary['prompt_versions'] == [1, 2, 3]
    # Frames 6 to 8 were computed with other verbs, frame 2 could not be read.
    assert summary['triplet_map_frames'] == 8 and 0 <= summary['triplet_map'] <= 1
    latency = summary['latency_ms']
    assert 0 < latency['p50'] <= latency['p95'] < 60_000
    assert {'decode', 'detect', 'interact', 'publish'} <= set(latency['stages'])
    assert summary['machine']['cores'] == os.cpu_count()


def test_events_are_recorded_and_counted(played):
    _, out, _ = played
    with BagReader(out / 'results') as reader:
        topic, = reader.topics_of_type(EVENT)
        events = [message for _, message in reader.messages(topic)]
    assert json.loads((out / 'summary.json').read_text())['events_out'] == len(events) > 0
    assert {event.kind for event in events} <= {0, 1}


def test_verbs_change_while_running_and_results_carry_the_new_names(played):
    _, out, _ = played
    summary = json.loads((out / 'summary.json').read_text())
    assert [change['accepted'] for change in summary['verb_changes']] == [True, True]
    assert summary['verbs'] == {'1': ['ride', 'hold', 'push'], '2': ['ride', 'push', 'reach for'],
                                '3': ['ride', 'hold', 'push']}
    names = {1: set(), 2: set(), 3: set()}
    with BagReader(out / 'results') as reader:
        for _, message in reader.messages(reader.topics_of_type(DETECTIONS)[0]):
            names[message.prompt_version].update(t.verb_name for t in message.triplets)
    assert 'hold' in names[1] and 'hold' in names[3]
    for version, seen in names.items():
        assert seen and seen <= set(summary['verbs'][str(version)]), version


def test_overlay_is_an_animation_of_moderate_size(played):
    _, out, _ = played
    assert (out / 'overlay.gif').stat().st_size <= 6_000_000
    with Image.open(out / 'overlay.gif') as gif:
        assert gif.n_frames >= 8


def test_report_is_printed_in_words(played):
    text = played[2]
    for words in ('frames in / out / dropped', '12 / 11 / 1', 'latency p50 / p95', 'triplet mAP',
                  'prompt version 2'):
        assert words in text


@pytest.mark.parametrize('bag, frames', [('vcoco_photos_compressed_mcap', 10),
                                         ('trimmed_locoffice_sqlite3', 3)])
def test_real_camera_frames_are_all_answered(bundle, tmp_path, bag, frames):
    path = require_shared(f'data/bags/{bag}')
    code, out, err = Demo(bundle, tmp_path, '--bag', path, '--rate', '4').finish()
    assert code == 0, out + err
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert (summary['frames_in'], summary['frames_out']) == (frames, frames)
    assert summary['triplet_map'] is None


def refused(*arguments, bundle=None):
    code, out, err = Demo(bundle, *arguments).finish()
    assert code == 2, out + err
    assert 'Traceback' not in err + out
    return err


@pytest.mark.parametrize('bag', ['plotjuggler_rosbag2_test', 'rosbag2_empty_sqlite3',
                                 'rosbag2_talker_mcap', 'rosbag2_talker_sqlite3'])
def test_bag_without_images_ends_with_code_2_and_a_sentence(tmp_path, bag):
    path = require_shared(f'data/bags/native_noimage/{bag}')
    assert 'has no camera images' in refused(tmp_path, '--bag', path)


def test_bad_arguments_end_with_code_2_and_a_sentence(tmp_path, bundle):
    bag = demo_bag(tmp_path / 'bag', frames=1)
    (tmp_path / 'file').write_text('')
    assert 'does not exist' in refused(tmp_path / 'out', '--bag', tmp_path / 'absent')
    assert '/camera/image/compressed' in refused(
        tmp_path / 'out', '--bag', bag, '--image-topic', '/other')
    assert 'above 0' in refused(tmp_path / 'out', '--bag', bag, '--rate', '0')
    assert 'bundle.yaml' in refused(tmp_path / 'out', '--bag', bag, '--bundle', tmp_path)
    assert 'cannot write' in refused(tmp_path / 'file', '--bag', bag, bundle=bundle)


def test_node_that_cannot_start_ends_the_demo_with_its_last_words(tmp_path):
    bag = demo_bag(tmp_path / 'bag', frames=2)
    (tmp_path / 'broken').mkdir()
    (tmp_path / 'broken' / 'bundle.yaml').write_text('schema: 99\n')
    demo = Demo(None, tmp_path / 'out', '--bag', bag, '--bundle', tmp_path / 'broken')
    code, out, err = demo.finish()
    assert code == 1, out + err
    assert 'The node ended' in err and 'Traceback' not in err
    assert demo.children() == set()


@pytest.mark.parametrize('number, moment', [
    (signal.SIGINT, 'starting'), (signal.SIGKILL, 'starting'), (signal.SIGINT, 'playing'),
    (signal.SIGTERM, 'playing')])
def test_no_child_outlives_the_demo(bundle, tmp_path, number, moment):
    bag = demo_bag(tmp_path / 'bag', frames=200)
    demo = Demo(bundle, tmp_path / 'out', '--bag', bag)
    assert demo.wait_for_children(3, 60)
    if moment == 'playing':
        while 'frames answered' not in demo.process.stdout.readline():
            assert demo.process.poll() is None
    demo.process.send_signal(number)
    demo.process.wait(20)
    assert demo.wait_for_children(0, 10), demo.children()
    if number != signal.SIGKILL:
        assert demo.process.returncode == 130
        assert 'Traceback' not in demo.process.stderr.read()


def test_bag_with_damaged_messages_ends_with_code_2_and_a_sentence(bundle, tmp_path):
    from hoi_perception.replay.bag_writer import BagWriter
    from hoi_perception.replay.message_types import COMPRESSED_IMAGE
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_serialized('/camera/image/compressed', COMPRESSED_IMAGE, 1, b'\x00\x01\x00')
    assert 'cannot be read' in refused(tmp_path / 'out', '--bag', tmp_path / 'bag', bundle=bundle)


def test_at_the_speed_of_the_bag_lost_frames_are_counted(bundle, tmp_path):
    bag = demo_bag(tmp_path / 'bag', frames=40, period_ns=1_000_000)
    code, out, err = Demo(bundle, tmp_path / 'out', '--bag', bag, '--realtime').finish()
    assert code == 0, out + err
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    # A thousand frames a second is more than the node computes: it answers the newest.
    assert summary['frames_in'] == 40 and 0 < summary['frames_out'] < 40
    assert summary['frames_in'] == summary['frames_out'] + summary['frames_dropped']
    assert summary['pacing'] == {'rate': 1.0, 'waits_for_answers': False}


def test_demo_without_any_answer_fails_and_shows_what_the_node_said(bundle, tmp_path):
    bag = demo_bag(tmp_path / 'bag', frames=1, spoiled=(0,))
    code, out, err = Demo(bundle, tmp_path / 'out', '--bag', bag).finish()
    assert code == 1, out + err
    assert 'answered none of the 1 frames' in err and 'readable JPEG' in err
    assert json.loads((tmp_path / 'out' / 'summary.json').read_text())['frames_dropped'] == 1
