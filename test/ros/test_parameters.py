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

"""One table drives declaration, checks, the YAML file and the reference."""

from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')
from hoi_perception.ros import parameters

ROOT = Path(__file__).resolve().parents[2]


def test_the_shipped_file_lists_every_parameter_with_its_default():
    content = yaml.safe_load((ROOT / 'config' / 'hoi.yaml').read_text())
    values = content['/**']['ros__parameters']
    assert set(values) == set(parameters.DEFAULTS)
    for name, value in values.items():
        default = parameters.DEFAULTS[name]
        assert value == (list(default) if isinstance(default, tuple) else default), name
        assert type(value) is (list if isinstance(default, tuple) else type(default)), name


@pytest.mark.parametrize('name', list(parameters.DEFAULTS))
def test_every_default_is_allowed_and_described(name):
    parameters.check(name, parameters.DEFAULTS[name])
    message = parameters.descriptor(name)
    assert message.description.endswith('.')
    assert f'`{name}`' in parameters.reference()


@pytest.mark.parametrize('name, value', [
    ('cameras', ()), ('cameras', ('a', 'a')), ('cameras', ('/a',)), ('cameras', ('a b',)),
    ('cameras', ('a', '')), ('image_transport', 'ffmpeg'), ('verbs', ()), ('template', 'x'),
    ('triplet_threshold', float('nan'))])
def test_refusals_name_parameter_and_value(name, value):
    with pytest.raises(parameters.ParameterError, match=name):
        parameters.check(name, value)
