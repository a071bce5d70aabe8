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

"""Replays of short bags with the tiny bundle, for the tests of `hoi_perception.replay`."""

from bags import header, jpeg, NAN3
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import COMPRESSED_IMAGE, INSTANCES
from hoi_perception.replay.options import ReplayOptions, Watch
from hoi_perception.replay.run import replay

TOPIC = '/camera/image/compressed'


class StopAfter(Watch):
    """Presses Ctrl-C after so many frames."""

    def __init__(self, frames):
        self.left = frames

    def frame(self, record, again):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def still_bag(path, frames, storage='mcap', period_ns=100_000_000, stamps=None):
    """Write the same picture again and again, so that people stay and interactions begin."""
    picture = jpeg(3)
    with BagWriter(path, storage) as writer:
        for i in range(frames):
            time = 50 * 10**9 + i * period_ns
            stamp = divmod(time if stamps is None else stamps[i], 10**9)
            writer.write(TOPIC, COMPRESSED_IMAGE, time, writer.message(
                COMPRESSED_IMAGE, header=header(writer, *stamp), format='jpeg', data=picture))
    return path


def write_boxes(path, frames, name, late_ns=0, missing=()):
    """Add a topic of boxes with the stamps of a still bag, in a bag with its frames."""
    source = still_bag(path.parent / 'frames', frames)
    with BagWriter(path) as writer, BagReader(source) as reader:
        for i, frame in enumerate(reader.frames()):
            writer.write_serialized(TOPIC, frame.type, frame.log_time, frame.serialized)
            if i not in missing:
                person = writer.message(
                    'hoi_msgs/msg/Instance', 1.0, 2.0, 90.0, 95.0, 0.9, 0, 'person', 41,
                    NAN3, NAN3)
                thing = writer.message(
                    'hoi_msgs/msg/Instance', 5.0, 5.0, 60.0, 60.0, 0.8, 0, name, 42,
                    NAN3, NAN3)
                writer.write('/boxes', INSTANCES, frame.log_time + late_ns, writer.message(
                    INSTANCES, header=header(writer, *frame.key), instances=[person, thing]))
    return path


def run(bundle, out, *bags, watch=None, **options):
    """Replay on the CPU without a report."""
    asked = ReplayOptions(bags, out, bundle, device='cpu', report=False, **options)
    return replay(asked, watch or Watch())


def files_of(directory):
    """Return the content of every file below a directory by name."""
    return {str(path.relative_to(directory)): path.read_bytes()
            for path in sorted(directory.rglob('*')) if path.is_file()}
