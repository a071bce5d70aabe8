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

"""A frame of a bag to the messages the node would publish for it: the work of its worker."""

import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import Instances, Scene
from hoi_perception.replay import given_boxes
from hoi_perception.replay.inputs import InputFrame
from hoi_perception.replay.instances import BoxSource
from hoi_perception.replay.message_types import DETECTIONS, EVENT, hoi_typestore, MASKS, VOCABULARY
from hoi_perception.replay.messages import Messages, scene_before_tracking
from hoi_perception.runtime.events import Timeline
from hoi_perception.runtime.following import FollowOptions, rule_of, stamp_fault
from hoi_perception.runtime.pipeline import HoiPipeline

NAMESPACE = '/hoi'
TOPICS = {f'{NAMESPACE}/detections': DETECTIONS, f'{NAMESPACE}/masks': MASKS,
          f'{NAMESPACE}/events': EVENT, f'{NAMESPACE}/vocabulary': VOCABULARY}
"""Topics of a results bag with their types; those of a node in its usual namespace."""

_BY_TYPE = {type_: topic for topic, type_ in TOPICS.items()}
_SECOND = 1_000_000_000


class Written(NamedTuple):
    """A message for the results bag, serialized (CDR)."""

    topic: str
    serialized: bytes


class Answer(NamedTuple):
    """
    What a frame gave; fault: the sentence of a frame that cannot be used, then without messages.

    stages: milliseconds. own_ids: the instances were given and brought their ids.
    """

    messages: Tuple[Written, ...]
    stages: Dict[str, float]
    fault: str = ''
    own_ids: bool = False


class NoBoxes(HoiError):
    """The frame has no boxes on the topic they should come from: a node would drop it."""


class Answerer:
    """
    Computes one frame after the other, tracking from frame to frame by their stamps.

    pipeline: its prompts and options as they shall be. boxes: those of another detector.
    """

    def __init__(self, pipeline: HoiPipeline, boxes: Optional[BoxSource] = None) -> None:
        self.pipeline = pipeline
        self.prompts: Dict[int, List[str]] = {}
        self._rule = rule_of(pipeline.thresholds, FollowOptions())
        self._timeline, self._messages, self._types = Timeline(), Messages(), hoi_typestore()
        self._boxes, self._told = boxes, 0

    def __call__(self, item: InputFrame) -> Answer:
        """Return what a frame gives; raises `NoBoxes`."""
        started = time.perf_counter()
        try:
            given = self._given(item, self._boxes) if self._boxes else None
            started = time.perf_counter()
            rgb = item.frame.rgb()
            decoded = time.perf_counter()
            result = self.pipeline.run([rgb], None if given is None else [given])[0]
        except NoBoxes:
            raise
        except Exception as error:  # one frame must never take the replay down, nor the node
            reason = str(error) if isinstance(error, HoiError) else (
                f'the frame failed: {type(error).__name__}: {error}')
            return Answer((), {'decode': 1e3 * (time.perf_counter() - started)}, reason)
        computed = time.perf_counter()
        own_ids = given is not None and bool(given.track_ids.any())
        header = item.frame.message.header
        scene, events = self._follow(result.scene, header.stamp)
        followed = time.perf_counter()
        seq = item.index + 1
        messages = [*self._vocabulary(item.frame.log_time),
                    self._written(DETECTIONS, self._messages.detections(scene, header, seq)),
                    self._written(MASKS, self._messages.masks(scene, header, seq))]
        messages += [self._written(EVENT, self._messages.event(event, header, seq))
                     for event in events]
        stages = {'decode': 1e3 * (decoded - started), **result.stages,
                  'track': 1e3 * (followed - computed),
                  'convert': 1e3 * (time.perf_counter() - followed)}
        return Answer(tuple(messages), stages, own_ids=own_ids)

    def recall(self, messages: Tuple[Written, ...], own_ids: bool) -> None:
        """
        Take in a frame that was computed before, as if it had been computed now.

        Raises `HoiError` where that gives other ids than it did then.
        """
        for written in messages:
            message: Any = self._types.deserialize_cdr(written.serialized, TOPICS[written.topic])
            if TOPICS[written.topic] == VOCABULARY:
                known = self.pipeline.vocabulary.objects
                new = [name for name in message.objects if name not in known]
                while self.pipeline.prompts.current.version < message.version:
                    self._learn(new)
                self._tell()
            elif TOPICS[written.topic] == DETECTIONS:
                before = scene_before_tracking(message, self.pipeline.vocabulary, own_ids)
                scene, _ = self._follow(before, message.header.stamp)
                again = self._messages.detections(scene, message.header, int(message.frame_seq))
                if self._written(DETECTIONS, again).serialized != written.serialized:
                    raise HoiError(
                        'the replay cannot be continued: tracking gives other ids now than '
                        'before the interruption (another version of the program?). Add '
                        '--restart.')

    def _follow(self, scene: Scene, stamp: Any) -> Tuple[Scene, tuple]:
        if stamp_fault(stamp)[0]:
            return scene, ()
        moment = self._timeline.update(scene, stamp.sec * _SECOND + stamp.nanosec, *self._rule)
        return moment.scene, moment.events

    def _given(self, item: InputFrame, boxes: BoxSource) -> Instances:
        message = boxes.of(item.bag.reader, item.frame.key, item.frame.log_time)
        if message is None:
            raise NoBoxes('no_instances')
        new = given_boxes.new_names(given_boxes.class_names(message),
                                    self.pipeline.vocabulary.objects)
        if new:
            self._learn(new)
        return given_boxes.instances(message, self.pipeline.vocabulary.objects)[0]

    def _learn(self, names: List[str]) -> None:
        self.pipeline.prompts.activate(self.pipeline.prompts.with_objects(names))

    def _vocabulary(self, log_time: int) -> List[Written]:
        """Return the vocabulary before the first frame that is computed with it."""
        now = self.pipeline.prompts.current
        if not self._tell():
            return []
        return [self._written(VOCABULARY, self._messages.vocabulary(
            now.vocabulary, now.version, self.pipeline.model_id, log_time))]

    def _tell(self) -> bool:
        """Return whether the prompts are new, and remember them."""
        now = self.pipeline.prompts.current
        new, self._told = now.version != self._told, now.version
        self.prompts[now.version] = list(now.vocabulary.verb_names)
        return new

    def _written(self, type_: str, message: Any) -> Written:
        return Written(_BY_TYPE[type_], bytes(self._types.serialize_cdr(message, type_)))
