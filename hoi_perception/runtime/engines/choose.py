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
Which engine runs a graph: named by the user, or 'auto', which goes by what was measured.

`auto` offers only engines that decide as eager does and were faster than eager when they were
built here; among those in the store it takes the fastest. Where there is none yet and building is
allowed, candidates are tried in the order of `candidates`.
"""

from dataclasses import replace
from typing import Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from hoi_perception.runtime.engines.aoti import Aoti
from hoi_perception.runtime.engines.backend import Backend, EngineError, Runner
from hoi_perception.runtime.engines.eager import Eager
from hoi_perception.runtime.engines.key import EngineKey, has_bf16
from hoi_perception.runtime.engines.openvino import OpenVino
from hoi_perception.runtime.engines.store import EngineStore, StoredEngine
from hoi_perception.runtime.engines.tensorrt import TensorRt
from hoi_perception.runtime.graphs import Graph
import torch

BACKENDS: Tuple[Backend, ...] = (Eager(), Aoti(), OpenVino(), TensorRt())
Builder = Callable[[Graph, Backend, str], StoredEngine]
# Smaller gains than this are within the noise of the measurement.
LEAST_SPEEDUP = 1.1


class Candidate(NamedTuple):
    """A backend with a precision."""

    backend: Backend
    precision: str

    def __str__(self) -> str:
        return f'{self.backend.name} {self.precision}'


class Choice(NamedTuple):
    """
    How a graph runs.

    run: takes and returns the graph's tensors. reason: one sentence for log and diagnostics.
    warnings: one sentence for every engine that was found or built and cannot be used.
    """

    run: Runner
    backend: str
    precision: str
    reason: str
    warnings: Tuple[str, ...] = ()


def backend_named(name: str) -> Backend:
    """Return a backend; raises `EngineError` on an unknown name."""
    for backend in BACKENDS:
        if backend.name == name:
            return backend
    raise EngineError(f'backend {name!r} is unknown: choose auto or one of '
                      f'{", ".join(backend.name for backend in BACKENDS)}.')


def candidates(device: torch.device, backend: str = 'auto',
               precision: str = 'auto') -> List[Candidate]:
    """
    Return what could be tried on a device, best first as measured (see docs/decisions.md).

    Low precision comes first where the hardware has it: OpenVINO in bf16 beat everything else on
    CPUs, then AOTInductor in bf16. What is not installed is left out, except when it was named.
    Raises `EngineError` for a precision that a named one lacks.
    """
    if backend != 'auto':
        named = backend_named(backend)
        wanted = _precisions(named, device) if precision == 'auto' else (precision,)
        for item in wanted:
            if item not in named.precisions:
                raise EngineError(f'{named.name} has no precision {item!r}: choose auto or one of '
                                  f'{", ".join(named.precisions)}.')
        return [Candidate(named, item) for item in wanted]
    known = {item for choice in BACKENDS for item in choice.precisions}
    if precision != 'auto' and precision not in known:
        raise EngineError(f'precision {precision!r} is unknown: choose auto or one of '
                          f'{", ".join(sorted(known))}.')
    order: Tuple[Backend, ...] = ((TensorRt(), Aoti()) if device.type == 'cuda'
                                  else (OpenVino(), Aoti()))
    pairs = [Candidate(item, level) for level in ('bf16', 'fp16', 'fp32') for item in order
             if level in _precisions(item, device) and not item.unavailable(device)]
    return [pair for pair in pairs if precision in ('auto', pair.precision)]


def _precisions(backend: Backend, device: torch.device) -> Tuple[str, ...]:
    """Return the precisions that pay on a device, fastest first."""
    low = ('bf16',) if has_bf16(device) else ('fp16',) if device.type == 'cuda' else ()
    return tuple(item for item in (*low, 'fp32') if item in backend.precisions)


def choose_engine(graph: Graph, store: EngineStore, backend: str = 'auto',
                  precision: str = 'auto', builder: Optional[Builder] = None) -> Choice:
    """
    Return how a graph runs on the device its inputs are on; eager where nothing else can.

    backend: 'auto' or a name; a named backend is used even where it is not faster than eager.
    builder: builds an engine that the store lacks; None = use what is there. Raises `EngineError`
    only where the names are unknown.
    """
    device = next(iter(graph.inputs.values())).device
    if backend == 'eager':
        return _eager(graph, 'it was asked for', [])
    wanted = candidates(device, backend, precision)
    search = _Search(graph, store, device, auto=backend == 'auto')
    for candidate in wanted:
        search.look(candidate)
    for candidate in search.fastest_first():
        if choice := search.use(candidate):
            return choice
    for candidate in wanted:
        if builder is not None and candidate not in search.settled:
            search.build(candidate, builder)
            if choice := search.use(candidate):
                return choice
    return _eager(graph, search.why_eager(wanted), search.warnings)


def load_engine(stored: StoredEngine, backend: Backend, device: torch.device) -> Runner:
    """Check an engine's files and load it; raises `EngineError` where that must not or fails."""
    if stored.refused:
        raise EngineError(stored.refused)
    if reason := backend.unavailable(device):
        raise EngineError(reason)
    stored.verify()
    try:
        return backend.load(stored.directory, device)
    except Exception as error:
        raise EngineError(f'{stored.directory} cannot be loaded: {type(error).__name__}: '
                          f'{" ".join(str(error).split())[:300]}') from error


