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
The one-slot mailbox between executor and worker: the newest frame of each camera wins.

No ROS in here; the executor puts, the worker takes; the camera served longest ago comes first.
"""

import threading
from typing import Any, List, Optional, Tuple


class Mailbox:
    """One slot per camera, safe between threads."""

    def __init__(self, cameras: int) -> None:
        self._slots: List[Any] = [None] * cameras
        self._turn = 0
        self._served = [0] * cameras
        self._closed = False
        self._condition = threading.Condition()

    def put(self, camera: int, item: Any) -> bool:
        """Place the newest item; return whether it pushed out one that was not taken."""
        with self._condition:
            if self._closed:
                return True
            replaced = self._slots[camera] is not None
            self._slots[camera] = item
            self._condition.notify()
        return replaced

    def take(self, timeout: Optional[float] = None) -> Optional[Tuple[int, Any]]:
        """Wait for an item and return it with its camera; None when closed or out of time."""
        return next(iter(self.take_some(1, timeout)), None)

    def take_some(self, most: int, timeout: Optional[float] = None) -> List[Tuple[int, Any]]:
        """
        Wait for an item and return those that are there, at most `most`, with their cameras.

        Each of another camera, the one served longest ago first. Empty when closed or out of
        time; nobody waits for a second item.
        """
        with self._condition:
            self._condition.wait_for(
                lambda: self._closed or any(slot is not None for slot in self._slots), timeout)
            if self._closed:
                return []
            waiting = [n for n, slot in enumerate(self._slots) if slot is not None]
            taken = []
            for camera in sorted(waiting, key=self._served.__getitem__)[:most]:
                self._turn += 1
                self._served[camera] = self._turn
                taken.append((camera, self._slots[camera]))
                self._slots[camera] = None
        return taken

    def close(self) -> List[int]:
        """Wake the taker for good; return the cameras whose last item nobody took."""
        with self._condition:
            self._closed = True
            left = [camera for camera, slot in enumerate(self._slots) if slot is not None]
            self._slots = [None] * len(self._slots)
            self._condition.notify_all()
        return left
