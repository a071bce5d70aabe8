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

"""The names of HICO-DET, its 600 HOI classes and how often each was annotated for training."""

from functools import lru_cache
from importlib.resources import files
import json
from typing import Any, Dict, List

from hoi_perception.evaluation.datasets.names import HoiNames
import numpy as np

RARE_BELOW = 10
"""A class with fewer annotated training pairs is 'rare' (HICO-DET)."""


@lru_cache(maxsize=1)
def hico_names() -> HoiNames:
    """
    Return 80 objects in COCO order (person is 0), 117 verbs and the 600 classes in order.

    Phrases are spelled as LAIN's prompts spell them ('controling'); `no_interaction` is 'and'.
    """
    raw = _raw()
    return HoiNames(tuple(raw['objects']), tuple(raw['verbs']), tuple(raw['phrases']),
                    _constant(raw['combinations']), raw['objects'].index('person'))


def training_counts() -> np.ndarray:
    """Return the number of annotated training pairs per class, (600,) int64."""
    return _constant(_raw()['train_counts'])


def rare_classes() -> np.ndarray:
    """Return the 138 classes with fewer than 10 training pairs, (138,) int64, ascending."""
    return np.flatnonzero(training_counts() < RARE_BELOW)


def no_interaction_classes() -> np.ndarray:
    """Return the 80 classes whose verb is `no_interaction`, (80,) int64, ascending."""
    names = hico_names()
    return np.flatnonzero(names.combinations[:, 0] == names.verbs.index('no_interaction'))


@lru_cache(maxsize=1)
def _raw() -> Dict[str, Any]:
    text = files(__package__).joinpath('hico_det_names.json').read_text()
    raw: Dict[str, Any] = json.loads(text)
    return raw


def _constant(values: List[Any]) -> np.ndarray:
    array = np.array(values, np.int64)
    array.setflags(write=False)
    return array
