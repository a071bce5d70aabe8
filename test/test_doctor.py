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

"""`hoi doctor` on a sound machine, and with one broken piece each."""

from importlib import metadata
from importlib.util import find_spec
import json
import os
from pathlib import Path
import re
import subprocess
import sys
import venv

from hoi_perception import cli
from hoi_perception.doctor.checks import apart, as_json, can_start, Check, CHECKS
from hoi_perception.doctor.finding import Finding, OK, PROBLEM, WARNING
from hoi_perception.doctor.libraries import numpy_fits, requirements, without_gpu
from hoi_perception.doctor.machine import buffers, disk
import pytest

HAS_ROS = find_spec('rclpy') is not None
needs_ros = pytest.mark.skipif(not HAS_ROS, reason='rclpy is not installed')


@pytest.mark.parametrize(('version', 'distro', 'state', 'words'), [
    ('1.26.4', 'jazzy', OK, 'fits'),
    ('2.4.6', 'jazzy', WARNING, "pip install 'numpy<2'"),
    ('2.0.0rc1', 'humble', WARNING, 'cv_bridge'),
    ('2.4.6', 'lyrical', OK, 'lyrical'),
    ('2.4.6', '', OK, '2.4.6'),
    ('1.19.5', '', PROBLEM, 'numpy>=1.21')])
def test_numpy_must_fit_the_ros_install(version, distro, state, words):
    row = numpy_fits(version, distro)
    assert row.state == state and words in row.found + row.cure


@pytest.mark.parametrize(('values', 'state', 'named'), [
    ({'rmem_max': 212992, 'rmem_default': 212992, 'ipfrag_high_thresh': 4194304}, WARNING,
     ['net.core.rmem_max=', 'net.core.rmem_default=', 'net.ipv4.ipfrag_high_thresh=']),
    ({'rmem_max': 2**31 - 1, 'rmem_default': 2**23, 'ipfrag_high_thresh': 2**27}, OK, []),
    ({'rmem_max': None, 'rmem_default': None, 'ipfrag_high_thresh': 2**22}, WARNING,
     ['net.ipv4.ipfrag_high_thresh=']),
    ({'rmem_max': None, 'rmem_default': None, 'ipfrag_high_thresh': None}, OK, [])])
def test_the_cure_names_the_kernel_buffers_that_are_too_small(values, state, named):
    row = buffers(values)
    assert row.state == state
    assert all(name in row.cure for name in named)
    assert row.cure.replace('net.ipv4.ipfrag_time', '').count('net.') == len(named)


@pytest.mark.parametrize(('cuda', 'nvidia', 'words'), [
    (None, False, 'no NVIDIA GPU'), ('13.0', False, 'no NVIDIA GPU'),
    (None, True, 'built without CUDA'), ('13.0', True, 'driver is too old')])
def test_without_a_gpu_the_reason_is_told_and_the_node_starts(cuda, nvidia, words):
    row = without_gpu(cuda, nvidia)
    assert words in row.found + row.cure and row.cure and can_start([row])


def test_a_cache_that_is_not_there_yet_is_no_trouble(tmp_path, monkeypatch):
    assert disk(tmp_path / 'not' / 'yet').state == OK
    monkeypatch.setattr('hoi_perception.doctor.machine.LEAST_FREE', 1e30)
    assert 'XDG_CACHE_HOME' in disk(tmp_path).cure


def _break(name, text, tmp_path, monkeypatch):
    """Put a package that does not work in front of the real one for the checks' processes."""
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').write_text(text)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))


def _check(name, **changes) -> Check:
    return next(check for check in CHECKS if check.name == name)._replace(**changes)


@pytest.mark.parametrize(('check', 'package', 'text', 'starts', 'words'), [
    ('NumPy', 'numpy', 'raise ImportError("no numpy here")', False, 'pip install numpy'),
    ('NumPy', 'numpy', '__version__ = "1.19.5"', False, 'numpy>=1.21'),
    ('PyTorch', 'torch', 'raise OSError("libcudart is gone")', False, 'pip install torch'),
    ('PyTorch', 'torch', 'raise SystemError("odd")', False, 'exit code 1: SystemError: odd'),
    ('ROS 2', 'rclpy', 'raise ImportError("_rclpy_pybind11")', False, 'interpreter'),
    ('cv_bridge', 'cv_bridge', 'import os; os.abort()', True, 'SIGABRT'),
    ('cv_bridge', 'cv_bridge', 'raise ImportError("compiled using NumPy 1.x")', True, 'numpy<2'),
    ('vision_msgs', 'vision_msgs', 'raise ImportError("x")', True, 'ros-$ROS_DISTRO'),
    ('OpenVINO', 'openvino', 'raise ImportError("GLIBC")', True, 'install openvino again'),
    ('cv_bridge', 'cv_bridge', 'print("chatter"); __version__ = "4"', True, 'loads')])
