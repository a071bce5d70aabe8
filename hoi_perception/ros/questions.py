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
Questions that need the device, answered by the one thread that owns it, between two frames.

A scene holds what was confident enough to be published. A prompt for something else reaches the
head: it is computed on the picture of that scene once more, with the prompt in mind. No ROS in
here.
"""

from collections import deque
from typing import Any, Deque, NamedTuple, Optional, Union

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import Instances, Scene
from hoi_perception.runtime.query import Answer, ask_image, Prompt, with_identities
import numpy as np


class Reply:
    """`result` is None until the question is answered; an error says why it is not."""

    result: Optional[Union[Answer, HoiError]] = None


class Question(NamedTuple):
    """
    A prompt about a picture.

    seen: the scene that was published of it, whose identities the answer keeps. boxes: those it
    was given by another detector. least: see `runtime.query.ask`.
    """

    rgb: np.ndarray
    boxes: Optional[Instances]
    seen: Scene
    prompt: Prompt
    least: float
    reply: Reply


class Questions:
    """Those that wait; safe between threads. After `close` every question is refused."""

    def __init__(self) -> None:
        self._waiting: Deque[Question] = deque()
        self._refusal = ''

    def put(self, question: Question) -> None:
        """Let a question wait for its turn."""
        self._waiting.append(question)
        if self._refusal:
            self.close(self._refusal)

    def answer_next(self, pipeline: Any) -> bool:
        """Answer the one that waits longest; return whether there are more."""
        question = self._next()
        if question is not None:
            question.reply.result = _answered(pipeline, question)
        return bool(self._waiting)

    def close(self, reason: str) -> None:
        """Refuse what waits and whatever comes."""
        self._refusal = reason
        while question := self._next():
            question.reply.result = HoiError(reason)

    def _next(self) -> Optional[Question]:
        try:
            return self._waiting.popleft()
        except IndexError:
            return None


def _answered(pipeline: Any, question: Question) -> Union[Answer, HoiError]:
    try:
        answer = ask_image(pipeline, question.rgb, question.prompt, question.least,
                           question.boxes)
        return answer._replace(scene=with_identities(answer.scene, question.seen))
    except HoiError as error:
        return error
    except Exception as error:  # a question must never take the node down
        return HoiError(f'the question could not be computed: {type(error).__name__}: {error}')
