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

"""When a frame is taken: rate limit, age, and stamps that jump; no ROS in here."""

import math
from typing import Optional

from hoi_perception.runtime.events import LATE_NS

_SECOND = 1_000_000_000
FUTURE_S = 0.1
"""Clocks that are synchronized differ by less; a stamp further ahead has a fault to explain."""


class RateLimit:
    """Lets through at most so many frames per second, evenly and by the mean, not by gaps."""

    def __init__(self) -> None:
        self._due = -math.inf

    def admits(self, now: float, rate: float) -> bool:
        """Return whether a frame that comes now (monotonic seconds) is taken; rate 0 = all."""
        if rate <= 0:
            return True
        if now < self._due:
            return False
        period = 1 / rate
        # From when it was due, so that the mean holds; from now after a pause, lest it burst.
        self._due = (self._due if now - self._due < period else now) + period
        return True


class StampWatch:
    """Sees when the stamps of a camera jump back."""

    def __init__(self) -> None:
        self._last: Optional[int] = None

    def jumped_back_s(self, stamp_ns: int) -> float:
        """Return by how many seconds this stamp lies before the last one, 0 if not noteworthy."""
        last, self._last = self._last, stamp_ns
        return 1e-9 * (last - stamp_ns) if last is not None and stamp_ns < last - LATE_NS else 0.0


def age_s(sec: int, nanosec: int, now_s: float) -> float:
    """
    Return the age of a stamp in seconds, below 0 for one in the future.

    now_s: the node's time; NaN where it (no /clock yet) or the stamp tells nothing.
    """
    if now_s <= 0 or sec < 0 or nanosec >= _SECOND or sec == nanosec == 0:
        return math.nan
    return now_s - sec - 1e-9 * nanosec
