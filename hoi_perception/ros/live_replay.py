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

"""A bag played through the real node over DDS, at its own speed, beside its replay."""

from dataclasses import asdict
import json
from pathlib import Path

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.agreement import Agreement, agreement
from hoi_perception.replay.inputs import bags_in
from hoi_perception.replay.options import ReplayOptions
from hoi_perception.replay.records import RESULTS
from hoi_perception.ros.demo import DemoOptions, run_demo

LIVE = 'live'
FILE = 'live.json'


def check_live(options: ReplayOptions) -> Path:
    """Return the one bag that can be played live; raises `HoiError` where it cannot."""
    bags = [bag for path in options.bags for bag in bags_in(path)]
    if len(bags) != 1:
        raise HoiError(f'--live plays one bag, {len(bags)} were given: call it once per bag.')
    chosen = options.selection
    if chosen.start or chosen.end is not None or chosen.stride != 1:
        raise HoiError('--live plays a bag from its beginning to its end: leave out --start, '
                       '--end and --stride.')
    if options.instances:
        raise HoiError('--live plays camera frames only: leave out --instances.')
    return bags[0]


def play_live(options: ReplayOptions) -> Agreement:
    """
    Play the bag of a finished replay through a node of its own and compare what both say.

    The node runs with the bundle, head, verbs, engine and device of the replay. Writes the
    demo's files into `out/live` and the comparison into `out/live.json`. Raises `HoiError`, and
    `DemoFailed` where a process fails or nothing is answered.
    """
    asked = {'engine': options.engine, 'device': options.device, 'head': options.head,
             'template': options.template, 'verbs': list(options.verbs)}
    run_demo(DemoOptions(
        check_live(options), options.out / LIVE, options.bundle, options.selection.image_topic,
        realtime=True, show=False,
        parameters={name: value for name, value in asked.items() if value}))
    found = agreement(options.out / RESULTS, options.out / LIVE / RESULTS)
    (options.out / FILE).write_text(json.dumps(asdict(found), indent=1) + '\n', encoding='utf-8')
    return found
