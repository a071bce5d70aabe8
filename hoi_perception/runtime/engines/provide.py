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

"""Every network of a bundle with its engine: for `hoi engine build`, export and nodes."""

from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict, Iterator, NamedTuple, Optional, Sequence

from hoi_perception.core.errors import BundleError
from hoi_perception.core.pairs import bucket_for
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.engines.backend import Backend, EngineError
from hoi_perception.runtime.engines.build import build_engine, BuildJob, BundleGraph, Report
from hoi_perception.runtime.engines.choose import candidates, Choice, choose_engine
from hoi_perception.runtime.engines.parity import Rules
from hoi_perception.runtime.engines.places import engine_directories
from hoi_perception.runtime.engines.recorded import Recorded
from hoi_perception.runtime.engines.store import EngineStore, StoredEngine
from hoi_perception.runtime.graphs import bundle_graphs, Graph
from hoi_perception.runtime.prompts import lay_out_rows
import torch


class Provided(NamedTuple):
    """A graph and how it runs."""

    graph: Graph
    choice: Choice


def engine_store(bundle: Bundle, out: Optional[Path] = None) -> EngineStore:
    """Return the store of a bundle's engines; see `places.engine_directories`."""
    return EngineStore(*engine_directories(bundle, out))


def own_rows(bundle: Bundle) -> int:
    """Return the bucket of prompt rows that the bundle's own vocabulary falls into."""
    phrases = lay_out_rows(bundle.spec.core_vocabulary(), bundle.spec.vocabulary.background)[0]
    return bucket_for(len(phrases), bundle.spec.buckets.rows)


class EngineMaker:
    """
    Builds the engines of one bundle and head on one device.

    recorded: makes inputs of real frames by (graph name, bucket), see `recorded.record`; called
    when something is built. report: receives a sentence every few seconds.
    """

    def __init__(self, bundle: Bundle, head: str, device: torch.device, store: EngineStore,
                 batch: int = 1, recorded: Callable[[], Recorded] = dict,
                 report: Report = print) -> None:
        if head not in bundle.spec.heads:
            raise BundleError(f'head {head!r} is not in bundle {bundle.spec.name}, which has '
                              f'{", ".join(sorted(bundle.spec.heads))}.')
        self._bundle, self._head, self._device, self._batch = bundle, head, device, batch
        self._store, self._report = store, report
        self._recorded = lru_cache(maxsize=1)(recorded)

    def graphs(self, rows: Optional[Sequence[int]] = None) -> Iterator[Graph]:
        """Yield the graphs the node would run; rows: buckets of prompt rows, None = all."""
        return bundle_graphs(self._bundle, self._head, self._device, self._batch, rows)

    def build(self, graph: Graph, backend: Backend, precision: str) -> StoredEngine:
        """Build one engine, or take it from the store; see `build.build_engine`."""
        limits = self._bundle.spec.thresholds_of(self._head)
        recipe = BundleGraph(self._bundle.path.resolve(), self._head, str(self._device),
                             self._batch, graph.name, graph.bucket)
        rules = Rules(limits.instance, limits.triplet, limits.nms_iou)
        return build_engine(
            BuildJob(graph, recipe, backend, precision,
                     lambda: self._recorded().get((graph.name, graph.bucket), ()), rules,
                     str(recipe.bundle)),
            self._store, self._report)

    def provide(self, backend: str = 'auto', precision: str = 'auto',
                rows: Optional[Sequence[int]] = None) -> Iterator[Provided]:
        """
        Yield every graph with its engine, building what the store lacks.

        backend: a name, 'auto' for the first candidate that is good enough, or 'all' to build and
        measure every candidate, so that 'auto' takes the fastest from then on.
        """
        # Names are checked before networks are made.
        candidates(self._device, 'auto' if backend == 'all' else backend, precision)
        for graph in self.graphs(rows):
            yield Provided(graph, self._choice(graph, backend, precision))

    def _choice(self, graph: Graph, backend: str, precision: str) -> Choice:
        if backend != 'all':
            return choose_engine(graph, self._store, backend, precision, self.build)
        failures: Dict[str, None] = {}
        for candidate in candidates(self._device, 'auto', precision):
            try:
                self.build(graph, *candidate)
            except EngineError as error:
                failures[str(error)] = None
        choice = choose_engine(graph, self._store, 'auto', precision)
        return choice._replace(warnings=(*failures, *choice.warnings))
