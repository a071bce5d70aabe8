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

"""`hoi engine check` as a user types it; and what ships and is listed stays convertible."""

from importlib.util import find_spec
import json
from pathlib import Path

from benchmarks import tensorrt_coverage
from bundles import LAIN_HEAD, tiny_bundle
from hoi_perception import cli
from hoi_perception.networks.lain import LainConfig
from hoi_perception.networks.transformers_detectors import architecture_class
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_perception.runtime.configurations import configuration_names, configurations
from hoi_perception.runtime.engines import coverage
import pytest

RESULTS = Path(__file__).resolve().parent.parent / 'benchmarks/results/tensorrt_coverage.json'
needs_torch_tensorrt = pytest.mark.skipif(
    find_spec('torch_tensorrt') is None, reason=f'torch_tensorrt is absent: {coverage.INSTALL}')


def _run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(['engine', 'check', *map(str, arguments)])
    out = capsys.readouterr()
    return left.value.code, out.out, out.err


@pytest.mark.timeout(600)  # 20 s on a free core
@needs_torch_tensorrt
def test_the_shipped_detector_and_its_default_head_are_one_engine_each():
    bundle = Bundle.open(default_bundle_path())
    head = next(iter(bundle.spec.heads))
    graphs = coverage.graphs_to_check(bundle, [head])
    rows = list(coverage.check_graphs([next(graphs), next(graphs)]))
    assert [row.graph for row in rows] == ['detector', f'interaction/{head}']
    assert all(row.full for row in rows), rows


@pytest.mark.timeout(600)
@needs_torch_tensorrt
def test_a_bundle_is_reported_as_a_table(capsys, tmp_path):
    bundle = tiny_bundle(
        tmp_path / 'tiny', heads={'lain': LAIN_HEAD},
        buckets={'instances': (8,), 'pairs': (16,), 'rows': (32,)})
    code, text, error = _run(capsys, bundle.path)
    lines = text.splitlines()
    assert code == 0, text + error
    assert [line.split()[0] for line in lines[:3]] == ['graph', 'detector', 'interaction/lain']
    assert lines[-1] == '2 of 2 graphs are convertible by registry; not built (fp32).'


def test_a_graph_that_breaks_is_listed_with_its_operator_and_ends_with_code_one(
        capsys, tmp_path, monkeypatch):
    rows = [coverage.CoverageRow('detector', 'batch1', 9, 9, 1, 0),
            coverage.CoverageRow('interaction/defr', 'batch1', 9, 8, 2, 1, (coverage.Break(
                'torch.ops.torchvision.nms.default', 'no converter', 'Head head', 1),)),
            coverage.CoverageRow('interaction/lain', 'batch1', error='torch.export: no')]
    monkeypatch.setattr(coverage, 'check_coverage', lambda *arguments: iter(rows))
    path = tiny_bundle(tmp_path / 'tiny').path
    code, text, _ = _run(capsys, path)
    assert code == 1
    assert 'torch.ops.torchvision.nms.default x 1 in Head head: no converter' in text
    assert 'not examined: torch.export: no' in text
    assert '1 of 3 graphs are convertible by registry; not built (fp32).' in text
    code, text, _ = _run(capsys, path, '--json')
    report = json.loads(text)
    assert code == 1 and report['verdict'] == 'convertible by registry; not built'
    assert [graph['full'] for graph in report['graphs']] == [True, False, False]
    assert report['graphs'][1]['breaks'][0]['operator'].endswith('nms.default')


@pytest.mark.parametrize(('arguments', 'words'), [
    (['{empty}'], 'not a model bundle'),
    (['--backend', 'openvino'], 'cannot be checked'),
    (['--configuration', 'yolo+ViT-B-16+lain'], 'rfdetr-nano'),
    (['{empty}', '--configuration', 'detr-r50+ViT-B-16+lain'], 'not both')])
def test_bad_input_ends_with_code_two_and_a_sentence(arguments, words, capsys, tmp_path):
    code, _, error = _run(capsys, *[a.format(empty=tmp_path) for a in arguments])
    assert code == 2 and words in error and 'Traceback' not in error


@pytest.mark.parametrize(('option', 'value', 'words'), [
    ('--precision', 'int3', 'int3'), ('--head', 'dance', 'dance')])
@needs_torch_tensorrt
def test_what_the_bundle_or_the_backend_does_not_have_ends_with_code_two(
        option, value, words, capsys, tmp_path):
    code, _, error = _run(capsys, tiny_bundle(tmp_path / 'tiny').path, option, value)
    assert code == 2 and words in error


def test_every_combination_that_is_listed_has_a_name():
    listed = configurations()
    names = configuration_names()
    without_masks = {f'{detector}+{clip}+seg2hoi' for clip in listed['clips']
                     for detector in listed['detectors'] if '-seg-' not in detector}
    assert len(names) == len(set(names)) == (
        len(listed['detectors']) * len(listed['clips']) * len(listed['heads'])
        - len(without_masks))
    assert {'rfdetr-nano+ViT-B-16+lain', 'rfdetr-seg-nano+ViT-B-16+seg2hoi'} <= set(names)
    assert not without_masks & set(names)


def test_listed_detectors_have_queries_of_one_length_so_that_a_head_is_checked_once():
    lengths = {architecture_class(detector['architecture']).config_class.from_dict(
        detector['config']).d_model for detector in configurations()['detectors'].values()}
    assert lengths == {LainConfig().query_dim}


def test_everything_that_ships_or_is_listed_was_checked_and_found_convertible():
    recorded = json.loads(RESULTS.read_text())
    parts, known = recorded['parts'], tensorrt_coverage.parts()
    assert recorded['versions']['torch_tensorrt'].startswith(f'{coverage.TORCH_TENSORRT}.')
    missing = [name for name in known if name not in parts]
    assert not missing, f'record: python -m benchmarks.tensorrt_coverage {" ".join(missing)}'
    assert set(parts) == set(known)
    assert all(part['full'] and part['graphs'] for part in parts.values())
