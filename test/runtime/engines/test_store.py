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

"""Engines on disk when things go wrong: every fault is really made and ends in a sentence."""

from dataclasses import fields, replace
import os
from pathlib import Path
import subprocess
import sys
import tempfile

from filelock import FileLock
from hoi_perception.runtime.engines.backend import EngineError
from hoi_perception.runtime.engines.key import EngineKey
from hoi_perception.runtime.engines.store import EngineStore, RECORD
import pytest
from tiny_engines import Fake, tiny_graph


def _key():
    return EngineKey.of(tiny_graph(), Fake(), 'fp32')


def _write(directory):
    """Stand in for a build where only the store matters."""
    (directory / 'model.weights').write_bytes(b'weights' * 100)
    return {'refused': '', 'latency_ms': {'engine': 1.0, 'eager': 2.0}}



def test_a_second_build_takes_what_is_there(tmp_path):
    store = EngineStore(tmp_path)
    first = store.build(_key(), _write)
    assert store.build(_key(), lambda _: pytest.fail('built twice')) == first


def test_another_directory_is_read_but_not_written(tmp_path):
    EngineStore(tmp_path / 'shipped').build(_key(), _write)
    store = EngineStore(tmp_path / 'mine', tmp_path / 'shipped')
    assert store.build(_key(), lambda _: pytest.fail('built twice')).directory.parent.name \
        == 'shipped'


def test_leftovers_of_other_builds_are_removed_unless_someone_works_on_them(tmp_path):
    dead, alive = tmp_path / '.dead.abc', tmp_path / '.alive.abc'
    for leftover in (dead, alive):
        (leftover / 'model').mkdir(parents=True)
    with FileLock(tmp_path / '.alive.lock'):
        EngineStore(tmp_path).build(_key(), _write)
    assert alive.exists() and not dead.exists()


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize('name', ['model.weights', RECORD])
@pytest.mark.parametrize('damage', [_flip, _truncate, Path.unlink],
                         ids=['flipped', 'truncated', 'removed'])
def test_a_damaged_engine_is_never_loaded_and_built_again(tmp_path, damage, name):
    store = EngineStore(tmp_path)
    damage(store.build(_key(), _write).directory / name)
    with pytest.raises(EngineError, match='not used'):
        store.find(_key()).verify()
    store.build(_key(), _write).verify()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [_key().directory]



@pytest.mark.parametrize(('field', 'value'), [
    ('machine', 'NVIDIA A100 (8.0)'), ('torch', '2.13.0'), ('version', '0.9'),
    ('weights', '0' * 16), ('graph', '1' * 16)])
def test_an_engine_of_another_machine_or_version_is_not_used(tmp_path, field, value):
    store, other = EngineStore(tmp_path), replace(_key(), **{field: value})
    directory = store.build(other, _write).directory
    assert store.find(_key()) is None
    sentence = store.mismatch(_key())
    assert f'{field} {value!r}' in sentence and 'is not used' in sentence
    # Renaming it does not help.
    directory.rename(tmp_path / _key().directory)
    with pytest.raises(EngineError, match=field):
        store.find(_key())


def test_every_part_of_a_key_leads_to_another_directory():
    names = {replace(_key(), **{field.name: 'x'}).directory for field in fields(EngineKey)}
    assert len(names | {_key().directory}) == len(fields(EngineKey)) + 1


def test_a_directory_below_a_file_is_a_sentence(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(EngineError, match='cannot be written.*--out'):
        EngineStore(tmp_path / 'file' / 'engines').build(_key(), _write)



# Gives up its rights, then builds.
WITHOUT_RIGHTS = """
import os, sys
from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.engines.key import EngineKey
from hoi_perception.runtime.engines.store import EngineStore
from tiny_engines import Fake, tiny_graph
key = EngineKey.of(tiny_graph(), Fake(), 'fp32')
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    EngineStore(sys.argv[1]).build(key, lambda directory: {})
except HoiError as error:
    sys.exit(str(error))
"""


def test_a_read_only_directory_is_a_sentence():
    with tempfile.TemporaryDirectory() as place:  # others may not enter pytest's own
        Path(place).chmod(0o755)
        directory = Path(place, 'engines')
        directory.mkdir(mode=0o555)
        done = subprocess.run(
            [sys.executable, '-c', WITHOUT_RIGHTS, str(directory)], text=True, check=False,
            capture_output=True, env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
        assert done.returncode == 1 and 'it is read-only' in done.stderr, done.stderr
        assert '--out' in done.stderr and 'Traceback' not in done.stderr


def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing(small_disk):
    def write(directory):
        (directory / 'model.weights').write_bytes(bytes(1 << 20))
        return {}

    store = EngineStore(small_disk)
    with pytest.raises(EngineError, match='the disk is full'):
        store.build(_key(), write)
    assert not [path for path in small_disk.iterdir() if path.is_dir()]
