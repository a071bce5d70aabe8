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

"""What to replay and how, and who is told about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.inputs import Selection
from hoi_perception.replay.modes import MODES
from hoi_perception.replay.records import FrameRecord

EVERY_FRAME, REAL_TIME = MODES


@dataclass(frozen=True)
class ReplayOptions:
    """
    What to replay and how.

    bags: bags or directories of bags. out: directory of the results. bundle, head: None = the
    shipped one, its first. verbs, template: as the node's parameters; empty = the bundle's.
    latency_profile: see `read_profile`, only in real time. engine: as `EngineOptions.backend`.
    instances: topic or file of another detector's boxes. ground_truth: topic or file, None = a
    topic of ground truth in the bag. restart: throw an interrupted replay away. report: judge it
    and write the report.
    """

    bags: Tuple[Path, ...]
    out: Path
    bundle: Optional[Path] = None
    head: Optional[str] = None
    verbs: Tuple[str, ...] = ()
    template: str = ''
    selection: Selection = Selection()
    mode: str = EVERY_FRAME
    latency_profile: Optional[Path] = None
    engine: str = 'eager'
    device: str = 'auto'
    instances: Optional[str] = None
    ground_truth: Optional[str] = None
    restart: bool = False
    report: bool = True

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise HoiError(f'--mode {self.mode!r} is not known: expected {" or ".join(MODES)}.')
        if self.latency_profile is not None and self.mode != REAL_TIME:
            raise HoiError(f'--latency-profile says which frames are dropped in {REAL_TIME}; '
                           f'with --mode {self.mode} none is: leave one of them out.')
        if self.ground_truth is not None and not self.report:
            raise HoiError('--ground-truth is what the report judges by: leave --no-report out.')


class Watch:
    """Is told how a replay goes; this one does not listen."""

    def say(self, sentence: str) -> None:
        """Take a sentence that is worth reading."""

    def begin(self, frames: Optional[int]) -> None:
        """Take the number of frames to come, None = not known."""

    def frame(self, record: FrameRecord, again: bool) -> None:
        """Take what became of a frame; again: before an interruption."""
