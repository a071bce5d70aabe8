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

"""Which instances of an image count, and what stands for boxes from outside."""

from hoi_perception.core.scene import Instances
from hoi_perception.runtime.detect_stage import Found
from hoi_perception.runtime.selection import queries_for
import numpy as np


def test_a_given_box_over_nothing_has_no_query():
    found = Found(Instances([[0, 0, 10, 10], [50, 50, 90, 90]], [0.9, 0.8], [0, 1]),
                  np.array([7, 4]))
    given = Instances([[51, 50, 90, 90], [51, 50, 90, 90], [0, 0, 10, 9], [200, 0, 210, 10]],
                      [1.0] * 4, [1, 0, 0, 0])
    assert queries_for(given, found).tolist() == [4, -1, 7, -1]
    assert queries_for(given, Found(Instances.empty(), np.zeros(0, np.int64))).tolist() == [-1] * 4
