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

"""The names of V-COCO: 26 actions with their roles, and the 24 of them that make pairs."""

from functools import lru_cache
from importlib.resources import files
import json
from typing import Any, Dict, Tuple

from hoi_perception.evaluation.datasets.names import HoiNames
import numpy as np

LEFT_OUT = 'point instr'
"""The 25th verb: few examples, left out by the instances form and by most papers."""


@lru_cache(maxsize=1)
def vcoco_names() -> HoiNames:
    """
    Return 80 COCO objects (person is 0), 24 verbs 'action role' and their 236 combinations.

    The combinations are those that occur in the annotation; an action with two roles is two
    verbs ('cut instr', 'cut obj').
    """
    raw = _raw()
    combinations = np.array(raw['combinations'], np.int64)
    combinations.setflags(write=False)
    return HoiNames(tuple(raw['objects']), tuple(raw['verbs']), tuple(raw['phrases']),
                    combinations, raw['objects'].index('person'))


def vcoco_actions() -> Tuple[Tuple[str, Tuple[str, ...]], ...]:
    """Return the 26 actions in official order, each with its roles besides the agent's."""
    return tuple((action, tuple(roles)) for action, roles in _raw()['actions'])


@lru_cache(maxsize=1)
def _raw() -> Dict[str, Any]:
    raw: Dict[str, Any] = json.loads(files(__package__).joinpath('vcoco_names.json').read_text())
    return raw
