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

"""The shipped views of RViz and Foxglove show topics that the node has, and are installed."""

import json
from pathlib import Path
import re

import yaml

ROOT = Path(__file__).resolve().parent.parent
FOXGLOVE = json.loads((ROOT / 'config/foxglove_hoi.json').read_text())
RVIZ = yaml.safe_load((ROOT / 'config/hoi.rviz').read_text())['Visualization Manager']


def published():
    """Return the topics and message types that a camera of the node publishes, by its source."""
    source = (ROOT / 'hoi_perception/ros/cameras.py').read_text()
    return {topic: kind for kind, topic in re.findall(r"publisher\((\w+), '(\w+)'", source)}


def fields(message):
    return re.findall(r'^\S+ (\w+)$', (ROOT / f'hoi_msgs/msg/{message}.msg').read_text(), re.M)


def test_rviz_shows_topics_of_the_node_with_displays_of_their_type():
    shown = {d['Topic']['Value']: d['Class'] for d in RVIZ['Displays'] if 'Topic' in d}
    types = published()
    assert '/hoi/overlay' in shown and '/hoi/markers' in shown
    for topic, display in shown.items():
        assert display == f'rviz_default_plugins/{types[topic.removeprefix("/hoi/")]}'


def test_rviz_switches_the_namespaces_that_markers_have():
    source = (ROOT / 'hoi_perception/ros/markers.py').read_text()
    display = next(d for d in RVIZ['Displays'] if d['Class'].endswith('MarkerArray'))
    assert set(display['Namespaces']) == set(re.findall(r"\(header, '(\w+)'", source))


def test_foxglove_shows_topics_and_fields_of_the_node():
    paths = re.findall(r'/hoi/[\w./]+', json.dumps(FOXGLOVE))
    types = published()
    assert len(paths) >= 5
    for path in paths:
        topic, *field = path.removeprefix('/hoi/').split('.')
        assert topic in types
        assert not field or field[0] in fields(types[topic])


def panels(layout):
    return [layout] if isinstance(layout, str) else (
        panels(layout['first']) + panels(layout['second']))


def test_foxglove_lays_out_every_panel_once():
    assert sorted(panels(FOXGLOVE['layout'])) == sorted(FOXGLOVE['configById'])


def test_both_are_installed_and_named_in_the_documentation():
    assert "*tree('config')" in (ROOT / 'setup.py').read_text()
    text = (ROOT / 'README.md').read_text()
    assert 'config/hoi.rviz' in text and 'config/foxglove_hoi.json' in text
