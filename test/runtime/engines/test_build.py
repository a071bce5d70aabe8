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

"""Building in a process of its own: kills, crashes, two builders, full disks."""

import json
import os
from pathlib import Path
import resource
import signal
import subprocess
import sys
import threading
import time

from hoi_perception.runtime.engines.backend import EngineError
from hoi_perception.runtime.engines.build import build_engine, BuildJob
from hoi_perception.runtime.engines.choose import load_engine
from hoi_perception.runtime.engines.store import EngineStore, RECORD
import pytest
from tiny_engines import Fake, frames, tiny_graph
import torch

CPU = torch.device('cpu')
# Builds as a node would; the arguments are the store's directory and a pause.
BUILDER = """
import sys
from pathlib import Path
from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.engines.build import build_engine, BuildJob
from hoi_perception.runtime.engines.store import EngineStore
from tiny_engines import Fake, tiny_graph
if __name__ == '__main__':
    job = BuildJob(tiny_graph(), tiny_graph, Fake(pause=float(sys.argv[2])), 'fp32')
    try:
        print(build_engine(job, EngineStore(sys.argv[1]), lambda line: print(line, flush=True)))
    except HoiError as error:
        sys.exit(str(error))
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / 'builder.py'
    path.write_text(BUILDER)
    return path


def _start(script, directory, pause, **more):
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, str(script), str(directory), str(pause)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': path}, **more)


def _wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'what the test waits for did not happen'
        time.sleep(0.05)


def _alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().split(') ')[1][0] != 'Z'
    except FileNotFoundError:
        return False


def _job(backend=None, **changes):
    return BuildJob(tiny_graph(), tiny_graph, backend or Fake(), 'fp32', frames, **changes)


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Return a store with one engine and what was said while it was built."""
    store, lines = EngineStore(tmp_path_factory.mktemp('store') / 'engines'), []
    build_engine(_job(), store, lines.append)
    return store, lines


def test_a_build_is_found_checked_and_runs_as_eager(built):
    store, lines = built
    found, graph = store.find(_job().key), tiny_graph()
    assert not found.refused and found.speedup > 0
    run = load_engine(found, Fake(), CPU)
    for got, expected in zip(run(*graph.inputs.values()), graph.module(*graph.inputs.values())):
        assert torch.equal(got, expected)
    assert any('compiling' in line for line in lines) and 'decisions as eager' in lines[-1]


def test_the_record_says_what_was_measured(built):
    directory = built[0].find(_job().key).directory
    record = json.loads((directory / RECORD).read_text())
    parity = record['facts']['parity']
    assert parity['ok'] and parity['inputs'] == 4 and parity['decisions'] > 10
    assert set(parity['max_error']) == set(parity['mean_error']) == set(tiny_graph().outputs)
    assert record['facts']['latency_ms']['engine'] > 0 and record['key']['machine']
    assert set(record['files']) == {'model.weights', 'signature.json'}


def test_an_engine_without_parity_is_kept_as_a_verdict_only(tmp_path):
    store = EngineStore(tmp_path)
    built = build_engine(_job(Fake(shift=0.05)), store, lambda line: None)
    assert 'does not decide as eager does' in built.refused
    assert [path.name for path in built.directory.iterdir()] == [RECORD]
    with pytest.raises(EngineError, match='does not decide'):
        load_engine(store.find(_job().key), Fake(), CPU)


@pytest.mark.parametrize(('backend', 'words'), [
    (Fake(error=RuntimeError('operator foo\n  has no converter')), 'foo has no converter'),
    (Fake(error=EngineError('there is no compiler.')), 'there is no compiler'),
    (Fake(missing='aoti is not here.'), 'not here')])
def test_a_failed_build_is_a_sentence_and_leaves_nothing(tmp_path, backend, words):
    with pytest.raises(EngineError, match=words):
        build_engine(_job(backend), EngineStore(tmp_path), lambda line: None)
    assert EngineStore(tmp_path).find(_job().key) is None
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_killed_build_process_is_a_sentence_and_leaves_nothing(tmp_path):
    def kill():
        _wait_for((tmp_path / 'builds').exists)
        os.kill(int((tmp_path / 'builds').read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(EngineError, match='died while compiling .signal 9'):
        build_engine(_job(Fake(pause=60)), EngineStore(tmp_path), lambda line: None)
    killer.join()
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_killed_build_leaves_nothing_that_loads_and_the_next_one_clears_up(tmp_path, script):
    directory = tmp_path / 'engines'
    builder = _start(script, directory, 60)
    _wait_for((directory / 'builds').exists)
    worker = int((directory / 'builds').read_text())
    builder.send_signal(signal.SIGKILL)
    builder.communicate()
    assert EngineStore(directory).find(_job().key) is None
    assert [path for path in directory.iterdir() if path.is_dir()], 'nothing was half built'
    _wait_for(lambda: not _alive(worker))
    build_engine(_job(), EngineStore(directory), lambda line: None)
    assert [path.name for path in directory.iterdir() if path.is_dir()] == [_job().key.directory]


def test_of_two_builders_the_second_waits_and_takes_the_result(tmp_path, script):
    directory = tmp_path / 'engines'
    builders = [_start(script, directory, 3) for _ in range(2)]
    results = [builder.communicate(timeout=120) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0], results
    assert len((directory / 'builds').read_text().split()) == 1
    assert any('another process builds it' in out for out, _ in results)


def _fill_limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def test_a_limit_on_the_size_of_files_is_a_sentence(tmp_path, script):
    builder = _start(script, tmp_path / 'engines', 0, preexec_fn=_fill_limit)
    _, said = builder.communicate(timeout=120)
    assert builder.returncode == 1 and 'the disk is full' in said and 'Traceback' not in said
    assert EngineStore(tmp_path / 'engines').find(_job().key) is None


def test_too_little_space_is_said_before_anything_is_compiled(small_disk):
    lines = []
    with pytest.raises(EngineError, match='the disk is full .about 17 MB are needed'):
        build_engine(_job(), EngineStore(small_disk), lines.append)
    assert lines == []
