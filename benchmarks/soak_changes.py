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

"""What the soak sets parameters to, valid and not, in an order that follows from a seed."""

import random
from typing import Any, Dict, NamedTuple, Tuple

from hoi_perception.ros.parameters import DEFAULTS

# `hold` is in each of them, so that a filter can always name it.
VERBS = ([''], ['hold', 'touch', 'look at'], ['hold'], ['hold', 'carry: box, cart', 'feed: dog'],
         ['hold', 'kick: ball', 'ride', 'stand next to', 'walk: dog', 'read: book'],
         ['hold', 'no_interaction'])
TEMPLATES = ('', 'a person {verb} {article} {object}', 'somebody {verb} something')

LIVE: Dict[str, Tuple] = {
    'verbs': VERBS, 'template': TEMPLATES, 'class_filter': ([''], ['cup', 'umbrella'], ['person']),
    'verb_filter': ([''], ['hold']), 'instance_threshold': (-1.0, 0.0, 0.05, 0.3, 0.7, 1.0),
    'triplet_threshold': (-1.0, 0.0, 0.2, 1.0), 'max_triplets': (1, 7, 50, 200),
    'pair_budget': (0, 1, 5, 10000), 'max_humans': (1, 3, 15, 100), 'max_objects': (1, 3, 15, 100),
    'enabled': (True, False), 'lazy': (True, False), 'max_rate': (0.0, 0.5, 5.0, 1000.0),
    'max_age': (0.0, 0.05, 0.5, 3600.0), 'track': (True, False),
    'track_max_age': (0.0, 0.3, 2.0), 'event_on': (-1.0, 0.1, 0.6), 'event_off': (-1.0, 0.05),
    'event_on_time': (0.0, 0.3), 'event_off_time': (0.0, 0.5), 'event_smoothing': (0.0, 0.2),
    'masks': (True, False), 'overlay': (True, False), 'depth_tolerance': (0.0, 0.02, 1.0),
    'max_pixels': (1, 90000, 33177600)}
CALM = {name: list(DEFAULTS[name]) if isinstance(DEFAULTS[name], tuple) else DEFAULTS[name]
        for name in LIVE}
INVALID: Tuple[Dict[str, Any], ...] = (
    {'instance_threshold': 2.0}, {'instance_threshold': 'high'}, {'verbs': ['run', 'run']},
    {'verbs': ['a\tb']}, {'verbs': ['x' * 65]}, {'template': 'no verb here'},
    {'template': '{verb} {nobody}'}, {'template': '{verb.__class__.__mro__}' + 300 * 'x'},
    {'nonsense': 1}, {'bundle': '/tmp'}, {'cameras': ['other']}, {'max_humans': 0},
    {'max_humans': 1.5}, {'class_filter': ['']*2}, {'disabled_cameras': ['nobody']},
    {'max_age': float('nan')}, {'max_rate': -1.0}, {'event_on': 0.2, 'event_off': 0.9},
    {'max_pixels': 2 ** 40}, {'verb_filter': ['unicorn']}, {'pair_budget': -1})


class Change(NamedTuple):
    """Parameters to set at once, and whether they must be accepted."""

    values: Dict[str, Any]
    valid: bool


class Changes:
    """The next change of a node, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._restricted = False

    def next(self) -> Change:
        """Return a change; one that stops the frames is followed by one that lets them flow."""
        if self._restricted or self.random.random() < 0.2:
            self._restricted = False
            return Change({**CALM, 'disabled_cameras': ['']}, True)
        if self.random.random() < 0.3:
            # Something good in the same request must not be applied either.
            return Change({**self.random.choice(INVALID), 'max_triplets': 3}, False)
        names = self.random.sample(list(LIVE), self.random.choice((1, 1, 2, 4)))
        values = {name: self.random.choice(LIVE[name]) for name in names}
        self._restricted = bool({'enabled', 'lazy', 'max_rate', 'max_age', 'max_pixels'} &
                                set(values))
        if 'verbs' in values:
            values['verb_filter'] = ['']
        return Change(values, True)
