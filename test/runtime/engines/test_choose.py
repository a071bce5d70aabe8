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

"""Which engine is taken, and what is said about it."""

from hoi_perception.runtime.engines import choose
from hoi_perception.runtime.engines.backend import EngineError
from hoi_perception.runtime.engines.build import examine
from hoi_perception.runtime.engines.choose import candidates, choose_engine
from hoi_perception.runtime.engines.key import EngineKey
from hoi_perception.runtime.engines.store import EngineStore
import pytest
from tiny_engines import Fake, tiny_graph
import torch

CPU = torch.device('cpu')
FIRST, SECOND = Fake('openvino'), Fake('aoti')


@pytest.fixture(autouse=True)
def two_backends(monkeypatch):
    """Offer fakes in place of the compilers; each is the network itself."""
    monkeypatch.setattr(choose, 'BACKENDS', (choose.Eager(), SECOND, FIRST))
    monkeypatch.setattr(choose, 'OpenVino', lambda: FIRST)
    monkeypatch.setattr(choose, 'Aoti', lambda: SECOND)


def _put(store, backend, latency=None, **facts):
    """Build in this process; latency: (engine, eager) to be recorded."""
    def write(directory):
        backend.build(tiny_graph(), 'fp32', directory)
        found = examine(tiny_graph(), backend, 'fp32', directory)
        if latency:
            found['latency_ms'] = {'engine': latency[0], 'eager': latency[1]}
        return {**found, **facts}
    return store.build(EngineKey.of(tiny_graph(), backend, 'fp32'), write)


def test_auto_takes_the_fastest_of_those_that_were_built(tmp_path):
    store = EngineStore(tmp_path)
    _put(store, FIRST, (5.0, 10.0))
    _put(store, SECOND, (2.0, 10.0))
    choice = choose_engine(tiny_graph(), store)
    assert (choice.backend, choice.precision, choice.warnings) == ('aoti', 'fp32', ())
    assert '2.00 ms, eager 10.00 ms' in choice.reason and choice.reason.count('.') == 3
    graph = tiny_graph()
    got, expected = (run(*graph.inputs.values()) for run in (choice.run, graph.module))
    assert all(torch.equal(a, b) for a, b in zip(got, expected))


def test_auto_never_offers_an_engine_that_is_not_faster_than_eager(tmp_path):
    store = EngineStore(tmp_path)
    _put(store, FIRST, (10.0, 10.5))
    choice = choose_engine(tiny_graph(), store)
    assert choice.backend == 'eager' and 'openvino fp32 is 1.05 times as fast' in choice.reason
    assert choose_engine(tiny_graph(), store, 'openvino').backend == 'openvino'


@pytest.mark.parametrize('parts', [('eager', 'auto'), ('auto', 'auto')])
def test_eager_runs_where_nothing_else_is_built_or_wanted(tmp_path, parts):
    choice = choose_engine(tiny_graph(), EngineStore(tmp_path / 'none'), *parts)
    assert choice.backend == 'eager' and not choice.warnings
    assert len(choice.run(*tiny_graph().inputs.values())) == 4


def test_an_engine_without_parity_is_said_once_and_the_next_is_built(tmp_path, monkeypatch):
    wrong = Fake('openvino', shift=0.05)
    monkeypatch.setattr(choose, 'OpenVino', lambda: wrong)
    store, built = EngineStore(tmp_path), []

    def builder(graph, backend, precision):
        built.append(backend.name)
        return _put(store, backend, None if backend is wrong else (1.0, 2.0))

    for _ in range(2):  # the verdict is kept: it is not tried again
        choice = choose_engine(tiny_graph(), store, builder=builder)
        assert choice.backend == 'aoti'
        assert len(choice.warnings) == 1 and 'does not decide as eager' in choice.warnings[0]
    assert built == ['openvino', 'aoti']


def test_a_build_that_fails_is_said_and_the_next_is_tried(tmp_path):
    store = EngineStore(tmp_path)

    def builder(graph, backend, precision):
        if backend is FIRST:
            raise EngineError('openvino cannot.')
        return _put(store, backend, (1.0, 2.0))

    choice = choose_engine(tiny_graph(), store, builder=builder)
    assert choice.backend == 'aoti' and choice.warnings == ('openvino cannot.',)


def test_an_engine_of_another_gpu_is_said_and_not_used(tmp_path, monkeypatch):
    store = EngineStore(tmp_path)
    with monkeypatch.context() as other:
        other.setattr('hoi_perception.runtime.engines.key.machine_name',
                      lambda device: 'NVIDIA A100 (8.0)')
        _put(store, SECOND)
    choice = choose_engine(tiny_graph(), store, 'aoti')
    assert choice.backend == 'eager' and "machine 'NVIDIA A100 (8.0)'" in choice.warnings[0]


def test_a_damaged_engine_is_said_and_built_again(tmp_path):
    store = EngineStore(tmp_path)
    weights = _put(store, SECOND).directory / 'model.weights'
    weights.write_bytes(weights.read_bytes()[:-1])
    choice = choose_engine(tiny_graph(), store, 'aoti')
    assert choice.backend == 'eager' and 'was altered' in choice.warnings[0]
    choice = choose_engine(tiny_graph(), store, 'aoti',
                           builder=lambda graph, backend, precision: _put(store, backend))
    assert choice.backend == 'aoti' and 'was altered' in choice.warnings[0]


def test_an_engine_that_does_not_load_is_said_and_eager_runs(tmp_path):
    store = EngineStore(tmp_path)
    stored = _put(store, SECOND)
    backend = Fake('aoti')
    object.__setattr__(backend, 'load', lambda directory, device: 1 / 0)
    with pytest.raises(EngineError, match='cannot be loaded: ZeroDivisionError'):
        choose.load_engine(stored, backend, CPU)


@pytest.mark.parametrize(('arguments', 'words'), [
    (('onnx', 'auto'), 'choose auto or one of eager, aoti, openvino'),
    (('aoti', 'int8'), 'has no precision .int8.: choose auto or one of fp32'),
    (('auto', 'int4'), 'precision .int4. is unknown')])
def test_unknown_names_are_a_sentence(tmp_path, arguments, words):
    with pytest.raises(EngineError, match=words):
        choose_engine(tiny_graph(), EngineStore(tmp_path), *arguments)


def test_low_precision_is_tried_first_where_the_hardware_has_it(monkeypatch):
    monkeypatch.setattr(choose, 'OpenVino', lambda: Fake('openvino', precisions=('fp32', 'bf16')))
    for has, expected in ((True, ['openvino bf16', 'openvino fp32', 'aoti fp32']),
                          (False, ['openvino fp32', 'aoti fp32'])):
        monkeypatch.setattr(choose, 'has_bf16', lambda device, has=has: has)
        assert [str(item) for item in candidates(CPU)] == expected


def test_what_is_not_installed_is_left_out_of_auto_and_said_when_named(tmp_path, monkeypatch):
    absent = Fake('openvino', missing='openvino is not installed.')
    monkeypatch.setattr(choose, 'OpenVino', lambda: absent)
    monkeypatch.setattr(choose, 'BACKENDS', (absent,))
    assert [item.backend.name for item in candidates(CPU)] == ['aoti']
    choice = choose_engine(tiny_graph(), EngineStore(tmp_path), 'openvino')
    assert choice.warnings == ('openvino is not installed.',) and choice.backend == 'eager'
