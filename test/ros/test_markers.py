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

"""Markers of a scene, as values; those of the running node are in test_node_depth."""

from hoi_perception.core import Instances, NONE, Scene, Triplets, Verb, Vocabulary
import numpy as np
import pytest

visualization = pytest.importorskip('visualization_msgs.msg', reason='no ROS 2 is installed')
from hoi_perception.ros.markers import markers  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

Marker = visualization.Marker
HEADER = Header(frame_id='camera_optical_frame')
VOCABULARY = Vocabulary(('person', 'cup'), (Verb('hold'), Verb('stand')))
NOWHERE = [np.nan] * 3


def scene(positions, triplets=()):
    rows = np.array(triplets, float).reshape(-1, 4)
    n = len(positions)
    extents = [NOWHERE if np.isnan(p).any() else (0.4, 1.6, 0.0) for p in positions]
    return Scene(640, 480, VOCABULARY, Instances(
        np.tile([10.0, 10, 50, 90], (n, 1)), np.ones(n), np.minimum(np.arange(n), 1),
        np.arange(1, n + 1), positions, extents), Triplets(*rows.T))


def by_namespace(found):
    names = {}
    for marker in found.markers:
        names.setdefault(marker.ns, []).append(marker)
    return names


def test_boxes_names_links_and_verbs_stand_where_the_instances_are():
    found = by_namespace(markers(scene([(0, 0, 2), (1, 0, 3)], [(0, 1, 0, 0.8)]), HEADER))
    person, cup = found['instances']
    assert (cup.pose.position.x, cup.pose.position.z) == (1.0, 3.0)
    assert [person.scale.x, person.scale.y] == pytest.approx([0.4, 1.6])
    assert person.scale.z > 0  # a flat box would not be drawn
    assert [m.text for m in found['names']] == ['person #1', 'cup #2']
    assert found['names'][0].pose.position.y < -0.8  # y points down
    (link,), (verb,) = found['links'], found['verbs']
    assert [(p.x, p.z) for p in link.points] == [(0.0, 2.0), (1.0, 3.0)]
    assert verb.text == 'hold 0.80' and verb.pose.position.z == 2.5


def test_what_was_drawn_before_is_removed_first_also_when_nothing_is_there():
    for seen in (scene([]), scene([(0, 0, 2)])):
        assert markers(seen, HEADER).markers[0].action == Marker.DELETEALL
    assert len(markers(scene([]), HEADER).markers) == 1


def test_instances_without_a_position_and_their_links_are_left_out():
    seen = scene([(0, 0, 2), NOWHERE], [(0, 1, 0, 0.8), (0, NONE, 1, 0.5)])
    found = by_namespace(markers(seen, HEADER))
    assert len(found['instances']) == 1 and 'links' not in found
    assert [m.text for m in found['verbs']] == ['stand 0.50']


def test_every_marker_has_the_header_an_identity_of_its_own_and_an_end():
    found = markers(scene([(0, 0, 2), (1, 0, 3)], [(0, 1, 0, 0.8)]), HEADER).markers
    assert all(m.header == HEADER for m in found)
    drawn = found[1:]
    assert len({(m.ns, m.id) for m in drawn}) == len(drawn)
    assert all(m.lifetime.sec > 0 and m.color.a > 0 for m in drawn)
    assert all(m.pose.orientation.w == 1.0 for m in drawn)
