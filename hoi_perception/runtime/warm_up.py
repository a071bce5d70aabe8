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

"""The first frame through a pipeline, so that the first real one is not slow."""

import time

from hoi_perception.core.scene import Instances
from hoi_perception.runtime.pipeline import HoiPipeline
import numpy as np


def warm_up(pipeline: HoiPipeline, boxes_given: bool) -> float:
    """
    Compute a grey frame and return the milliseconds that took.

    boxes_given: they come from another detector, so that the bundle's own stays cold.
    """
    started = time.perf_counter()
    grey = np.full((480, 640, 3), 127, np.uint8)
    person = pipeline.vocabulary.human
    boxes = Instances(np.array([[40, 40, 200, 440], [160, 200, 400, 400]]), np.ones(2),
                      np.array([person, (person + 1) % len(pipeline.vocabulary.objects)]))
    pipeline.run([grey], instances=[boxes])
    if not boxes_given:
        pipeline.run([grey])
    return 1e3 * (time.perf_counter() - started)
