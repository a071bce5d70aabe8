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

from pathlib import Path
import runpy

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed (it comes with ROS 2)')
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
