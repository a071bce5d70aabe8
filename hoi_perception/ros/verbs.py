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
Change verbs off the frame path: a helper thread encodes text, then swaps between two frames.

The newest request wins; one that was overtaken is answered as such. No ROS in here.
"""

from dataclasses import dataclass
import threading
from typing import Any, Callable, Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.replay.given_boxes import new_names

Answer = Callable[[bool, str, int], None]


@dataclass(frozen=True)
class _Request:
    verbs: Tuple[str, ...]
    template: str
    answer: Optional[Answer]


class VerbChanger:
    """
    The only one that activates prompt sets; `on_active` gets each of them after the swap.

    prompts: a `hoi_perception.runtime.prompts.PromptStore`.
    """

    def __init__(self, prompts: Any, on_active: Callable[[Any], None],
                 on_refused: Callable[[str], None]) -> None:
        self._prompts, self._on_active, self._on_refused = prompts, on_active, on_refused
        self._pending: Optional[_Request] = None
        self._closed = False
        self._wake = threading.Condition()
        # Prepared and activated under one lock, so that objects learnt meanwhile are not lost.
        self._changing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name='verbs', daemon=True)
        self._thread.start()

    def apply(self, verbs: Sequence[str], template: str) -> int:
        """Encode and activate in this thread; return the version. Raises `HoiError`."""
        with self._changing:
            known = self._prompts.current.vocabulary.objects
            self._prompts.activate(self._prompts.prepare(list(verbs), template or None, known))
            now = self._prompts.current
            self._on_active(now)
        return now.version

    def request(self, verbs: Sequence[str], template: str,
                answer: Optional[Answer] = None) -> None:
        """Ask for a change; `answer(success, message, version)` comes from the helper thread."""
        with self._wake:
            overtaken, self._pending = self._pending, _Request(tuple(verbs), template, answer)
            self._wake.notify()
        if overtaken and overtaken.answer:
            overtaken.answer(False, 'a newer change of the verbs came before this one was active.',
                             self._prompts.current.version)

    def learn(self, names: Sequence[str]) -> Vocabulary:
        """Make sure these objects are known, within reason; return the vocabulary in use."""
        known = self._prompts.current.vocabulary
        new = new_names(names, known.objects)
        if not new:
            return known
        with self._changing:
            self._prompts.activate(self._prompts.with_objects(new))
            now = self._prompts.current
            self._on_active(now)
        return now.vocabulary

    def close(self) -> None:
        """End the helper thread without waiting for text that is being encoded."""
        with self._wake:
            self._closed = True
            pending, self._pending = self._pending, None
            self._wake.notify()
        if pending and pending.answer:
            pending.answer(False, 'the node is being cleaned up.', self._prompts.current.version)
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._pending or self._closed)
                if self._closed:
                    return
                request, self._pending = self._pending, None
            success, message = True, ''
            try:
                version = self.apply(request.verbs, request.template)
                message = f'{len(self._prompts.current.vocabulary.verbs)} verbs are active ' \
                          f'from prompt version {version}.'
            except HoiError as error:
                success, message = False, str(error)
            except Exception as error:  # the device failed; the old verbs stay active
                success, message = False, f'the verbs could not be encoded: {error}'
            if not success:
                self._on_refused(message)
            if request.answer:
                request.answer(success, message, self._prompts.current.version)
