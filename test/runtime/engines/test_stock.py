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

"""Engines on the disk: what is listed, what is removed and what stays."""

from dataclasses import replace
import re
import shutil

from bundles import tiny_bundle
from filelock import FileLock
from hoi_perception import cli
from hoi_perception.runtime.bundle import Buckets
from hoi_perception.runtime.engines.aoti import Aoti
from hoi_perception.runtime.engines.key import EngineKey
from hoi_perception.runtime.engines.stock import known_stores, prune, take_stock
from hoi_perception.runtime.engines.store import EngineStore, RECORD
from hoi_perception.runtime.graphs import bundle_graphs
import pytest
import torch

REFUSED = 'it does not decide as eager does.'


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    """Return a bundle of two graphs, the detector's and one of its head."""
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny', buckets=Buckets(
        instances=(30,), pairs=(16,), rows=(32,)))


@pytest.fixture(scope='module')
def keys(bundle):
    """Return the keys of both graphs."""
    return [EngineKey.of(graph, Aoti(), 'fp32')
            for graph in bundle_graphs(bundle, 'defr', torch.device('cpu'))]


@pytest.fixture
def store(bundle):
    """Return the bundle's store, empty again after the test."""
    yield EngineStore(bundle.path / 'engines')
    shutil.rmtree(bundle.path / 'engines', ignore_errors=True)


def _write(directory, refused='', bundle=''):
    (directory / 'model.weights').write_bytes(b'weights' * 100)
    latency = {} if refused else {'engine': 1.0, 'eager': 2.0}
    return {'refused': refused, 'latency_ms': latency, 'bundle': str(bundle)}


def _shorten(directory):
    (directory / 'model.weights').write_bytes(b'w')


@pytest.mark.parametrize(('change', 'state', 'words'), [
    ({}, 'kept', ''),
    ({'torch': '2.0'}, 'stale', "torch '2.0'"),
    ({'version': '1'}, 'stale', "version '1'"),
    ({'weights': 'other'}, 'stale', 'weights'),
    ({'graph': 'other'}, 'stale', 'graph'),
    ({'machine': 'NVIDIA H200 (9.0)'}, 'stale', 'built for NVIDIA H200'),
    ({'bucket': 'batch1-instances9'}, 'stale', 'has no .* any more'),
    ({'name': 'interaction/dance'}, 'stale', 'has no interaction/dance'),
    ({'backend': 'tensorrt'}, 'unknown', 'needs an NVIDIA GPU')])
@pytest.mark.parametrize('number', [0, 1], ids=['detector', 'head'])
def test_every_engine_is_listed_with_what_became_of_it(bundle, keys, store, number, change, state,
                                                       words):
    store.build(replace(keys[number], **change), _write)
    found, = take_stock([store.directory])
    assert found.state == state and found.bundle == bundle.path
    assert found.size > 700 and found.speedup == 2
    assert found.useless == (state == 'stale')
    assert bool(found.reason) == (state != 'kept')
    assert re.search(words, found.reason)


def test_verdicts_that_hold_are_kept_and_damaged_engines_are_not(keys, store):
    store.build(keys[0], lambda directory: _write(directory, REFUSED))
    _shorten(store.build(keys[1], _write).directory)
    refused, damaged = take_stock([store.directory])
    assert (refused.state, refused.reason, refused.speedup) == ('refused', REFUSED, 0)
    assert damaged.state == 'damaged' and 'was altered' in damaged.reason
    assert prune([store.directory], lambda line: None) == []
    assert store.find(keys[0]) and not store.find(keys[1])


def test_prune_removes_what_is_stale_and_says_so_and_touches_nothing_else(keys, store):
    for key in (keys[0], replace(keys[0], torch='2.0'), replace(keys[1], weights='other')):
        store.build(key, _write)
    (store.directory / 'notes').mkdir()
    (store.directory / '.dead.abc').mkdir()
    (store.directory / '.dead.abc' / 'half').write_bytes(bytes(2_000_000))
    before = sorted(store.directory.rglob('*'))
    for dry_run, words in ((True, 'would be removed'), (False, 'removed')):
        lines = []
        assert prune([store.directory], lines.append, dry_run) == []
        assert len(lines) == 4 and all(words in line for line in lines)
        assert "torch '2.0'" in ' '.join(lines) and lines[2].startswith('What killed builds left')
        assert lines[3] == f'Engines {words}: 2, 2.0 MB in all.'
        if dry_run:
            kept = [path for path in store.directory.rglob('*') if path.suffix != '.lock']
            assert sorted(kept) == [path for path in before if path.suffix != '.lock']
    assert sorted(path.name for path in store.directory.iterdir() if path.is_dir()) == sorted(
        [keys[0].directory, 'notes'])
    store.find(keys[0]).verify()


def test_an_engine_that_someone_works_on_is_not_removed_and_that_is_said(keys, store):
    key = replace(keys[0], torch='2.0')
    directory = store.build(key, _write).directory
    with FileLock(directory.parent / f'.{directory.name}.lock'):
        failure, = prune([store.directory], lambda line: None)
    assert 'another process works on it' in failure and (directory / RECORD).is_file()


def test_engines_in_the_cache_know_their_bundle_and_go_when_it_is_gone(bundle, keys, tmp_path,
                                                                       monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    where = tmp_path / 'hoi_perception/engines/tiny-12345678'
    for key, home in zip(keys, (bundle.path, tmp_path / 'gone')):
        EngineStore(where).build(key, lambda directory, home=home: _write(directory, '', home))
    assert known_stores(bundle.path) == (bundle.path / 'engines', where)
    states = {found.bundle: (found.state, found.reason)
              for found in take_stock(known_stores(bundle.path))}
    assert states[bundle.path] == ('kept', '')
    assert states[tmp_path / 'gone'] == ('stale', f'its bundle {tmp_path / "gone"} is gone.')


def _run(capsys, *arguments):
    try:
        cli.main(['engine', *map(str, arguments)])
        code = 0
    except SystemExit as left:
        code = left.code
    return (code, *capsys.readouterr())


def test_the_commands_list_and_prune(bundle, keys, store, capsys, tmp_path):
    store.build(keys[0], _write)
    EngineStore(tmp_path / 'out').build(replace(keys[1], torch='2.0'),
                                        lambda directory: _write(directory, '', bundle.path))
    arguments = bundle.path, '--out', tmp_path / 'out'
    code, text, _ = _run(capsys, 'list', *arguments)
    lines = text.splitlines()
    assert not code and [line.split()[0] for line in lines[:3]] == ['state', 'stale', 'it']
    assert lines[3].startswith('kept') and '2.00 x detector' in lines[3]
    assert lines[3].endswith(str(bundle.path)) and lines[4].startswith('Engines: 2, ')
    code, text, _ = _run(capsys, 'prune', *arguments, '--dry-run')
    assert not code and 'Engines would be removed: 1, ' in text
    code, text, _ = _run(capsys, 'prune', *arguments)
    assert not code and 'Engines removed: 1, ' in text
    assert 'stale' not in _run(capsys, 'list', *arguments)[1]


@pytest.mark.parametrize(('arguments', 'words'), [
    (['{empty}'], 'not a model bundle'), (['--out', '{empty}'], 'goes with a bundle')])
@pytest.mark.parametrize('command', ['list', 'prune'])
def test_bad_input_ends_with_code_two_and_a_sentence(command, arguments, words, capsys, tmp_path):
    code, _, error = _run(capsys, command, *[a.format(empty=tmp_path) for a in arguments])
    assert code == 2 and words in error and 'Traceback' not in error
