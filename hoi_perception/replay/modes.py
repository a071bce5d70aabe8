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

"""
Which frames are answered: every one, or those that a robot would have had the time for.

In real time a simulated clock runs: a frame arrives at its stamp, waits in a mailbox with one
slot where the newest wins, and is worked on for as long as that takes, here or on the robot.
"""

from typing import Callable, Iterable, Iterator, NamedTuple, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.inputs import InputFrame
from hoi_perception.runtime.following import stamp_fault

MODES = ('every-frame', 'real-time')
_SECOND = 1_000_000_000

Work = Callable[[InputFrame, float], float]
"""Answers a frame that has waited so many milliseconds; returns those it was worked on."""


class _Arrived(NamedTuple):
    item: InputFrame
    at_ms: float


def every_frame(items: Iterable[InputFrame], work: Work) -> None:
    """Answer all frames, none of which waits."""
    for item in items:
        work(item, 0.0)


def real_time(items: Iterable[InputFrame], work: Work,
              drop: Callable[[InputFrame], None]) -> None:
    """
    Answer the frames a single worker has the time for, and drop the others.

    Both callbacks come in the order of the frames.
    """
    free_ms = 0.0
    slot: Optional[_Arrived] = None
    for frame in arrivals(items):
        if slot is not None and free_ms <= frame.at_ms:
            free_ms += work(slot.item, free_ms - slot.at_ms)
            slot = None
        if slot is None and free_ms <= frame.at_ms:
            free_ms = frame.at_ms + work(frame.item, 0.0)
            continue
        if slot is not None:
            drop(slot.item)
        slot = frame
    if slot is not None:
        work(slot.item, free_ms - slot.at_ms)


def arrivals(items: Iterable[InputFrame]) -> Iterator[_Arrived]:
    """
    Yield the frames with the milliseconds at which they arrive on the simulated clock.

    From frame to frame the stamps say how much time has passed; where one is broken or goes back,
    the time of recording does.
    """
    clock, stamp, log_time = 0.0, None, None
    for item in items:
        now = stamp_ns(item)
        if log_time is not None:
            step = item.frame.log_time - log_time
            if now is not None and stamp is not None and now >= stamp:
                step = now - stamp
            clock += 1e-6 * max(step, 0)
        stamp, log_time = now, item.frame.log_time
        yield _Arrived(item, clock)


def stamp_ns(item: InputFrame) -> Optional[int]:
    """Return the stamp of a frame in nanoseconds, None where it is broken."""
    try:
        stamp = item.frame.message.header.stamp
    except HoiError:
        return None
    return None if stamp_fault(stamp)[0] else int(stamp.sec) * _SECOND + int(stamp.nanosec)
