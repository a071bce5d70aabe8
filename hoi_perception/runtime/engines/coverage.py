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
Which operators TensorRT would take, found without GPU and without TensorRT.

Each graph is exported here and examined by `coverage_worker`, a process of its own, with the
lowering passes, decompositions, converter registry and partitioner of torch_tensorrt itself. A
full graph is convertible by registry. It was not built: whether TensorRT has a kernel for each
layer, how fast the engine is and whether its numbers agree shows only the build on the robot.
"""

from importlib.metadata import PackageNotFoundError, version
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import (
    Any,
    Dict,
    IO,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.engines.export import export_graph
from hoi_perception.runtime.engines.tensorrt import TensorRt
from hoi_perception.runtime.graphs import bundle_graphs, Graph
import torch

# The check reads torch_tensorrt's internals; another version may have moved them.
TORCH_TENSORRT = '2.14'
INSTALL = f"pip install --no-deps 'torch_tensorrt=={TORCH_TENSORRT}.*' dllist psutil"
VERDICT = 'convertible by registry; not built'
WORKER = 'hoi_perception.runtime.engines.coverage_worker'


class CoverageError(HoiError):
    """The check cannot be made on this machine."""


class Break(NamedTuple):
    """
    An operator that TensorRT would not take.

    operator: its name in the lowered graph. place: class and path of the module that calls it.
    calls: how often it stands there.
    """

    operator: str
    reason: str
    place: str
    calls: int


class CoverageRow(NamedTuple):
    """
    What was found for one graph.

    operators: calls in the lowered graph; covered: those TensorRT would take. segments,
    torch_segments: parts that TensorRT and PyTorch would run. error: why the graph could not be
    examined, '' = it was.
    """

    graph: str
    bucket: str
    operators: int = 0
    covered: int = 0
    segments: int = 0
    torch_segments: int = 0
    breaks: Tuple[Break, ...] = ()
    error: str = ''

    @property
    def full(self) -> bool:
        """Whether all of it would be one TensorRT engine."""
        return (not self.error and not self.breaks and self.covered == self.operators > 0
                and (self.segments, self.torch_segments) == (1, 0))

    def as_dict(self) -> Dict[str, Any]:
        """Return plain values for JSON."""
        return {**self._asdict(), 'breaks': [item._asdict() for item in self.breaks],
                'full': self.full}


def require_torch_tensorrt() -> str:
    """Return the version of torch_tensorrt, or raise `CoverageError` where it does not fit."""
    try:
        found = version('torch_tensorrt')
    except PackageNotFoundError as error:
        raise CoverageError(f'torch_tensorrt is not installed, and the check asks it: {INSTALL} '
                            '(a few MB; TensorRT and a GPU are not needed).') from error
    if found.split('.')[:2] != TORCH_TENSORRT.split('.'):
        raise CoverageError(f'torch_tensorrt is {found}; the check reads its internals and is '
                            f'made for {TORCH_TENSORRT}: {INSTALL}')
    return found


def check_coverage(bundle: Bundle, head: Optional[str] = None,
                   precision: str = 'fp32', every_bucket: bool = False) -> Iterator[CoverageRow]:
    """
    Return one row for each graph that the node would run, as soon as it is known.

    head: one of the bundle, None = each of them. Raises `CoverageError`. For precision and
    every_bucket see `check_graphs` and `graphs_to_check`.
    """
    heads = list(bundle.spec.heads)
    if head is not None and head not in heads:
        raise CoverageError(f'head {head!r} is not in bundle {bundle.spec.name}, which has '
                            f'{", ".join(heads)}.')
    heads = [head] if head else heads
    return check_graphs(graphs_to_check(bundle, heads, every_bucket), precision)


def graphs_to_check(bundle: Bundle, heads: Sequence[str],
                    every_bucket: bool = False) -> Iterator[Graph]:
    """
    Yield the detector and every head's graph in each bucket of pairs, at batch 1.

    every_bucket: with each bucket of instances and of prompt rows that goes with it, not only
    with the fewest instances and the most rows. The operators are the same, the sizes are not.
    """
    rows = None if every_bucket else [max(bundle.spec.buckets.rows)]
    seen = set()
    for head in heads:
        for graph in bundle_graphs(bundle, head, torch.device('cpu'), rows=rows):
            pairs = graph.inputs['human'].shape[1] if 'human' in graph.inputs else 0
            key = graph.name, graph.bucket if every_bucket else pairs
            if key not in seen:
                seen.add(key)
                yield graph


def check_graphs(graphs: Iterable[Graph], precision: str = 'fp32') -> Iterator[CoverageRow]:
    """
    Return one row per graph, in order, each as soon as it is known.

    precision: 'fp32', 'bf16' or 'fp16', with the casts of PyTorch's autocast on the graph's device
    (a GPU's list of operators differs a little). A graph that cannot be exported or lowered has a
    row too, with the reason. Raises `CoverageError` where torch_tensorrt is absent, of another
    version, or does not start.
    """
    require_torch_tensorrt()
    if precision not in TensorRt.precisions:
        raise CoverageError(f'precision {precision!r} is not one of '
                            f'{", ".join(TensorRt.precisions)}.')
    with tempfile.TemporaryDirectory(prefix='hoi-coverage-') as directory, \
            (Path(directory) / 'log').open('w+') as log:
        worker = _start(log)
        try:
            _ready(worker, log)
            for graph in graphs:
                yield _row(graph, precision, worker, Path(directory) / 'graph.pt2')
        finally:
            worker.kill()
            worker.communicate()


def _start(log: IO[str]) -> subprocess.Popen[str]:
    # Without a visible GPU nothing of the check can take memory of one.
    return subprocess.Popen([sys.executable, '-m', WORKER], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=log, text=True,
                            env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''})


def _ready(worker: subprocess.Popen[str], log: IO[str]) -> None:
    assert worker.stdout
    if not worker.stdout.readline():
        log.seek(0)
        lines = log.read().strip().splitlines() or ['nothing was said']
        raise CoverageError(f'torch_tensorrt does not start on this machine: {lines[-1]:.300}')


def _row(graph: Graph, precision: str, worker: subprocess.Popen[str], path: Path) -> CoverageRow:
    try:
        torch.export.save(export_graph(graph, precision, grid_free=True).program, path)
    except Exception as error:  # whatever stops it, the graph is listed with it
        text = ' '.join(str(error).split())
        return CoverageRow(graph.name, graph.bucket,
                           error=f'torch.export: {type(error).__name__}: {text:.300}')
    answer = _ask(worker, path)
    path.unlink()
    breaks: List[List[Any]] = answer.pop('breaks', [])
    return CoverageRow(graph.name, graph.bucket, breaks=tuple(Break(*item) for item in breaks),
                       **answer)


def _ask(worker: subprocess.Popen[str], path: Path) -> Dict[str, Any]:
    assert worker.stdin and worker.stdout
    try:
        worker.stdin.write(f'{path}\n')
        worker.stdin.flush()
        line = worker.stdout.readline()
    except BrokenPipeError:
        line = ''
    if not line:
        return {'error': f'the checking process ended with {worker.wait()}; is there enough '
                         'memory?'}
    answer: Dict[str, Any] = json.loads(line)
    return answer
