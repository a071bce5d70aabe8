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

"""Does a bundle run? What `hoi bundle verify` does beyond hashes."""

from typing import Tuple

from hoi_perception.core.scene import Instances
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.pipeline import HoiPipeline
from hoi_perception.runtime.stage_engines import EngineOptions
import numpy as np


def verify_heads(bundle: Bundle) -> Tuple[str, ...]:
    """
    Run a grey image, detected and with two given people, through every head; return their names.

    Raises `HoiError` with one sentence where something does not fit.
    """
    grey = np.full((240, 320, 3), 128, np.uint8)
    human = bundle.spec.core_vocabulary().human
    people = Instances(np.array([[20, 20, 120, 220], [100, 60, 300, 200]]), np.ones(2),
                       np.full(2, human))
    for head in bundle.spec.heads:
        pipeline = HoiPipeline(bundle, 'cpu', head, engines=EngineOptions('eager'))
        pipeline.run([grey, grey], [None, people])
    return tuple(bundle.spec.heads)
