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

"""A scene as `visualization_msgs/MarkerArray`, for RViz and Foxglove."""

from typing import List, Tuple

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from hoi_perception.core.scene import NONE, Scene
from hoi_perception.runtime.overlay import instance_colours, instance_name, pair_lines
import numpy as np
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

_LIFETIME = Duration(sec=2)
"""Markers go away by themselves when the node falls silent."""
_THINNEST = 0.02
_TEXT_HEIGHT = 0.08
_LINE_WIDTH = 0.015
_MAX_PAIRS = 12


def markers(scene: Scene, header: Header) -> MarkerArray:
    """
    Return boxes and names of the instances that have a position, links and verbs between them.

    In the frame of the header (the camera's optical frame), metres. The first marker removes those
    of the frame before, so the array is never empty.
    """
    known = np.isfinite(scene.instances.positions).all(1) & np.isfinite(
        scene.instances.extents).all(1)
    colours = instance_colours(scene)
    found = [Marker(header=header, action=Marker.DELETEALL)]
    for index in np.flatnonzero(known).tolist():
        found += _instance(scene, index, colours[index], header)
    for number, ((human, thing), lines) in enumerate(pair_lines(scene, _MAX_PAIRS).items()):
        if known[human] and (thing == NONE or known[thing]):
            found += _pair(scene, number, human, thing, lines, colours, header)
    return MarkerArray(markers=found)


def _marker(header: Header, space: str, number: int, kind: int, colour: Tuple[int, int, int],
            opacity: float) -> Marker:
    red, green, blue = (value / 255 for value in colour)
    marker = Marker(header=header, ns=space, id=number, type=kind, action=Marker.ADD,
                    color=ColorRGBA(r=red, g=green, b=blue, a=opacity), lifetime=_LIFETIME)
    marker.pose.orientation.w = 1.0
    return marker


def _point(values: np.ndarray) -> Point:
    x, y, z = values.tolist()
    return Point(x=x, y=y, z=z)


def _text(header: Header, space: str, number: int, words: str, place: np.ndarray) -> Marker:
    marker = _marker(header, space, number, Marker.TEXT_VIEW_FACING, (255, 255, 255), 1.0)
    marker.pose.position, marker.text, marker.scale.z = _point(place), words, _TEXT_HEIGHT
    return marker


def _instance(scene: Scene, index: int, colour: Tuple[int, int, int],
              header: Header) -> List[Marker]:
    centre, extent = scene.instances.positions[index], scene.instances.extents[index]
    cube = _marker(header, 'instances', index, Marker.CUBE, colour, 0.4)
    cube.pose.position = _point(centre)
    cube.scale.x, cube.scale.y, cube.scale.z = np.maximum(extent, _THINNEST).tolist()
    # y points down: the name stands above the box.
    above = centre - [0.0, extent[1] / 2 + _TEXT_HEIGHT, 0.0]
    return [cube, _text(header, 'names', index, instance_name(scene, index), above)]


def _pair(scene: Scene, number: int, human: int, thing: int, lines: List[str],
          colours: List[Tuple[int, int, int]], header: Header) -> List[Marker]:
    start = scene.instances.positions[human]
    if thing == NONE:
        return [_text(header, 'verbs', number, '\n'.join(lines), start)]
    end = scene.instances.positions[thing]
    link = _marker(header, 'links', number, Marker.LINE_LIST, colours[thing], 1.0)
    link.points, link.scale.x = [_point(start), _point(end)], _LINE_WIDTH
    return [link, _text(header, 'verbs', number, '\n'.join(lines), (start + end) / 2)]
