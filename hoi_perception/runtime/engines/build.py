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
Building an engine in a process of its own, with a word every few seconds.

The process makes the network again from a recipe, compiles it, loads what it wrote and compares
it with eager in parity and time. Compilers that crash, leak or are killed take only that process
with them. Nothing is pickled but the recipe and the frames to compare on.
"""

from dataclasses import dataclass
import multiprocessing
from multiprocessing.connection import Connection, wait
import os
from pathlib import Path
import shutil
import signal
import statistics
import tempfile
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.engines.backend import Backend, EngineError, Runner, Tensors
from hoi_perception.runtime.engines.judge import judge
from hoi_perception.runtime.engines.key import EngineKey
from hoi_perception.runtime.engines.parity import DEFAULT_RULES, Rules
from hoi_perception.runtime.engines.store import EngineStore, FULL, StoredEngine
from hoi_perception.runtime.graphs import bundle_graphs, Graph
import numpy as np
import torch

Report = Callable[[str], None]
PERIOD = 5.0  # seconds between two words of progress
ROUNDS, SECONDS = 30, 3.0  # bounds of the time measurement
SPARE = 16 << 20  # bytes that must stay free beside the weights


@dataclass(frozen=True)
class BundleGraph:
    """The recipe of one graph of a bundle; calling it makes the graph, in any process."""

    bundle: Path
    head: str
    device: str
    batch: int
    name: str
    bucket: str

    def __call__(self) -> Graph:
        """Open the bundle and return the graph."""
        graphs = bundle_graphs(Bundle.open(self.bundle, verify=False), self.head,
                               torch.device(self.device), self.batch)
        return next(graph for graph in graphs
                    if (graph.name, graph.bucket) == (self.name, self.bucket))


@dataclass(frozen=True)
class BuildJob:
    """
    One engine to be built.

    graph: for the key. recipe: makes the same graph in the build process; must pickle. recorded:
    makes inputs of real frames to compare on, beside the graph's example. rules: what decides.
    bundle: where the graph came from, for those who list engines; '' = from nowhere.
    """

    graph: Graph
    recipe: Callable[[], Graph]
    backend: Backend
    precision: str
    recorded: Callable[[], Sequence[Tensors]] = tuple
    rules: Rules = DEFAULT_RULES
    bundle: str = ''

    @property
    def key(self) -> EngineKey:
        """The key of the engine."""
        return EngineKey.of(self.graph, self.backend, self.precision)


def build_engine(job: BuildJob, store: EngineStore, report: Report = print) -> StoredEngine:
    """
    Return the engine of the job, building it where the store has none that is whole.

    The engine may be one that must not be used: its `refused` says so; the verdict is kept, so
    that it is not built again at every start. Raises `EngineError` where building fails.
    """
    device = next(iter(job.graph.inputs.values())).device
    if job.precision not in job.backend.precisions:
        raise EngineError(f'{job.backend.name} has no precision {job.precision}: choose one of '
                          f'{", ".join(job.backend.precisions)}.')
    if reason := job.backend.unavailable(device):
        raise EngineError(reason)
    key = job.key
    return store.build(key, lambda directory: _write(job, key, directory, report), report)


def _write(job: BuildJob, key: EngineKey, directory: Path, report: Report) -> Mapping[str, Any]:
    _check_space(job, key, directory)
    began = time.monotonic()
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    recorded = [tuple(tensor.cpu().numpy() for tensor in frame) for frame in job.recorded()]
    process = context.Process(target=_work, args=(
        theirs, job.recipe, job.backend, job.precision, directory, recorded, job.rules,
        torch.get_num_threads()))
    process.start()
    theirs.close()
    try:
        facts = _follow(ours, process, key, report, began)
    finally:
        process.kill()
        process.join()
    facts['build_seconds'] = round(time.monotonic() - began, 1)
    facts['bundle'] = job.bundle
    report(f'{key.label}: {_summary(facts)}')
    return facts


def _check_space(job: BuildJob, key: EngineKey, directory: Path) -> None:
    held = [*job.graph.module.parameters(), *job.graph.module.buffers()]
    needed = SPARE + sum(tensor.numel() * tensor.element_size() for tensor in held)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise OSError(FULL[0], f'about {needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are '
                               'free')


def _follow(messages: Connection, process: Any, key: EngineKey, report: Report,
            began: float) -> Dict[str, Any]:
    """Pass on progress until the process has finished; return the facts it found."""
    stage = 'starting'
    while True:
        try:
            if not messages.poll(PERIOD):
                report(f'{key.label}: {stage}, {time.monotonic() - began:.0f} s.')
                continue
            kind, content = messages.recv()
        except (EOFError, ConnectionError):
            process.join()
            raise EngineError(
                f'{key.label}: the build process died while {stage} ({_exit(process.exitcode)}).'
            ) from None
        if kind == 'stage':
            stage = content
            report(f'{key.label}: {stage}, {time.monotonic() - began:.0f} s.')
        elif kind == 'disk':
            raise OSError(*content)
        elif kind == 'failed':
            raise EngineError(f'{key.label}: {stage} failed: {content}')
        else:
            return dict(content)


def _exit(code: int) -> str:
    if code == -signal.SIGKILL:
        return 'signal 9; often the memory was not enough'
    return f'signal {-code}' if code < 0 else f'exit code {code}'


def _summary(facts: Mapping[str, Any]) -> str:
    if facts['refused']:
        return str(facts['refused'])
    latency, parity = facts['latency_ms'], facts['parity']
    return (f'built in {facts["build_seconds"]:.0f} s; {latency["engine"]:.2f} ms, eager '
            f'{latency["eager"]:.2f} ms; {parity["decisions"]} decisions as eager '
            f'({parity["judged"]}).')


def _work(messages: Connection, recipe: Callable[[], Graph], backend: Backend, precision: str,
          directory: Path, recorded: Sequence[Tuple[np.ndarray, ...]], rules: Rules,
          threads: int) -> None:
    """Build and examine one engine: the main function of the build process."""
    _die_with_parent()
    torch.set_num_threads(threads)
    try:
        messages.send(('stage', 'making the network'))
        graph = recipe()
        messages.send(('stage', 'compiling'))
        backend.build(graph, precision, directory)
        messages.send(('stage', 'comparing with eager'))
        messages.send(('facts', examine(graph, backend, precision, directory, recorded, rules)))
    except OSError as error:
        messages.send(('disk', (error.errno, error.strerror)) if error.errno
                      else ('failed', _sentence(error)))
    except EngineError as error:
        messages.send(('failed', str(error)))
    except Exception as error:  # a compiler may raise anything; the node goes on without it
        full = _full(directory)
        messages.send(('disk', (full.errno, full.strerror)) if full
                      else ('failed', _sentence(error)))


def _full(directory: Path) -> Optional[OSError]:
    """Return the error that writing a file gives; writers in C++ do not say what went wrong."""
    try:
        with tempfile.TemporaryFile(dir=directory) as stream:
            stream.write(bytes(1 << 20))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return error
    return None


def _sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {" ".join(lines)[:400]}'


def _die_with_parent() -> None:
    """End this process and the compilers it started when the parent ends, however it does."""
    os.setsid()
    parent = multiprocessing.parent_process()

    def watch() -> None:
        wait([parent.sentinel])  # type: ignore[union-attr]
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def examine(graph: Graph, backend: Backend, precision: str, directory: Path,
            recorded: Sequence[Tuple[np.ndarray, ...]] = (),
            rules: Rules = DEFAULT_RULES) -> Dict[str, Any]:
    """
    Load what was built and compare it with eager; return the facts for `engine.json`.

    recorded: inputs of real frames (in the graph's shapes), which are judged where they give
    enough decisions, see `judge.judge`; the graph's own random example is judged otherwise. An
    engine without parity is refused, its files are removed and only the verdict stays.
    """
    example = tuple(graph.inputs.values())
    device = example[0].device
    frames = [example, *(tuple(torch.from_numpy(array).to(device) for array in frame)
                         for frame in recorded)]
    run = backend.load(directory, device)
    with torch.inference_mode():
        verdict = judge(graph.outputs, [graph.module(*frame) for frame in frames],
                        [run(*frame) for frame in frames], precision, rules)
        latency = {} if verdict.failure else measure(graph.module, run, example)
    refused = ''
    if verdict.failure:
        refused = (f'{graph.name} {graph.bucket} with {backend.name} {precision} does not decide '
                   f'as eager does ({verdict.failure}): it is not used.')
        for path in directory.iterdir():
            path.unlink()
    return {'refused': refused, 'parity': verdict.to_dict(), 'latency_ms': latency,
            'threads': torch.get_num_threads()}


def measure(eager: Callable[..., Tensors], engine: Runner, inputs: Tensors) -> Dict[str, float]:
    """Return the median times of both in milliseconds, taken in turns on the same inputs."""
    on_gpu = inputs[0].is_cuda
    times: Dict[str, List[float]] = {'eager': [], 'engine': []}
    began = time.perf_counter()
    while len(times['eager']) < 6 or (len(times['eager']) < ROUNDS
                                      and time.perf_counter() - began < SECONDS):
        for name, call in (('eager', eager), ('engine', engine)):
            start = time.perf_counter()
            call(*inputs)
            if on_gpu:
                torch.cuda.synchronize()
            times[name].append(1000 * (time.perf_counter() - start))
    # The first rounds warm caches and threads up.
    return {name: round(statistics.median(values[2:]), 4) for name, values in times.items()}
