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

"""Many bags at once on a real Ray."""

import json
import sys

from bags import demo_bag
from hoi_perception.core.errors import HoiError
from hoi_perception.replay.fleet import directories, FleetOptions, run_fleet
from hoi_perception.replay_cli import replay_app
import pytest
from typer.testing import CliRunner


@pytest.fixture
def extra():
    """Skip where the extra `fleet` is not installed."""
    pytest.importorskip('ray', reason='the extra fleet is not installed')
    return pytest.importorskip('pyarrow.parquet', reason='the extra fleet is not installed')


def job(bag, out):
    """Write a report as a replay does; what goes wrong is written in the bag's name."""
    import json
    import os

    from hoi_perception.core.errors import HoiError
    out.mkdir(parents=True, exist_ok=True)
    again = (out / 'tried').exists()
    (out / 'tried').touch()
    if 'broken' in bag.name or ('flaky' in bag.name and not again):
        raise HoiError(f'bag {bag} cannot be read.')
    if 'deadly' in bag.name:
        os._exit(1)
    figure = {'value': 0.5, 'low': 0.25, 'high': 0.75, 'protocol': 'hico_official'}
    time = {'value': 12.0}
    (out / 'report.json').write_text(json.dumps({
        'frames': {'input': 10, 'answered': 8, 'dropped': 1, 'bad': 1, 'judged': 7},
        'run': {'mode': 'every-frame', 'model_id': 'm/1', 'inputs': {'b': 'two', 'a': 'one'}},
        'accuracy': {'full': figure}, 'latency': {'total': {'p50': time, 'p95': time}}}))


def portable(function):
    """Return the function so that a worker needs no test module to unpickle it."""
    from ray import cloudpickle
    cloudpickle.register_pickle_by_value(sys.modules[function.__module__])
    return function


def test_bad_bags_are_told_and_tried_again_and_do_not_stop_the_rest(extra, tmp_path):
    names = ['first', 'broken', 'flaky', 'deadly', 'last']
    said = []
    rows = run_fleet([tmp_path / name for name in names], tmp_path / 'out', portable(job),
                     FleetOptions(workers=2, retries=1), said.append)
    assert [row.bag for row in rows] == names
    assert [row.ok for row in rows] == [True, False, True, False, True]
    assert [row.attempts for row in rows] == [1, 2, 2, 2, 1]
    assert rows[1].error == f'bag {tmp_path / "broken"} cannot be read.'
    assert 'worker ended' in rows[3].error
    assert sum('is tried again' in sentence for sentence in said) == 3

    table = extra.read_table(tmp_path / 'out' / 'fleet.parquet').to_pylist()
    assert [row['bag'] for row in table] == names
    assert (table[0]['frames'], table[0]['triplet_map'], table[0]['sha256']) == (10, .5, 'one two')
    assert table[1]['triplet_map'] is None and table[1]['error'] == rows[1].error

    summary = json.loads((tmp_path / 'out' / 'fleet.json').read_text())
    assert (summary['bags'], summary['frames'], summary['bags_with_truth']) == (5, 30, 3)
    assert set(summary['failed']) == {str(tmp_path / 'broken'), str(tmp_path / 'deadly')}


def test_command_replays_every_bag_and_ends_with_1_where_one_failed(extra, tmp_path):
    bags = [demo_bag(tmp_path / 'one', 3), tmp_path / 'absent', demo_bag(tmp_path / 'two', 2)]
    done = CliRunner().invoke(replay_app, [
        'fleet', *map(str, bags), '--out', str(tmp_path / 'out'), '--retries', '0',
        '--device', 'cpu'])
    assert done.exit_code == 1 and '2 of 3 bags replayed' in done.output
    table = extra.read_table(tmp_path / 'out' / 'fleet.parquet').to_pylist()
    assert [row['frames'] for row in table] == [3, None, 2]
    assert 'does not exist' in table[1]['error'] and table[0]['judged'] == 3
    for row in table[::2]:
        own = json.loads((tmp_path / 'out' / row['bag'] / 'report.json').read_text())
        assert own['accuracy']['full']['value'] == row['triplet_map'] is not None
        assert (tmp_path / 'out' / row['bag'] / 'report.html').is_file()


@pytest.mark.parametrize('arguments', [['--workers', '0'], ['--mode', 'never']])
def test_command_refuses_bad_input_before_anything_starts(tmp_path, arguments):
    done = CliRunner().invoke(replay_app, [
        'fleet', str(tmp_path / 'bag'), '--out', str(tmp_path / 'out'), *arguments])
    assert isinstance(done.exception, HoiError) and not (tmp_path / 'out').exists()


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(HoiError, match=r'hoi_perception\[fleet\]'):
        run_fleet([tmp_path / 'bag'], tmp_path / 'out', job)


@pytest.mark.parametrize('numbers', [{'workers': 0}, {'retries': -1}, {'gpus': -.5}])
def test_numbers_that_make_no_sense_are_refused(numbers):
    with pytest.raises(HoiError):
        FleetOptions(**numbers)


def test_no_bags_and_a_file_as_output_are_refused(tmp_path):
    with pytest.raises(HoiError, match='no bags'):
        directories([], tmp_path)
    (tmp_path / 'file').touch()
    with pytest.raises(HoiError, match='is a file'):
        directories([tmp_path / 'bag'], tmp_path / 'file')


def test_bags_of_one_name_get_directories_of_their_own(tmp_path):
    places = directories([tmp_path / 'a' / 'run', tmp_path / 'b' / 'run', tmp_path / 'c.mcap'],
                         tmp_path / 'out')
    assert [out.name for _, out in places] == ['run', 'run-2', 'c']