def test_a_broken_library_is_a_row_with_its_cure(check, package, text, starts, words, tmp_path,
                                                 monkeypatch):
    _break(package, text, tmp_path, monkeypatch)
    rows = apart(_check(check))
    assert can_start(rows) == starts
    assert any(words in f'{row.found} {row.cure}' for row in rows), rows


def test_a_check_that_hangs_is_ended_and_told(tmp_path, monkeypatch):
    _break('cv_bridge', 'import time; time.sleep(600)', tmp_path, monkeypatch)
    row, = apart(_check('cv_bridge', limit_s=2.0))
    assert row.state == WARNING and 'no answer within 2 s' in row.found


def test_a_requirement_that_is_missing_is_named(tmp_path, monkeypatch):
    facts = tmp_path / 'hoi_perception-9.0.dist-info'
    facts.mkdir()
    (facts / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: hoi_perception\nVersion: 9.0\nRequires-Dist: numpy>=1.21\n'
        'Requires-Dist: absent_library>=2\nRequires-Dist: other; extra == "dev"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    row, = requirements()
    assert row.state == PROBLEM and row.cure == 'Call `pip install absent_library`.'


@needs_ros
@pytest.mark.parametrize('text', ['', 'raise ImportError("not built")'])
def test_missing_messages_name_the_build_command(text, tmp_path, monkeypatch):
    _break('hoi_msgs', text, tmp_path, monkeypatch)
    row = apart(_check('ROS 2'))[-1]
    assert row.what == 'hoi_msgs' and row.state == PROBLEM and 'colcon build' in row.cure


@pytest.fixture
def graph(monkeypatch):
    import rclpy
    from rclpy.context import Context
    from rclpy.node import Node
    from ros_graph import free_domain
    domain, context = free_domain(), Context()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    rclpy.init(context=context, domain_id=domain)
    node = Node('driver', context=context, namespace='/front')
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def _cameras(seconds):
    from hoi_perception.ros.doctor import cameras
    return apart(Check('cameras', cameras, limit_s=40.0), seconds)


@needs_ros
def test_cameras_are_listed_and_who_cannot_hear_them_is_named(graph):
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    graph.create_publisher(Image, 'image', qos_profile_sensor_data)
    graph.create_subscription(Image, 'image', print, 10)
    rows = {row.what: row for row in _cameras(2.0)}
    camera, clash = rows['camera /front/image'], rows['QoS /front/image']
    assert camera.state == OK and '/front/driver, best effort, volatile' in camera.found
    assert clash.state == WARNING and 'subscribe best effort' in clash.cure


@needs_ros
def test_a_graph_without_cameras_is_a_warning(graph):
    row, = _cameras(0.5)
    assert row.state == WARNING and 'ROS_DOMAIN_ID' in row.cure


def test_the_whole_report_is_json_and_its_exit_code_tells_whether_the_node_starts(
        capsys, tmp_path, monkeypatch):
    broken = tmp_path / 'hoi_perception' / 'bundles' / 'half'
    broken.mkdir(parents=True)
    (broken / 'bundle.yaml').write_text('schema_version: 99\n')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    with pytest.raises(SystemExit) as left:
        cli.main(['doctor', '--json', '--cameras', '0'])
    report = json.loads(capsys.readouterr().out)
    assert report['schema_version'] == 1
    assert report['can_start'] == (left.value.code == 0)
    assert report['can_start'] == (HAS_ROS and find_spec('hoi_msgs') is not None)
    rows = {row['what']: row for row in report['findings']}
    assert {'interpreter', 'requirements', 'receive buffers', 'cache', 'NumPy', 'rclpy',
            'cv_bridge', 'vision_msgs', 'PyTorch', 'TensorRT', 'OpenVINO',
            'default bundle'} <= set(rows)
    assert rows['requirements']['state'] == OK
    assert rows['default bundle']['state'] == OK
    assert rows['bundle']['state'] == WARNING and str(broken) in rows['bundle']['cure']
    assert all(row['cure'] for row in report['findings'] if row['state'] != OK)


@pytest.mark.parametrize('arguments', [['--cameras', '-1'], ['--cameras', 'x'], ['--nonsense']])
def test_bad_input_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(['doctor', *arguments])
    assert left.value.code == 2


def test_only_a_problem_keeps_the_node_from_starting():
    rows = [Finding('a', 'x'), Finding('b', 'y', WARNING, 'z')]
    assert as_json(rows)['can_start']
    assert not can_start([*rows, Finding('c', 'x', PROBLEM, 'z')])


def test_nothing_of_ros_is_imported_by_the_table_itself():
    code = ('import sys, hoi_perception.doctor.checks; '
            'sys.exit(any(name in sys.modules for name in ("rclpy", "torch", "numpy")))')
    assert subprocess.run([sys.executable, '-c', code],
                          cwd=Path(__file__).parents[1]).returncode == 0


def _told(capsys, monkeypatch, names, *arguments):
    """Return the exit code and the lines of `hoi doctor` with only these of its checks."""
    monkeypatch.setattr('hoi_perception.doctor.checks.CHECKS',
                        tuple(check for check in CHECKS if check.name in names))
    with pytest.raises(SystemExit) as left:
        cli.main(['doctor', *(arguments or ('--cameras', '0'))])
    return left.value.code, capsys.readouterr().out


@pytest.mark.parametrize(('check', 'package', 'text', 'code', 'words'), [
    ('NumPy', 'numpy', '__version__ = "1.19.5"', 1, "pip install 'numpy>=1.21'"),
    ('PyTorch', 'torch', 'raise ImportError("libtorch.so")', 1, 'pip install torch torchvision'),
    pytest.param('ROS 2', 'hoi_msgs', '', 1, 'colcon build', marks=needs_ros),
    ('cv_bridge', 'cv_bridge', 'raise ImportError("built for NumPy 1.x")', 0, "'numpy<2'")])
def test_one_broken_piece_decides_the_exit_code_and_the_last_sentence(
        check, package, text, code, words, tmp_path, monkeypatch, capsys):
    _break(package, text, tmp_path, monkeypatch)
    left, out = _told(capsys, monkeypatch, [check])
    assert left == code and words in out
    assert ('cannot start here' in out.splitlines()[-1]) == bool(code)


def test_a_gpu_that_is_hidden_is_a_warning_and_the_node_starts(monkeypatch, capsys):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    left, out = _told(capsys, monkeypatch, ['PyTorch'])
    assert left == 0 and 'warning  GPU: ' in out and 'The node can start here' in out


@needs_ros
def test_a_qos_clash_is_told_and_the_node_starts(graph, monkeypatch, capsys):
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    graph.create_publisher(Image, 'image', qos_profile_sensor_data)
    graph.create_subscription(Image, 'image', print, 10)
    left, out = _told(capsys, monkeypatch, [], '--cameras', '2')
    assert left == 0 and '/front/driver hears nothing of /front/driver' in out
    assert 'subscribe best effort and volatile' in out


def _with_needs(name, known):
    """Return a library and those that it needs, by name."""
    known.add(name)
    for line in metadata.requires(name) or []:
        needed = re.split(r'[^\w.-]', line)[0]
        if 'extra ==' not in line and needed not in known:
            try:
                _with_needs(needed, known)
            except metadata.PackageNotFoundError:
                known.discard(needed)  # for another Python or system
    return known


def test_on_a_bare_machine_every_missing_piece_is_named_with_its_cure(tmp_path):
    """A new virtual environment with nothing but what the command line itself needs."""
    venv.create(tmp_path / 'bare', with_pip=False)
    for name in _with_needs('typer', set()):
        facts = metadata.distribution(name)
        for part in {file.parts[0] for file in facts.files} - {'..', '__pycache__'}:
            (tmp_path / part).symlink_to(facts.locate_file(part))
    ran = subprocess.run(
        [tmp_path / 'bare/bin/python', '-m', 'hoi_perception.cli', 'doctor', '--json',
         '--cameras', '1'], cwd=Path(__file__).parents[1], text=True, capture_output=True,
        env={'PATH': os.environ['PATH'], 'PYTHONPATH': str(tmp_path), 'HOME': str(tmp_path)})
    assert ran.returncode == 1, ran.stdout + ran.stderr
    rows = {row['what']: row for row in json.loads(ran.stdout)['findings']}
    assert {name for name, row in rows.items() if row['state'] == PROBLEM} >= {
        'NumPy', 'rclpy', 'PyTorch', 'bundles'}
    assert all(row['cure'] for row in rows.values() if row['state'] != OK)
    assert rows['NumPy']['cure'] == 'Call `pip install numpy`.'
    assert 'make setup' in rows['rclpy']['cure'] or 'source' in rows['rclpy']['cure']
    assert 'pip install torch' in rows['PyTorch']['cure']
    assert rows['requirements']['state'] != OK and rows['cameras']['state'] == WARNING
