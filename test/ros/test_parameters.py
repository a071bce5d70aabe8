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

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')
from hoi_perception.ros import parameters
from rclpy.parameter import Parameter

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


def test_the_documents_have_the_reference_as_it_is():
    text = (ROOT / 'docs' / 'parameters.md').read_text()
    assert parameters.reference() in text, (
        'replace the table in docs/parameters.md: python -m hoi_perception.ros.parameters')


@pytest.mark.parametrize('values, words', [
    ({'disabled_cameras': ['left']}, "'left' is none of the cameras"),
    ({'disabled_cameras': ['front', 'left']}, "'left' is none of the cameras"),
    ({'event_on': 0.2, 'event_off': 0.3}, 'event_off cannot be 0.3'),
    ({'max_rate': float('nan')}, 'max_rate'),
    ({'class_filter': []}, 'leave none empty'), ({'verb_filter': ['ride', '']}, 'none empty'),
    ({'enabled': False, 'verbs': ['ride', 'ride']}, 'twice'),
    ({'disabled_cameras': ['front'], 'enabled': False, 'class_filter': ['cup']}, '')])
def test_values_that_make_no_sense_together_are_refused(values, words):
    now = replace(parameters.Settings(), cameras=('front', 'back'))
    reason = parameters.refusal(
        [Parameter(name, value=value) if value != [] else
         Parameter(name, Parameter.Type.STRING_ARRAY, []) for name, value in values.items()], now)
    assert words in reason and bool(reason) == bool(words)


@pytest.mark.parametrize('value, words', [
    (['cup', 'Wine glass'], ''), ([''], ''), (['cpu'], "did you mean 'cup'"),
    (['cup', 'dragon'], 'known are person, cup, wine_glass.')])
def test_a_filter_may_only_name_what_is_looked_for(value, words):
    reason = parameters.unknown_name('class_filter', value, ['person', 'cup', 'wine_glass'])
    assert words in reason and bool(reason) == bool(words)


@pytest.mark.parametrize('name, value', [
    ('cameras', ()), ('cameras', ('a', 'a')), ('cameras', ('/a',)), ('cameras', ('a b',)),
    ('cameras', ('a', '')), ('image_transport', 'ffmpeg'), ('verbs', ()), ('template', 'x'),
    ('triplet_threshold', float('nan'))])
def test_refusals_name_parameter_and_value(name, value):
    with pytest.raises(parameters.ParameterError, match=name):
        parameters.check(name, value)
