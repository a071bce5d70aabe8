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

"""Health as diagnostic messages."""

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')
from diagnostic_msgs.msg import DiagnosticStatus
from hoi_perception.ros.diagnostics import model_status, ModelHealth


def test_the_memory_of_a_gpu_is_told_and_it_is_the_hardware():
    health = ModelHealth('tiny/lain', 'cuda:0', 3, 20, 'NVIDIA Orin',
                         {'tensors': 310, 'reserved': 512, 'free': 5000, 'total': 7620})
    status = model_status('/hoi/hoi_node', 'active', health, '')
    values = {value.key: value.value for value in status.values}
    assert status.hardware_id == 'NVIDIA Orin' and status.level == DiagnosticStatus.OK
    assert (values['gpu_memory.tensors_mib'], values['gpu_memory.free_mib']) == ('310', '5000')
    assert (values['device'], values['prompt_version']) == ('cuda:0', '3')


def test_the_last_failure_is_an_error_until_a_transition_succeeds():
    status = model_status('/n', 'unconfigured', ModelHealth(), 'cannot configure: no bundle')
    assert status.level == DiagnosticStatus.ERROR and 'no bundle' in status.message
