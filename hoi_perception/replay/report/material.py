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
What a replay left behind, read back: records, results as scenes, and the truth about them.

Scenes are kept without masks; masks are read again where they are needed, so that an hour of
frames fits into memory.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Collection, Deque, Dict, Iterator, List, NamedTuple, Optional, Tuple

from hoi_perception.core.scene import Scene
from hoi_perception.replay.bag_reader import BagReader, frame_key, FrameKey
from hoi_perception.replay.message_types import DETECTIONS, EVENT, MASKS
from hoi_perception.replay.records import FrameRecord, read_frames, read_run, RESULTS, RunInfo
from hoi_perception.replay.scenes import masks_of, scene_of, vocabulary_of
from hoi_perception.replay.truth import Truth


class Answer(NamedTuple):
    """A frame that was answered: its record, what was seen, and its truth (None = unknown)."""

    record: FrameRecord
    scene: Scene
    truth: Optional[Scene]


class Unanswered(NamedTuple):
    """An annotated frame without an answer."""

    record: FrameRecord
    truth: Scene


@dataclass(frozen=True)
class Replay:
    """
    A replay's directory, read.

    records: of every frame of the input, in its order. answers: the answered frames that the
    XX
    """

    directory: Path
    run: RunInfo
    records: Tuple[FrameRecord, ...]
    answers: Tuple[Answer, ...]
    unanswered: Tuple[Unanswered, ...]

    @property
    def annotated(self) -> int:
        """Return the number of frames with truth, answered or not."""
        return sum(a.truth is not None for a in self.answers) + len(self.unanswered)

    @cached_property
    def judged(self) -> Tuple[Answer, ...]:
        """Return the answers that have a truth and were asked for the verbs of most frames."""
        return tuple(answer for answer in self.answers if answer.truth is not None
                     and answer.scene.prompt_version in self.main_versions)

    @cached_property
    def main_versions(self) -> Tuple[int, ...]:
        """Return the prompt versions that ask for the verbs most frames were asked for."""
        asked: Dict[Tuple[str, ...], int] = defaultdict(int)
        for answer in self.answers:
            asked[self._verbs(answer.scene.prompt_version)] += 1
        if not asked:
            return ()
        most = max(asked, key=lambda verbs: asked[verbs])
        versions = {answer.scene.prompt_version for answer in self.answers}
        return tuple(sorted(v for v in versions if self._verbs(v) == most))

    @property
    def main_verbs(self) -> Tuple[str, ...]:
        """Return the verbs most frames were asked for; () where nobody wrote them down."""
        return self._verbs(self.main_versions[0]) if self.main_versions else ()

    def _verbs(self, version: int) -> Tuple[str, ...]:
        return tuple(self.run.prompts.get(version, ()))

    def seconds(self, record: FrameRecord) -> float:
        """Return the time of a frame since the first one of its bag and topic, in seconds."""
        return 1e-9 * (record.log_time - self._starts[record.bag, record.topic])

    @cached_property
    def _starts(self) -> Dict[Tuple[str, str], int]:
        starts: Dict[Tuple[str, str], int] = {}
        for record in self.records:
            key = record.bag, record.topic
            starts[key] = min(record.log_time, starts.get(key, record.log_time))
        return starts


def read_replay(directory: Path, truth: Optional[Truth] = None) -> Replay:
    """Return the replay in a directory; `HoiError` if it is none or is damaged."""
    directory = Path(directory)
    run, records = read_run(directory), read_frames(directory)
    waiting = _in_order([record for record in records if record.outcome == 'answered'])
    found: Dict[int, Scene] = {}
    for message in _messages(directory, DETECTIONS):
        queue = waiting[frame_key(message.header)]
        if queue:
            found[queue.popleft()] = scene_of(message, vocabulary_of([message]))
    asked = tuple(dict.fromkeys(verb for verbs in run.prompts.values() for verb in verbs))
    answers: List[Answer] = []
    unanswered: List[Unanswered] = []
    for record in records:
        real = None if truth is None else truth.scene(record.key, asked)
        real = None if real is None else replace(real, masks=())
        if record.index in found:
            answers.append(Answer(record, found[record.index], real))
        elif real is not None:
            unanswered.append(Unanswered(record, real))
    return Replay(directory, run, tuple(records), tuple(answers), tuple(unanswered))


def masked_scenes(replay: Replay, indices: Collection[int]) -> Iterator[Tuple[Answer, Scene]]:
    """Yield the answers of these frames with their scene, masks included, in order of time."""
    answers = {answer.record.index: answer for answer in replay.answers}
    waiting = _in_order([answer.record for answer in replay.answers])
    for message in _messages(replay.directory, MASKS):
        queue = waiting[frame_key(message.header)]
        if queue and (index := queue.popleft()) in indices:
            yield answers[index], replace(answers[index].scene, masks=masks_of(message))


def events(replay: Replay) -> Iterator[Any]:
    """Yield the HoiEvent messages of the results bag in order of time."""
    return _messages(replay.directory, EVENT)


def _in_order(records: List[FrameRecord]) -> Dict[FrameKey, Deque[int]]:
    """Return the frames of each key by time: a camera without a clock gives many frames one."""
    waiting: Dict[FrameKey, Deque[int]] = defaultdict(deque)
    for record in sorted(records, key=lambda record: record.log_time):
        waiting[record.key].append(record.index)
    return waiting


def _messages(directory: Path, type_: str) -> Iterator[Any]:
    with BagReader(directory / RESULTS) as reader:
        for topic in reader.topics_of_type(type_):
            for _, message in reader.messages(topic):
                yield message
