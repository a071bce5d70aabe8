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

"""The compilers themselves, on a tiny network with inputs of every type that graphs have."""

import ast
from importlib.util import find_spec
from pathlib import Path

from hoi_perception.runtime.engines import aoti, openvino, tensorrt
from hoi_perception.runtime.engines.backend import EngineError
from hoi_perception.runtime.engines.build import examine
from hoi_perception.runtime.engines.eager import Eager
from hoi_perception.runtime.engines.export import export_graph, Signature
import pytest
from tiny_engines import frames, tiny_graph
import torch

CPU = torch.device('cpu')


def _arrays():
    return [tuple(tensor.numpy() for tensor in frame) for frame in frames()]


@pytest.fixture(scope='module')
def aoti_engine(tmp_path_factory):
    """Compile once in this file; takes a while even for a tiny network."""
    if aoti.compiler() is None:
        pytest.skip('there is no C++ compiler, which AOTInductor needs to build.')
    directory = tmp_path_factory.mktemp('aoti')
    aoti.Aoti().build(tiny_graph(), 'fp32', directory)
    return directory


@pytest.fixture(scope='module')
def openvino_engine(tmp_path_factory):
    if reason := openvino.OpenVino().unavailable(CPU):
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp('openvino')
    openvino.OpenVino().build(tiny_graph(), 'fp32', directory)
    return directory


@pytest.fixture(params=['aoti', 'openvino'])
def engine(request):
    """Return a compiling backend and the directory of its engine."""
    backend = {'aoti': aoti.Aoti, 'openvino': openvino.OpenVino}[request.param]()
    return backend, request.getfixturevalue(f'{request.param}_engine')


def test_a_compiled_engine_decides_as_eager(engine):
    backend, directory = engine
    facts = examine(tiny_graph(), backend, 'fp32', directory, _arrays())
    assert facts['parity']['ok'] and facts['parity']['inputs'] == 4
    assert facts['parity']['decisions'] > 20 and max(facts['parity']['max_error'].values()) < 1e-5


def test_views_are_read_as_eager_reads_them(engine):
    backend, directory = engine
    graph = tiny_graph()
    pixels, order, valid = graph.inputs.values()
    turned = pixels.permute(0, 2, 1, 3).contiguous().permute(0, 2, 1, 3)
    strided = torch.stack([order, order], -1)[..., 0]
    assert not turned.is_contiguous() and not strided.is_contiguous()
    run = backend.load(directory, CPU)
    for got, expected in zip(run(turned, strided, valid), graph.module(pixels, order, valid)):
        torch.testing.assert_close(got, expected)


def test_the_results_of_a_call_outlive_the_next(engine):
    backend, directory = engine
    run = backend.load(directory, CPU)
    with torch.inference_mode():
        first = run(*tiny_graph().inputs.values())
        before = [tensor.clone() for tensor in first]
        run(*frames()[0])
    assert all(torch.equal(a, b) for a, b in zip(first, before))


def test_an_input_of_another_shape_or_type_is_a_sentence(engine):
    backend, directory = engine
    run = backend.load(directory, CPU)
    pixels, order, valid = tiny_graph().inputs.values()
    with pytest.raises(EngineError, match='expects pixels .1, 32, 32, 3. uint8 on cpu, got'):
        run(pixels.float(), order, valid)
    with pytest.raises(EngineError, match='expects valid'):
        run(pixels, order, valid[:, :-1])
    with pytest.raises(EngineError, match='takes 3 tensors, 1 were given'):
        run(pixels)


def test_no_file_of_an_engine_has_the_ending_of_a_pickle(engine):
    from hoi_perception.runtime.bundle import PICKLES
    assert not [path for path in engine[1].rglob('*') if path.suffix in PICKLES]


def test_a_truncated_openvino_engine_does_not_load(openvino_engine, tmp_path):
    for path in openvino_engine.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / openvino.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(RuntimeError):
        openvino.OpenVino().load(tmp_path, CPU)


def test_openvino_in_bf16_decides_as_eager(openvino_engine, tmp_path):
    openvino.OpenVino().build(tiny_graph(), 'bf16', tmp_path)
    facts = examine(tiny_graph(), openvino.OpenVino(), 'bf16', tmp_path, _arrays())
    assert facts['parity']['ok'], facts['parity']


def test_low_precision_is_autocast_inside_and_the_graphs_types_outside():
    exported = export_graph(tiny_graph(), 'bf16')
    assert 'autocast' in str(exported.program.graph) or 'bfloat16' in str(exported.program.graph)
    with torch.no_grad():
        outputs = exported.program.module()(*exported.inputs)
    assert [str(tensor.dtype) for tensor in outputs] == [
        f'torch.{spec.dtype}' for spec in Signature.of(tiny_graph()).outputs]


@pytest.mark.parametrize(('backend', 'device', 'words'), [
    (tensorrt.TensorRt(), 'cpu', 'tensorrt needs an NVIDIA GPU, the device is cpu.'),
    (openvino.OpenVino(), 'cuda', 'openvino is used for the CPU only, not for cuda.'),
    (aoti.Aoti(), 'mps', 'aoti runs on cpu and cuda, not on mps.'),
    (Eager(), 'cpu', None), (aoti.Aoti(), 'cuda', None)])
def test_a_backend_says_why_it_cannot_run(backend, device, words):
    assert backend.unavailable(torch.device(device)) == words


def test_a_backend_that_is_not_installed_says_what_to_install(monkeypatch):
    for module, backend, device in ((openvino, openvino.OpenVino(), 'cpu'),
                                    (tensorrt, tensorrt.TensorRt(), 'cuda')):
        monkeypatch.setattr(module, 'find_spec', lambda name: None)
        assert 'not installed: pip install' in backend.unavailable(torch.device(device))


def test_aoti_without_a_compiler_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(aoti.shutil, 'which', lambda name: None)
    with pytest.raises(EngineError, match='needs a C.. compiler'):
        aoti.Aoti().build(tiny_graph(), 'fp32', tmp_path)


def test_tensorrt_is_asked_for_one_whole_engine(monkeypatch, tmp_path):
    """What can be said without a GPU: the arguments, against the compiler's own signature."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    options = tensorrt.compile_options(export_graph(tiny_graph(), grid_free=True))
    assert options['require_full_compilation']
    assert [tuple(tensor.shape) for tensor in options['arg_inputs']] == [
        tuple(tensor.shape) for tensor in tiny_graph().inputs.values()]
    assert options['timing_cache_path'].startswith(str(tmp_path))
    assert set(options) <= _arguments_of_the_compiler()


def _arguments_of_the_compiler():
    """Read them from the source: torch_tensorrt cannot be imported without TensorRT."""
    found = find_spec('torch_tensorrt')
    if found is None:
        pytest.skip('torch_tensorrt is not installed.')
    source = Path(found.origin).parent / 'dynamo/_compiler.py'
    compile_ = next(node for node in ast.parse(source.read_text()).body
                    if isinstance(node, ast.FunctionDef) and node.name == 'compile')
    return {argument.arg for argument in compile_.args.kwonlyargs}
