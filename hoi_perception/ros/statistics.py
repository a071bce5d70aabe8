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

"""What happened to each frame of a camera, and how long it took; no ROS in here."""

from collections import Counter, deque
from dataclasses import dataclass
import math
import threading
import time
from typing import Callable, Deque, Dict, Optional, Tuple

import numpy as np

_WINDOW = 300
_EXPLAIN_AGAIN_S = 60.0


@dataclass(frozen=True)
class Snapshot:
    """
    Counters since configure; every frame in is out, dropped, bad or still on its way.

    odd_stamps: accepted frames by what is odd about their stamp. lost: frames that the middleware
    lost before they came in, where it tells. percentiles: stage name to
    (p50, p95) in milliseconds over the last frames; `age` is that of the image when its result was
    published, by its stamp. idle_s: seconds since the last frame came,
    None before the first.
    """

    frames_in: int
    frames_out: int
    dropped: Dict[str, int]
    bad: Dict[str, int]
    odd_stamps: Dict[str, int]
    bad_boxes: int
    lost: int
    percentiles: Dict[str, Tuple[float, float]]
    idle_s: Optional[float]


class CameraStatistics:
    """Counters of one camera; executor and worker both write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in = self._out = self._bad_boxes = self._lost = 0
        self._dropped: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._odd: Counter[str] = Counter()
        self._stages: Dict[str, Deque[float]] = {}
        self._last: Optional[float] = None

    def arrived(self) -> int:
        """Count a frame that came in and return its number, from 1."""
        with self._lock:
            self._in += 1
            self._last = time.monotonic()
            return self._in

    def dropped(self, cause: str, count: int = 1) -> None:
        """Count frames that were given up."""
        if count:
            with self._lock:
                self._dropped[cause] += count

    def bad(self, kind: str) -> None:
        """Count a frame that cannot be used."""
        with self._lock:
            self._bad[kind] += 1

    def odd_stamp(self, kind: str) -> None:
        """Count a frame that is used although its stamp is odd."""
        with self._lock:
            self._odd[kind] += 1

    def bad_boxes(self, count: int) -> None:
        """Count boxes of the other detector that cannot be used."""
        with self._lock:
            self._bad_boxes += count

    def lost(self, count: int) -> None:
        """Count frames that the middleware says it has lost."""
        with self._lock:
            self._lost += count

    def answered(self, stages: Dict[str, float], total: float, age: float) -> None:
        """Count a published result with its stage times and age (NaN = unknown), milliseconds."""
        times = {**stages, 'total': total, **({} if math.isnan(age) else {'age': age})}
        with self._lock:
            self._out += 1
            for name, milliseconds in times.items():
                self._stages.setdefault(name, deque(maxlen=_WINDOW)).append(milliseconds)

    def snapshot(self) -> Snapshot:
        """Return all counters at one time."""
        with self._lock:
            stages = {name: list(values) for name, values in self._stages.items()}
            idle = None if self._last is None else time.monotonic() - self._last
            parts = (self._in, self._out, dict(self._dropped), dict(self._bad), dict(self._odd),
                     self._bad_boxes, self._lost)
        percentiles = {name: tuple(np.percentile(values, (50, 95)).tolist())
                       for name, values in stages.items()}
        return Snapshot(*parts, percentiles, idle)


class Explainer:
    """Say the same kind of thing once, and again after a minute at the earliest."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: Dict[str, float] = {}
        self._lock = threading.Lock()

    def explain(self, kind: str, sentence: str) -> None:
        """Log the sentence unless this kind was explained lately."""
        now = time.monotonic()
        with self._lock:
            if now - self._said.get(kind, -_EXPLAIN_AGAIN_S) < _EXPLAIN_AGAIN_S:
                return
            self._said[kind] = now
        self._say(sentence)
