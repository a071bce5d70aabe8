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

"""What may change while a pipeline runs."""

from dataclasses import dataclass
from functools import lru_cache
import math
from typing import Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.vocabulary import same_name
import numpy as np

MAX_TRIPLETS = 200
"""Triplets that are ranked per image; how many of them count is decided on the host."""


@dataclass(frozen=True)
class PipelineOptions:
    """
    What may change while the pipeline runs; None (or NaN) means the bundle's value.

    instance_threshold, triplet_threshold: scores in 0..1. max_triplets: most triplets per frame.
    pair_budget: most pairs scored per frame, at most the largest bucket. max_humans, max_objects,
    min_per_side: bounds of the selection (UPT: 15, 15, 3). masks: instance, union and
    intersection masks. human_exponent, object_exponent: powers of the detector's scores. classes:
    only objects of these names are kept and paired, people are always kept. verbs: only triplets
    with these are kept, of the best ones that there are without.
    """

    instance_threshold: Optional[float] = None
    triplet_threshold: Optional[float] = None
    max_triplets: int = 50
    pair_budget: Optional[int] = None
    max_humans: int = 15
    max_objects: int = 15
    min_per_side: int = 3
    masks: bool = True
    human_exponent: Optional[float] = None
    object_exponent: Optional[float] = None
    classes: Optional[Tuple[str, ...]] = None
    verbs: Optional[Tuple[str, ...]] = None

    def __post_init__(self) -> None:
        for name, low, high in (('instance_threshold', 0, 1), ('triplet_threshold', 0, 1),
                                ('human_exponent', 0, 20), ('object_exponent', 0, 20),
                                ('max_triplets', 1, MAX_TRIPLETS), ('pair_budget', 1, 10000),
                                ('max_humans', 1, 100), ('max_objects', 1, 100),
                                ('min_per_side', 0, 100)):
            value = getattr(self, name)
            if _given(value) is not None and not low <= value <= high:
                raise HoiError(f'{name} is {value}, expected {low} to {high}.')


def _given(value: Optional[float]) -> Optional[float]:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else value


def value_or(value: Optional[float], default: float) -> float:
    """Return an option's value, the default where it is None or NaN."""
    given = _given(value)
    return default if given is None else given


@lru_cache(maxsize=8)
def wanted(names: Tuple[str, ...], chosen: Optional[Tuple[str, ...]]) -> Optional[np.ndarray]:
    """Return which of the names are among the chosen ones, (n,) bool; None = all."""
    if chosen is None:
        return None
    keys = {same_name(name) for name in chosen}
    return np.array([same_name(name) in keys for name in names], dtype=bool)


DEFAULTS = PipelineOptions()
