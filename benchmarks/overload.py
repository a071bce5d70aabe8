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
Latency when five times more frames come than can be computed.

    python -m benchmarks.overload [--seconds 20] [--rounds 3]

Node and publisher are each pinned to a core. Latency: from the stamp of the image to the receipt
of its result in the publisher's process. `at capacity` and `overload` take turns, so that a
machine that grows warm or busy treats both alike.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Dict, List

from benchmarks.machine import machine
from benchmarks.soak_meter import Measured, Meter, running_node

RESULTS = Path(__file__).resolve().parent / 'results'
FACTOR = 5
TARGET = 1.3


def pooled(rounds: List[Measured]) -> Dict[str, object]:
    """Return the summary of several rounds taken together, and the p95 of each."""
    whole = Measured(sum(r.seconds for r in rounds), sum(r.sent for r in rounds),
                     sum(r.answered for r in rounds), sum(r.swapped for r in rounds),
                     [latency for r in rounds for latency in r.latencies_ms])
    return {**whole.summary(), 'p95_ms_of_rounds': [r.summary()['p95_ms'] for r in rounds]}


def main(argv=None) -> Dict[str, object]:
    """Measure, write and return the report."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--seconds', type=float, default=20.0)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--bundle', default='', help='[shipped one]')
    parser.add_argument('--engine', default='auto')
    parser.add_argument('--out', type=Path, default=RESULTS / 'overload.json')
    options = parser.parse_args(argv)
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit('overload: node and publisher need a core each, this machine gives one.')
    report: Dict[str, object] = {'machine': machine(), 'engine': options.engine, 'cores': cores,
                                 'seconds': options.seconds, 'rounds': options.rounds}
    parameters = [f'engine:={options.engine}',
                  *([f'bundle:={options.bundle}'] if options.bundle else [])]
    with running_node(parameters, cores) as (_, domain):
        meter = Meter(domain, [''])
        meter.wait_until_heard()
        capacity = meter.capacity(options.seconds / 2)
        rounds = {name: [] for name in ('at_capacity', 'overload')}
        for _ in range(options.rounds):
            rounds['at_capacity'].append(meter.run({'': capacity}, options.seconds)[''])
            rounds['overload'].append(meter.run({'': FACTOR * capacity}, options.seconds)[''])
        meter.close()
    found = {name: pooled(measured) for name, measured in rounds.items()}
    ratio = found['overload']['p95_ms'] / found['at_capacity']['p95_ms']
    report.update(capacity_hz=round(capacity, 2), factor=FACTOR, **found,
                  p95_ratio=round(ratio, 3), target=TARGET, holds=ratio <= TARGET)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + '\n')
    print(json.dumps(report, indent=2))
    return report


if __name__ == '__main__':
    main()
