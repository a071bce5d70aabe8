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

"""`hoi engine build` as a user types it, and the engines it leaves for nodes."""

from bundles import tiny_bundle
from hoi_perception import cli
from hoi_perception.core.errors import BundleError
from hoi_perception.runtime.bundle import Buckets, Bundle
from hoi_perception.runtime.engines import places
from hoi_perception.runtime.engines.openvino import OpenVino
from hoi_perception.runtime.engines.provide import engine_store, EngineMaker, own_rows
import pytest
import torch

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    """Return a bundle of two graphs, the detector's and one of its head."""
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny', buckets=Buckets(
        instances=(30,), pairs=(16,), rows=(32,)))


def _run(*arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(['engine', 'build', *map(str, arguments)])
    return left.value.code


@pytest.fixture(scope='module')
def built(bundle):
    """Build both graphs once in this file."""
    if reason := OpenVino().unavailable(CPU):
        pytest.skip(reason)
    assert _run(bundle.path, '--backend', 'openvino', '--precision', 'fp32') == 0
    return bundle


def test_built_engines_are_in_the_bundle_and_are_taken_without_building(built):
    maker = EngineMaker(built, 'defr', CPU, engine_store(built),
                        report=lambda line: pytest.fail(f'built again: {line}'))
    provided = list(maker.provide('openvino', 'fp32'))
    assert [graph.name for graph, _ in provided] == ['detector', 'interaction/defr']
    for graph, choice in provided:
        assert choice.backend == 'openvino' and not choice.warnings
        with torch.inference_mode():
            pairs = zip(choice.run(*graph.inputs.values()), graph.module(*graph.inputs.values()))
            assert all(got.dtype == expected.dtype and got.shape == expected.shape
                       for got, expected in pairs)


def test_a_bundle_with_engines_is_still_a_whole_bundle(built):
    assert Bundle.open(built.path).model_id == built.model_id


def test_a_second_build_says_what_runs_and_builds_nothing(built, capsys):
    assert _run(built.path, '--backend', 'openvino', '--precision', 'fp32') == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all('runs with openvino fp32' in line for line in lines)


def test_an_engine_that_cannot_be_built_is_exit_code_1(bundle, capsys):
    assert _run(bundle.path, '--backend', 'tensorrt', '--precision', 'fp16',
                '--device', 'cpu') == 1
    said = capsys.readouterr()
    assert 'needs an NVIDIA GPU' in said.err and 'runs with eager' in said.out


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--backend', 'onnx'], 'choose auto or one of'),
    (['--precision', 'int8'], 'is unknown'),
    (['--backend', 'openvino', '--precision', 'fp16'], 'has no precision'),
    (['--head', 'lain'], 'is not in bundle'),
    (['--batch', '0'], 'batch')])
def test_bad_input_is_a_sentence_and_exit_code_2(bundle, capsys, arguments, words):
    assert _run(bundle.path, '--device', 'cpu', *arguments) == 2
    said = capsys.readouterr().err
    assert words in said and 'Traceback' not in said


def test_what_is_no_bundle_is_exit_code_2(tmp_path, capsys):
    assert _run(tmp_path) == 2
    assert 'not a model bundle' in capsys.readouterr().err


def test_engines_of_a_read_only_bundle_go_to_the_users_cache(bundle, monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(places, 'writable', lambda directory: False)
    first, second = places.engine_directories(bundle)
    assert first.parent == tmp_path / 'hoi_perception/engines'
    assert second == bundle.path / 'engines'
    assert places.engine_directories(bundle, tmp_path / 'own') == (tmp_path / 'own', second)


def test_a_missing_directory_is_writable_where_its_parent_is(tmp_path):
    assert places.writable(tmp_path / 'engines')
    assert not places.writable(tmp_path / 'none' / 'engines')


def test_rows_are_those_of_the_bundles_own_verbs(bundle):
    assert own_rows(bundle) == 32


def test_an_unknown_head_is_a_sentence(bundle, tmp_path):
    with pytest.raises(BundleError, match='which has defr'):
        EngineMaker(bundle, 'x', CPU, engine_store(bundle, tmp_path))
