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
Measure whether two cameras get what is fair, and never each other's results.

    python -m benchmarks.fairness [--seconds 20]

Fair is max-min fair: a camera that asks for less than an equal share gets all it asks for, and the
rest goes to the other. Shares are those of the frames that were answered; demands are those that
were sent.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Dict

from benchmarks.machine import machine
from benchmarks.soak_meter import Meter, running_node

RESULTS = Path(__file__).resolve().parent / 'results'
FAST, SLOW = 'fast', 'slow'
SCENES = {'both want more than half': (2.0, 0.75), 'one wants less than half': (2.0, 0.25),
          'both can be served': (0.4, 0.2)}
"""Demands of the two cameras, in capacities of the node."""
TARGET = 0.15


def max_min_shares(total: float, demands: Dict[str, float]) -> Dict[str, float]:
    """Return the max-min fair division of a total among demands."""
    shares: Dict[str, float] = {}
    for left, name in zip(range(len(demands), 0, -1), sorted(demands, key=demands.__getitem__)):
        shares[name] = min(demands[name], (total - sum(shares.values())) / left)
    return shares


def judge(answered: Dict[str, float], demands: Dict[str, float]) -> Dict[str, object]:
    """Return rates, fair shares of what was answered in all, and the worst deviation."""
    fair = max_min_shares(sum(answered.values()), demands)
    worst = max(abs(answered[name] - fair[name]) / fair[name] if fair[name] else 1.0
                for name in fair)
    return {'sent_hz': {k: round(v, 2) for k, v in demands.items()},
            'answered_hz': {k: round(v, 2) for k, v in answered.items()},
            'fair_hz': {k: round(v, 2) for k, v in fair.items()},
            'worst_deviation': round(worst, 4)}


def main(argv=None) -> Dict[str, object]:
    """Measure, write and return the report."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--seconds', type=float, default=20.0)
    parser.add_argument('--bundle', default='', help='[shipped one]')
    parser.add_argument('--engine', default='auto')
    parser.add_argument('--out', type=Path, default=RESULTS / 'fairness.json')
    options = parser.parse_args(argv)
    cores = sorted(os.sched_getaffinity(0))[:2]
    report: Dict[str, object] = {'machine': machine(), 'engine': options.engine,
                                 'seconds': options.seconds}
    parameters = [f"cameras:=['{FAST}','{SLOW}']", f'engine:={options.engine}',
                  *([f'bundle:={options.bundle}'] if options.bundle else [])]
    with running_node(parameters, cores if len(cores) == 2 else ()) as (_, domain):
        meter = Meter(domain, [FAST, SLOW])
        meter.wait_until_heard()
        capacity = report['capacity_hz'] = meter.capacity(options.seconds / 2)
        scenes = {}
        for scene, demands in SCENES.items():
            measured = meter.run(dict(zip((FAST, SLOW), (d * capacity for d in demands))),
                                 options.seconds)
            found = {name: one.summary() for name, one in measured.items()}
            scenes[scene] = {
                **judge({name: one['answered_hz'] for name, one in found.items()},
                        {name: one['sent_hz'] for name, one in found.items()}),
                'p95_ms': {name: one['p95_ms'] for name, one in found.items()},
                'swapped': sum(one['swapped'] for one in found.values())}
        meter.close()
    worst = max(scene['worst_deviation'] for scene in scenes.values())
    report.update(scenes=scenes, swapped=sum(scene['swapped'] for scene in scenes.values()),
                  worst_deviation=worst, target=TARGET, holds=worst <= TARGET)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + '\n')
    print(json.dumps(report, indent=2))
    return report


if __name__ == '__main__':
    main()
