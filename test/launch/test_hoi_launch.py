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

"""The launch file, where launch_ros is installed."""

import os
from pathlib import Path
import runpy
import shutil
import signal
import subprocess

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed (it comes with ROS 2)')
from ament_index_python.packages import get_packages_with_prefixes
from ros_graph import free_domain, Peer

LAUNCH = Path(__file__).resolve().parents[2] / 'launch' / 'hoi.launch.py'


@pytest.fixture
def description():
    return runpy.run_path(str(LAUNCH))['generate_launch_description']()


def test_every_promised_argument_is_there_and_described(description):
    arguments = {a.name: a for a in description.get_launch_arguments()}
    assert set(arguments) == {
        'namespace', 'params_file', 'image', 'image_transport', 'bundle', 'head', 'overlay',
        'use_sim_time', 'autostart', 'log_level', 'engine', 'precision', 'engine_build',
        'build_only', 'respawn'}
    assert all(a.description for a in arguments.values())


def test_it_can_be_included_twice_with_different_namespaces():
    first, second = (runpy.run_path(str(LAUNCH))['generate_launch_description']()
                     for _ in range(2))
    assert first.entities is not second.entities


@pytest.fixture
def start():
    """Start `ros2 launch` of the installed package with arguments; it ends with the test."""
    if shutil.which('ros2') is None or 'hoi_perception' not in get_packages_with_prefixes():
        pytest.skip('ros2 or the installed package is not there: source install/setup.bash')
    started = []

    def launch(*arguments):
        domain = free_domain()
        # Where the tests themselves run in the background, SIGINT would be ignored.
        started.append(subprocess.Popen(
            ['ros2', 'launch', 'hoi_perception', 'hoi.launch.py', *arguments],
            env={**os.environ, 'ROS_DOMAIN_ID': str(domain)}, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)))
        return started[0], domain
    yield launch
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def test_the_node_runs_in_its_namespace_and_ctrl_c_ends_both(start):
    process, domain = start('autostart:=false', 'namespace:=robot/eyes')
    peer = Peer(domain, 'robot/eyes')
    try:
        assert peer.state() == 'unconfigured'
    finally:
        peer.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0, process.stdout.read()


def test_a_node_that_cannot_start_ends_the_launch_with_code_1(start, tmp_path):
    (tmp_path / 'params.yaml').write_text('/**: {ros__parameters: {verb: ride}}')
    process, _ = start(f'params_file:={tmp_path}/params.yaml')
    words, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and "did you mean 'verbs'" in words, words
