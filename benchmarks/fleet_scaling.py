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
How much faster a fleet of bags is with more workers: frames per second over the whole run.

    python -m benchmarks.fleet_scaling [--bags 4] [--stride 2] [--workers 1 2]

Every bag is a copy of the shipped demo bag, replayed on the CPU with one thread per worker. The
time is that of the whole command's work: Ray's start, loading in each worker, replay and reports.
Results bags of all runs must be equal byte for byte.
"""

import argparse
from functools import partial
from hashlib import sha256
import json
import os
from pathlib import Path
import shutil
import tempfile
import time

# Workers inherit it; one thread each, so that workers and not threads are compared.
os.environ['OMP_NUM_THREADS'] = '1'

from benchmarks.machine import machine


def measure(bags, out: Path, workers: int, stride: int) -> dict:
    """Replay the bags with so many workers; return times and the digests of the results."""
    from hoi_perception.fleet_cli import replay_bag
    from hoi_perception.replay.fleet import FleetOptions, run_fleet
    from hoi_perception.replay.inputs import Selection
    from hoi_perception.replay.options import ReplayOptions
    options = ReplayOptions(tuple(bags), out, device='cpu', selection=Selection(stride=stride))
    started = time.perf_counter()
    rows = run_fleet(bags, out, partial(replay_bag, options), FleetOptions(workers), print)
    seconds = time.perf_counter() - started
    failed = [row.error for row in rows if not row.ok]
    if failed:
        raise SystemExit(f'a bag failed: {failed[0]}')
    frames = sum(row.frames for row in rows)
    digests = {sha256(path.read_bytes()).hexdigest() for path in out.glob('*/results/*.mcap')}
    return {'workers': workers, 'seconds': round(seconds, 2), 'frames': frames,
            'frames_per_second': round(frames / seconds, 2),
            'seconds_per_bag': round(sum(row.seconds for row in rows) / len(rows), 2),
            'results': sorted(digests)}


def main(arguments=None) -> dict:
    """Measure, print and return the report."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--bags', type=int, default=4)
    parser.add_argument('--stride', type=int, default=2)
    parser.add_argument('--workers', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--output', type=Path)
    chosen = parser.parse_args(arguments)
    from hoi_perception.replay.sample_frames import shipped_bag
    before = machine()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        bags = [Path(shutil.copytree(shipped_bag(), root / f'bag_{n}'))
                for n in range(chosen.bags)]
        runs = [measure(bags, root / f'out_{count}', count, chosen.stride)
                for count in chosen.workers]
    equal = len({digest for run in runs for digest in run.pop('results')}) == 1
    report = {'machine': before, 'bags': chosen.bags, 'stride': chosen.stride, 'runs': runs,
              'times_as_fast': round(runs[0]['seconds'] / runs[-1]['seconds'], 2),
              'results_equal': equal}
    text = json.dumps(report, indent=2)
    print(text)
    if chosen.output:
        chosen.output.write_text(text + '\n')
    return report


if __name__ == '__main__':
    main()
