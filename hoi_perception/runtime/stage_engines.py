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
Engines for the stages of a pipeline: looked for, warmed up, put in place, accounted for.

The networks are in memory already, so graphs are made around them, and only for buckets of which
the store has something: a start without engines costs a look at a directory.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.cuda_graphs import replayed
from hoi_perception.runtime.detect_stage import DetectStage
from hoi_perception.runtime.engines.backend import Runner
from hoi_perception.runtime.engines.choose import candidates, Choice, choose_engine
from hoi_perception.runtime.engines.places import engine_directories
from hoi_perception.runtime.engines.provide import EngineMaker
from hoi_perception.runtime.engines.recorded import Recorded
from hoi_perception.runtime.engines.store import EngineStore
from hoi_perception.runtime.graphs import (
    detector_graph,
    detector_size,
    Graph,
    head_buckets,
)
from hoi_perception.runtime.interact_stage import InteractStage
from hoi_perception.runtime.relation_stage import RelationStage
import numpy as np
import torch

MOST_IMAGES = 8
"""Images per call: cameras of a node that are computed at once."""
NONE_BUILT = 'no engine is built yet (`hoi engine build` makes them)'


@dataclass(frozen=True)
class EngineOptions:
    """
    What a pipeline shall run its networks with.

    backend: 'auto', 'eager', 'aoti', 'openvino' or 'tensorrt'. precision: 'auto', 'fp32', 'bf16'
    or 'fp16'. build: make engines that are missing, which takes minutes. frames: (H, W, 3) uint8
    RGB, on which engines that are built must decide as eager does; without any, on the graphs'
    random examples alone. directory: of the engines, None = see `places.engine_directories`.
    report: gets a sentence every few seconds of a build.
    """

    backend: str = 'auto'
    precision: str = 'auto'
    build: bool = False
    frames: Sequence[np.ndarray] = field(default=(), compare=False)
    directory: Optional[Path] = None
    report: Callable[[str], None] = print


AUTO = EngineOptions()


class InUse(NamedTuple):
    """How a graph runs in one bucket; reason: one sentence."""

    name: str
    bucket: str
    backend: str
    precision: str
    reason: str


@dataclass(frozen=True)
class EngineReport:
    """How the networks run; warnings: a sentence for every engine that cannot be used, once."""

    graphs: Tuple[InUse, ...] = ()
    warnings: Tuple[str, ...] = ()

    def summary(self) -> Dict[str, str]:
        """Return backend and precision by graph: {'detector': 'openvino fp32'}."""
        return {name: ', '.join(_counted([f'{graph.backend} {graph.precision}'
                                          for graph in self.graphs if graph.name == name]))
                for name in dict.fromkeys(graph.name for graph in self.graphs)}

    def __str__(self) -> str:
        return '; '.join(f'{name} with {runs}' for name, runs in self.summary().items())


def _counted(items: List[str]) -> Iterator[str]:
    kinds = dict.fromkeys(items)
    for kind in kinds:
        yield kind if len(kinds) == 1 else f'{kind} ({items.count(kind)} of {len(items)} sizes)'


class _Slot(NamedTuple):
    """
    A bucket of a stage.

    needed: frames with the current prompts fall into it; others wait for other prompts.
    """

    name: str
    bucket: str
    needed: bool
    make: Callable[[], Graph]
    engines: Dict[str, Runner]


@dataclass(frozen=True)
class StageEngines:
    """
    The engines of a bundle's two stages on their device.

    rows: bucket of prompt rows of the current prompts. recorded: see `EngineMaker`.
    """

    bundle: Bundle
    detect: DetectStage
    interact: Union[InteractStage, RelationStage]
    rows: int
    recorded: Callable[[], Recorded] = dict
    _warnings: Dict[str, None] = field(default_factory=dict)

    def install(self, options: EngineOptions) -> EngineReport:
        """
        Put what the options ask for in place, after a first call of each; return what runs.

        Whatever is wrong with an engine ends in a warning and eager. Raises `EngineError` where
        the names in the options are unknown.
        """
        device = self.interact.device
        if options.backend != 'eager':
            candidates(device, options.backend, options.precision)  # names are checked first
        directories = engine_directories(self.bundle, options.directory)
        store = EngineStore(*directories)
        graphs = []
        for slot in self._slots(device):
            slot.engines.pop(slot.bucket, None)
            build = options.build and slot.needed and options.backend != 'eager'
            if build or _has_any(directories, slot) or (slot.needed and device.type == 'cuda'):
                graphs.append(self._equip(slot, store, options, build))
            elif slot.needed:
                why = 'it was asked for' if options.backend == 'eager' else NONE_BUILT
                graphs.append(_in_use(slot, 'eager', 'fp32', f'{slot.name} {slot.bucket} runs '
                                      f'with eager: {why}.'))
        return EngineReport(tuple(graphs), tuple(self._warnings))

    def _slots(self, device: torch.device) -> Iterator[_Slot]:
        """Yield the buckets of one image, then those of several, which only a batch needs."""
        height, width = detector_size(self.bundle)
        for batch in range(1, MOST_IMAGES + 1):
            yield _Slot(
                'detector', f'batch{batch}-{height}x{width}', batch == 1,
                partial(detector_graph, self.bundle, self.detect.network, device, batch),
                self.detect.engines)
            for rows in sorted(self.bundle.spec.buckets.rows):
                for bucket in head_buckets(self.bundle, self.interact, batch, rows):
                    yield _Slot(self.interact.title, bucket.name,
                                batch == 1 and rows == self.rows, bucket.make,
                                self.interact.engines)

    def _equip(self, slot: _Slot, store: EngineStore, options: EngineOptions,
               build: bool) -> InUse:
        graph = slot.make()
        device = self.interact.device
        maker = EngineMaker(self.bundle, self.interact.name, device, store,
                            recorded=self.recorded, report=options.report) if build else None
        choice = choose_engine(graph, store, options.backend, options.precision,
                               maker.build if maker else None)
        self._warnings.update(dict.fromkeys(choice.warnings))
        return self._warm(slot, graph, choice)

    def _warm(self, slot: _Slot, graph: Graph, choice: Choice) -> InUse:
        """Call the engine once, so that the first frame is not slow, and put it in place."""
        example = tuple(graph.inputs.values())
        try:
            with torch.inference_mode():
                choice.run(*example)
                run = replayed(choice.run, example)
        except Exception as error:  # runtimes raise whatever they like; eager goes on
            if choice.backend == 'eager':
                raise
            failed = (f'{slot.name} {slot.bucket} with {choice.backend} {choice.precision} '
                      f'fails in its first call ({type(error).__name__}: '
                      f'{" ".join(str(error).split())[:200]})')
            self._warnings[f'{failed}: it is not used.'] = None
            return _in_use(slot, 'eager', 'fp32',
                           f'{slot.name} {slot.bucket} runs with eager: {failed}.')
        if choice.backend != 'eager' or run is not choice.run:
            slot.engines[slot.bucket] = run
        return _in_use(slot, choice.backend, choice.precision, choice.reason)


def _in_use(slot: _Slot, backend: str, precision: str, reason: str) -> InUse:
    return InUse(slot.name, slot.bucket, backend, precision, reason)


def _has_any(directories: Tuple[Path, ...], slot: _Slot) -> bool:
    """Whether there is an engine of the graph and bucket, of whatever backend and key."""
    pattern = f'{slot.name}-{slot.bucket}-*'.replace('/', '.')  # see `EngineKey.directory`
    return any(any(directory.glob(pattern)) for directory in directories)
