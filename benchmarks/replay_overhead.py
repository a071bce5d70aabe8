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

"""
What a replay costs beside decoding and the pipeline, and whether its memory stays the same.

    python -m benchmarks.replay_overhead [--frames 18000] [--bundle DIRECTORY] [--threads 2]

The bag is made from the pictures of the shipped one, again and again, 640x480 JPEG at 30 frames
per second; 18000 frames are ten minutes. Overhead is the share of the wall time of the replay
(reading the bag, tracking, messages, results bag, records, journal; the report is not part of it)
that is neither decoding nor the pipeline, both measured in the same run. Loading the model and
hashing the inputs are reported apart.
"""

import argparse
import json
from pathlib import Path
import resource
import tempfile
import time

from benchmarks.machine import machine
import numpy as np

PERIOD_NS = 33_333_333
OVERHEAD_STAGES = ('track', 'convert')


def make_bag(path: Path, frames: int) -> Path:
    """Write a long bag; the headers follow the recording, so that tracking has work to do."""
    from hoi_perception.replay.bag_reader import BagReader
    from hoi_perception.replay.bag_writer import BagWriter
    from hoi_perception.replay.message_types import COMPRESSED_IMAGE
    from hoi_perception.replay.sample_frames import shipped_bag
    with BagReader(shipped_bag()) as reader:
        pictures = [frame.message.data for frame in reader.frames()]
    with BagWriter(path) as writer:
        make = writer.message
        for index in range(frames):
            now = 10 ** 12 + index * PERIOD_NS
            sec, nanosec = divmod(now, 10 ** 9)
            header = make('std_msgs/msg/Header', frame_id='camera',
                          stamp=make('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec))
            writer.write('/camera/image/compressed', COMPRESSED_IMAGE, now, make(
                COMPRESSED_IMAGE, header=header, format='jpeg',
                data=pictures[index % len(pictures)]))
    return path


def resident_mib() -> float:
    """Return the resident memory of this process (Linux)."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 2 ** 20


def measure(bag: Path, out: Path, bundle: Path, every: int) -> dict:
    """Replay the bag and return the figures."""
    from hoi_perception.replay.options import ReplayOptions, Watch
    from hoi_perception.replay.records import iterate_frames
    from hoi_perception.replay.run import replay

    class Memory(Watch):
        def __init__(self) -> None:
            self.samples, self.begun = [], 0.0

        def begin(self, frames) -> None:
            self.begun = time.perf_counter()

        def frame(self, record, again) -> None:
            if record.index % every == 0:
                self.samples.append((record.index, resident_mib()))

    watch, started = Memory(), time.perf_counter()
    done = replay(ReplayOptions((bag,), out, bundle, device='cpu', report=False), watch)
    wall = done.info.wall_seconds
    stages: dict = {}
    for record in iterate_frames(out):
        for name, value in record.stages.items():
            stages.setdefault(name, []).append(value)
    seconds = {name: 1e-3 * float(np.sum(values)) for name, values in stages.items()}
    needed = sum(value for name, value in seconds.items() if name not in OVERHEAD_STAGES)
    index, memory = np.array(watch.samples).T
    late = index >= index[-1] / 5  # allocators settle first
    slope = np.polyfit(index[late], memory[late], 1)[0] if late.sum() > 2 else 0.0
    return {
        'frames': sum(done.counts.values()), 'counts': done.counts,
        'bag_mb': round(sum(f.stat().st_size for f in bag.iterdir()) / 1e6, 1),
        'results_mb': round(sum(f.stat().st_size for f in (out / 'results').iterdir()) / 1e6, 1),
        'before_the_first_frame_s': round(watch.begun - started, 2),
        'wall_s': round(wall, 2), 'decode_and_pipeline_s': round(needed, 2),
        'frames_per_second': round(sum(done.counts.values()) / wall, 1),
        'overhead_percent': round(100 * (wall - needed) / wall, 2),
        'stages_p50_ms': {name: round(float(np.median(values)), 3)
                          for name, values in stages.items()},
        'memory_mib': {'first': round(memory[0], 1), 'after_a_fifth': round(memory[late][0], 1),
                       'last': round(memory[-1], 1),
                       'growth_per_1000_frames': round(1000 * slope, 3),
                       'peak': round(
                           resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}}


def main(arguments=None) -> dict:
    """Parse arguments, measure, print and return the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--frames', type=int, default=18000)
    parser.add_argument('--bundle', type=Path)
    parser.add_argument('--threads', type=int, default=2)
    options = parser.parse_args(arguments)
    import torch
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as directory:
        bag = make_bag(Path(directory) / 'bag', options.frames)
        report = {'machine': machine(), 'threads': options.threads,
                  **measure(bag, Path(directory) / 'out', options.bundle,
                            max(1, options.frames // 200))}
    print(json.dumps(report, indent=2))
    return report


if __name__ == '__main__':
    main()
