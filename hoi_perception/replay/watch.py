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

"""The progress of a replay on a terminal: frames, rate and the time left."""

import sys
from typing import Optional

from hoi_perception.replay.options import Watch
from hoi_perception.replay.records import FrameRecord
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    """Frames per second, of late."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text('' if speed is None else f'{speed:.1f} frames/s')


class ProgressBar(Watch):
    """A bar on standard error; use it as a context manager. frames: how many are done."""

    def __init__(self) -> None:
        self.frames = 0
        self._progress = Progress(
            SpinnerColumn(), TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
            _Rate(), TimeRemainingColumn(), console=Console(file=sys.stderr), transient=True)
        self._task: Optional[TaskID] = None

    def __enter__(self) -> 'ProgressBar':
        self._progress.start()
        return self

    def __exit__(self, *_) -> None:
        self._progress.stop()

    def say(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self._progress.console.print(f'hoi: note: {sentence}', highlight=False, markup=False,
                                     soft_wrap=True)

    def begin(self, frames: Optional[int]) -> None:
        """Show the bar."""
        self._task = self._progress.add_task('replay', total=frames)

    def frame(self, record: FrameRecord, again: bool) -> None:
        """Count a frame; those from before an interruption do not make the rate look better."""
        self.frames += 1
        if self._task is None:
            return
        if again:
            self._progress.reset(self._task, completed=self.frames)
        else:
            self._progress.update(self._task, completed=self.frames)
