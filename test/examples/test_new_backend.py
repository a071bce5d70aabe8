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

"""A new engine backend: four methods; docs/extending/backend.md shows it."""

from pathlib import Path
from typing import Optional

from hoi_perception.runtime.engines import choose
from hoi_perception.runtime.engines.backend import Runner
from hoi_perception.runtime.engines.build import examine
from hoi_perception.runtime.engines.export import export_graph, Signature
from hoi_perception.runtime.engines.key import EngineKey
from hoi_perception.runtime.engines.store import EngineStore
from hoi_perception.runtime.graphs import Graph
import pytest
from tiny_engines import frames, tiny_graph
import torch


# --8<-- [start:backend]
class ExportedProgramBackend:
    """The exported program itself, read back from a file: compiled by nobody, but a backend."""

    name = 'exported'
    precisions = ('fp32',)

    def unavailable(self, device: torch.device) -> Optional[str]:
        """Return a sentence where engines of this backend cannot run, None where they can."""
        return None if device.type == 'cpu' else f'exported is for the CPU, not {device.type}.'

    def version(self) -> str:
        """Return what an engine depends on; another version asks for another build."""
        return torch.__version__

    def build(self, graph: Graph, precision: str, directory: Path) -> None:
        """Write the engine's files; any exception is a failed build."""
        exported = export_graph(graph, precision)
        exported.signature.write(directory)
        torch.export.save(exported.program, directory / 'program.pt2')

    def load(self, directory: Path, device: torch.device) -> Runner:
        """Return a callable that takes and returns the graph's tensors."""
        program = torch.export.load(directory / 'program.pt2').module()
        return Signature.read(directory).bind(program, device)
# --8<-- [end:backend]


# --8<-- [start:use]
@pytest.fixture
def backend(monkeypatch):
    mine = ExportedProgramBackend()
    monkeypatch.setattr(choose, 'BACKENDS', (*choose.BACKENDS, mine))
    return mine


def test_a_backend_of_your_own_is_built_compared_with_eager_and_chosen(backend, tmp_path):
    graph, store = tiny_graph(), EngineStore(tmp_path)

    def write(directory):
        backend.build(graph, 'fp32', directory)
        return examine(graph, backend, 'fp32', directory, [
            tuple(tensor.numpy() for tensor in frame) for frame in frames()])

    stored = store.build(EngineKey.of(graph, backend, 'fp32'), write)
    assert not stored.refused and stored.facts['parity']['ok']
    choice = choose.choose_engine(graph, store, 'exported')
    assert choice.backend == 'exported' and not choice.warnings
    for got, expected in zip(choice.run(*graph.inputs.values()),
                             graph.module(*graph.inputs.values())):
        torch.testing.assert_close(got, expected)
# --8<-- [end:use]


def test_another_device_is_refused_with_a_sentence(backend):
    assert 'not cuda' in backend.unavailable(torch.device('cuda'))
