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

"""Output directories of replays made by hand: known scenes, known truth, known latencies."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple

from bags import header
from hoi_perception.core.scene import Instances, Mask, MaskKind, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import DETECTIONS, EVENT, MASKS
from hoi_perception.replay.messages import Messages
from hoi_perception.replay.records import (
    frame_line,
    FrameRecord,
    FRAMES,
    RESULTS,
    RunInfo,
    write_run,
)
from hoi_perception.replay.truth import AnnotatedFrames
from hoi_perception.runtime.events import Event, EventKind
import numpy as np

WIDTH, HEIGHT, PERIOD_NS = 160, 120, 100_000_000
BOXES = np.array([(10, 10, 50, 110), (15, 60, 70, 115), (90, 10, 130, 110), (100, 20, 120, 40)],
                 np.float32)


@dataclass(frozen=True)
class Story:
    """
    What happens in a replay by hand; frames are numbered from 0.

    verbs: the first is done with the bicycle, the second with the ball. missed, wrong: frames in
    which the first is not found, or the second is taken for the first. dropped, bad: frames
    without an answer. slow: milliseconds of every frame.
    """

    frames: int = 24
    verbs: Tuple[str, str] = ('ride', 'kick')
    missed: Sequence[int] = ()
    wrong: Sequence[int] = ()
    dropped: Sequence[int] = ()
    bad: Sequence[int] = ()
    slow: float = 20.0
    masks: bool = False
    asked: Optional[Tuple[str, ...]] = None
    options: Dict[str, object] = field(default_factory=dict)

    @property
    def words(self) -> Vocabulary:
        return Vocabulary(('person', 'bicycle', 'ball'), tuple(map(Verb, self.verbs)))

    def truth_at(self, index: int) -> Scene:
        masks = tuple(Mask(MaskKind.INSTANCE, owner, int(x1), int(y1),
                           np.ones((int(y2 - y1), int(x2 - x1)), bool))
                      for owner, (x1, y1, x2, y2) in enumerate(BOXES)) if self.masks else ()
        return Scene(WIDTH, HEIGHT, self.words,
                     Instances(BOXES, np.ones(4), [0, 1, 0, 2], [1, 2, 3, 4]),
                     Triplets([0, 2], [1, 3], [0, 1], np.ones(2)), masks, 'ground truth')

    def seen_at(self, index: int) -> Scene:
        shift = np.random.default_rng(index).uniform(-2, 2, (4, 4)).astype(np.float32)
        scores = np.array([.9 - .01 * index % .3, .6 + .01 * index % .3])
        if index in self.missed:
            scores[0] = 0.01
        verbs = [0, 0 if index in self.wrong else 1]
        masks = tuple(Mask(MaskKind.INSTANCE, owner, int(x1), int(y1),
                           np.ones((int(y2 - y1) // 2, int(x2 - x1)), bool))
                      for owner, (x1, y1, x2, y2) in enumerate(BOXES)) if self.masks else ()
        order = np.argsort(-scores)
        return Scene(WIDTH, HEIGHT, self.words, Instances(
            BOXES + shift, np.full(4, .8), [0, 1, 0, 2], [11, 12, 13, 14]),
            Triplets(np.array([0, 2])[order], np.array([1, 3])[order], np.array(verbs)[order],
                     scores[order], np.array([7, 8])[order]), masks, 'hand/made', 1)

    def outcome(self, index: int) -> Tuple[str, str]:
        if index in self.dropped:
            return 'dropped', 'overrun'
        return ('bad', 'no JPEG <b>at all</b>') if index in self.bad else ('answered', '')


def key(index: int) -> Tuple[int, int, str]:
    return (*divmod(10**9 * 100 + index * PERIOD_NS, 10**9), 'camera')


def truth_of(story: Story) -> AnnotatedFrames:
    """Return the truth of the story, as from a topic."""
    return AnnotatedFrames('topic /ground_truth', 'feed', {
        (key(i)[:2], 'camera'): i for i in range(story.frames)}, story.truth_at)


def pixels(where: Tuple[int, int, str]) -> np.ndarray:
    """Return the picture of any frame."""
    return np.full((HEIGHT, WIDTH, 3), 40 + where[1] % 7 * 20, np.uint8)


def write_replay(directory: Path, story: Story = Story()) -> Path:
    """Write results bag, frames.jsonl and run.json of the story; return the directory."""
    directory.mkdir(parents=True)
    make = Messages()
    lines = []
    with BagWriter(directory / RESULTS) as writer:
        writer.add_topic('/hoi/masks', MASKS)
        for i in range(story.frames):
            outcome, reason = story.outcome(i)
            time = 10**9 * 100 + i * PERIOD_NS
            stages = {'decode': 2.0, 'detect': story.slow + i % 5} if not reason else {}
            lines.append(frame_line(FrameRecord(
                i, 'hand', '/camera/image', time, key(i), outcome, reason, stages,
                sum(stages.values()) + 1 if stages else 0.0)))
            if outcome == 'answered':
                scene, head = story.seen_at(i), header(writer, *key(i)[:2])
                writer.write('/hoi/detections', DETECTIONS, time,
                             make.detections(scene, head, i + 1))
                writer.write('/hoi/masks', MASKS, time, make.masks(scene, head, i + 1))
                if i in (0, story.frames - 1):
                    kind = EventKind.STARTED if i == 0 else EventKind.ENDED
                    writer.write('/hoi/events', EVENT, time, make.event(Event(
                        kind, 7, 11, 12, 'person', story.verbs[0], 'bicycle', .9,
                        10**9 * 100 + PERIOD_NS, i * PERIOD_NS - PERIOD_NS if i else 0),
                        head, i + 1))
    (directory / FRAMES).write_text(''.join(lines))
    write_run(directory, RunInfo(
        1, 'every-frame', '/models/hand', 'hand/made', 'made', {'detector': 'eager fp32'},
        {1: list(story.asked or story.verbs)}, {'stride': 1, **story.options},
        {'hand.mcap': 'ab' * 32}, {'cores': 2}, 'measured on this machine', 1.5, True))
    return directory
