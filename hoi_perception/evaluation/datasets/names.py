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

"""The names of a data set, and the orders that its indices refer to."""

from dataclasses import dataclass
from typing import Tuple

import numpy as np


@dataclass(frozen=True)
class HoiNames:
    """
    Names of a data set; indices everywhere refer to these orders.

    phrases: the form of each verb that goes into a prompt ('riding'), parallel to `verbs`.
    combinations: (C, 2) int64 rows (verb, object), the HOI classes in order. human: index of the
    object that acts.
    """

    objects: Tuple[str, ...]
    verbs: Tuple[str, ...]
    phrases: Tuple[str, ...]
    combinations: np.ndarray
    human: int

    def class_table(self) -> np.ndarray:
        """Return (verbs, objects) int64: the HOI class of each pair of names, -1 = none."""
        table = np.full((len(self.verbs), len(self.objects)), -1, np.int64)
        table[self.combinations[:, 0], self.combinations[:, 1]] = np.arange(
            len(self.combinations))
        return table
