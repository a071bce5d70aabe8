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

"""Load a bundle in a thread of its own, so that the executor goes on answering; no ROS in here."""

import threading
import time
from typing import Any, Callable, NamedTuple, Optional, Tuple

from hoi_perception.ros.parameters import Settings

Say = Callable[[str], None]


class Loaded(NamedTuple):
    """A pipeline that has computed its first frame, and the verbs and template it got."""

    pipeline: Any
    verbs: Tuple[str, ...]
    template: str
    seconds: float
    warm_up_ms: float


class Loading:
    """
    The work of configure: networks, text, engines, a first frame.

    `ended` is set when there is a result or an error. log, warn: get sentences, in the thread.
    """

    def __init__(self, settings: Settings, log: Say, warn: Say) -> None:
        self.ended = threading.Event()
        self._settings, self._log, self._warn = settings, log, warn
        self._stage, self._began = 'libraries', time.monotonic()
        self._loaded: Optional[Loaded] = None
        self._error: Optional[Exception] = None

    def start(self) -> None:
        """Begin in a thread; what loads cannot be interrupted, so it is a daemon."""
        threading.Thread(target=self._run, name='loading', daemon=True).start()

    @property
    def progress(self) -> str:
        """How far it is, in a sentence."""
        return f'still loading after {time.monotonic() - self._began:.0f} s: {self._stage} ...'

    def result(self) -> Loaded:
        """Return what was loaded, here and now unless it was started; raises what went wrong."""
        if not self.ended.is_set():
            self._run()
        if self._error is not None:
            raise self._error
        assert self._loaded is not None
        return self._loaded

    def _run(self) -> None:
        try:
            self._loaded = self._load()
        except Exception as error:  # for `result`, in another thread
            self._error = error
        self.ended.set()

    def _load(self) -> Loaded:
        settings = self._settings
        # Imported here so that a node that is asked for its parameters answers at once.
        from hoi_perception.runtime.bundle import default_bundle_path
        from hoi_perception.runtime.engines.places import cache_directory
        from hoi_perception.runtime.pipeline import HoiPipeline
        from hoi_perception.runtime.text import KeepText
        from hoi_perception.runtime.warm_up import warm_up
        bundle = settings.bundle or default_bundle_path()
        self._stage = 'networks'
        self._log(f'loading {bundle} ...')
        pipeline = HoiPipeline(bundle, settings.device, settings.head or None, engines=None,
                               keep_text=KeepText(cache_directory() / 'text', self._warn))
        if settings.verbs != ('',) or settings.template:
            self._stage = 'text of the verbs'
            pipeline.prompts.activate(pipeline.prompts.prepare(
                list(settings.verbs), settings.template or None,
                pipeline.prompts.current.vocabulary.objects))
        self._use_engines(pipeline)
        self._stage = 'a first frame'
        warm_ms = warm_up(pipeline, settings.instances_source == 'topic')
        return Loaded(pipeline, settings.verbs, settings.template,
                      time.monotonic() - self._began, warm_ms)

    def _use_engines(self, pipeline: Any) -> None:
        """Look for engines, or build them, for the bundle and the verbs there are now."""
        from hoi_perception.replay.sample_frames import sample_frames
        from hoi_perception.runtime.stage_engines import EngineOptions
        self._stage = 'engines'
        report = pipeline.use_engines(EngineOptions(
            self._settings.engine, self._settings.precision, self._settings.engine_build,
            sample_frames() if self._settings.engine_build else (), report=self._building))
        for sentence in report.warnings:
            self._warn(sentence)
        self._log(f'networks run with: {report}.')

    def _building(self, sentence: str) -> None:
        self._stage = sentence.rstrip('.')
        self._log(sentence)