def _eager(graph: Graph, reason: str, warnings: List[str]) -> Choice:
    return Choice(graph.module, 'eager', 'fp32', f'{graph.name} {graph.bucket} runs with eager: '
                  f'{reason}.', tuple(warnings))


class _Search:
    """
    The way through the candidates of one graph.

    found: engines of the store. settled: candidates of which nothing better is to be had by
    building. warnings: what is said once.
    """

    def __init__(self, graph: Graph, store: EngineStore, device: torch.device,
                 auto: bool) -> None:
        self._graph, self._store, self._device, self._auto = graph, store, device, auto
        self._base = EngineKey.of(graph, Eager(), 'fp32')  # hashes the weights, once
        self.found: Dict[Candidate, StoredEngine] = {}
        self.settled: Set[Candidate] = set()
        self.slow: List[str] = []
        self.warnings: List[str] = []

    def look(self, candidate: Candidate) -> None:
        """Look a candidate up in the store."""
        if reason := candidate.backend.unavailable(self._device):
            self.settled.add(candidate)
            self.warnings.append(reason)
            return
        key = replace(self._base, backend=candidate.backend.name, precision=candidate.precision,
                      version=candidate.backend.version())
        try:
            stored = self._store.find(key)
        except EngineError as error:
            self.warnings.append(str(error))
            return
        if stored is not None:
            self._keep(candidate, stored)
        elif mismatch := self._store.mismatch(key):
            self.warnings.append(mismatch)

    def _keep(self, candidate: Candidate, stored: StoredEngine) -> None:
        self.settled.add(candidate)
        if stored.refused:
            self.warnings.append(stored.refused)
        elif self._auto and stored.speedup < LEAST_SPEEDUP:
            self.slow.append(f'{candidate} is {stored.speedup:.2f} times as fast')
        else:
            self.found[candidate] = stored

    def fastest_first(self) -> List[Candidate]:
        """Return the candidates whose engines may be used."""
        return sorted(self.found, key=lambda item: self.found[item].latency)

    def use(self, candidate: Candidate) -> Optional[Choice]:
        """Load a candidate's engine; None where there is none that can be used."""
        stored = self.found.pop(candidate, None)
        if stored is None:
            return None
        try:
            run = load_engine(stored, candidate.backend, self._device)
        except EngineError as error:
            self.settled.discard(candidate)
            self.warnings.append(str(error))
            return None
        times = stored.facts['latency_ms']
        return Choice(run, candidate.backend.name, candidate.precision,
                      f'{self._graph.name} {self._graph.bucket} runs with {candidate}: '
                      f'{times["engine"]:.2f} ms, eager {times["eager"]:.2f} ms when it was '
                      'built, with the same decisions.', tuple(self.warnings))

    def build(self, candidate: Candidate, builder: Builder) -> None:
        """Build a candidate's engine."""
        try:
            self._keep(candidate, builder(self._graph, candidate.backend, candidate.precision))
        except EngineError as error:
            self.warnings.append(str(error))

    def why_eager(self, wanted: List[Candidate]) -> str:
        """Say why no engine runs."""
        if not wanted:
            return 'no other backend is installed for this device'
        if self.slow:
            return f'{", ".join(self.slow)}, too little to be used'
        if self.warnings:
            return 'no engine can be used'
        return 'no engine is built yet (`hoi engine build` makes them)'
