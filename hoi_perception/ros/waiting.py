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

"""Let a service callback wait for another thread without stopping the executor."""

import time
from typing import Any, Callable, Tuple

_NAP_S = 0.002
_LONG_NAP_S = 0.02


class Answered:
    """Call it with the answer, in any thread; `result` is None until then."""

    def __init__(self) -> None:
        self.result: Tuple[bool, str, int] = None  # type: ignore[assignment]

    def __call__(self, success: bool, message: str, version: int) -> None:
        """Keep the answer: whether it worked, a sentence, the prompt version."""
        self.result = success, message, version


class _Nap:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __await__(self):
        # rclpy resumes a waiting coroutine as often as it can; without a nap that takes a core.
        time.sleep(self._seconds)
        yield


async def answer_when(answered: Any) -> None:
    """Return when its `result` is there; the executor does other work meanwhile."""
    while answered.result is None:
        await _Nap(_NAP_S)


async def until(done: Callable[[], bool]) -> None:
    """Return when something that takes seconds is done; others are answered 0.02 s later."""
    while not done():
        await _Nap(_LONG_NAP_S)
