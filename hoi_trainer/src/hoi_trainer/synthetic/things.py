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

"""What the twelve object classes look like and where they may be grasped, sat on and met."""

from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple

from hoi_trainer.synthetic.vocabulary import OBJECTS
import numpy as np

Shape = Tuple[np.ndarray, Tuple[int, int, int]]
"""A polygon (P, 2) with its RGB colour."""

_ANGLES = {n: np.linspace(0, 2 * np.pi, n, endpoint=False) for n in (12, 20, 28)}


def ellipse(x: float, y: float, rx: float, ry: float, points: int = 20) -> np.ndarray:
    """Return an axis-parallel ellipse as a polygon (points, 2)."""
    angles = _ANGLES[points]
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], 1)


def capsule(a, b, ra: float, rb: float) -> np.ndarray:
    """Return a limb from a to b with rounded ends of radius ra and rb as a polygon (14, 2)."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    heading = np.arctan2(b[1] - a[1], b[0] - a[0])
    back = heading + np.pi / 2 + np.linspace(0, np.pi, 7)
    front = heading - np.pi / 2 + np.linspace(0, np.pi, 7)
    return np.concatenate([a + ra * np.stack([np.cos(back), np.sin(back)], 1),
                           b + rb * np.stack([np.cos(front), np.sin(front)], 1)])


def rectangle(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """Return an axis-parallel rectangle as a polygon (4, 2)."""
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def shade(colour, factor: float) -> Tuple[int, int, int]:
    """Return the colour brighter (> 1) or darker (< 1)."""
    return tuple(int(min(255, max(0, c * factor))) for c in colour)


# Drawings live in the square [-0.5, 0.5]^2, x right (the front of a bicycle), y down.

def _bicycle(c) -> List[Shape]:
    dark, shapes = shade(c, 0.35), []
    for x in (-0.29, 0.29):
        shapes += [(ellipse(x, 0.14, 0.21, 0.36, 28), dark),
                   (ellipse(x, 0.14, 0.145, 0.25, 28), (225, 225, 225)),
                   (ellipse(x, 0.14, 0.04, 0.07, 12), dark)]
    for a, b in (((-0.29, 0.14), (-0.1, -0.25)), ((-0.29, 0.14), (0.0, 0.16)),
                 ((0.0, 0.16), (-0.12, -0.35)), ((0.0, 0.16), (0.23, -0.25)),
                 ((-0.1, -0.25), (0.23, -0.25)), ((0.29, 0.14), (0.2, -0.46))):
        shapes.append((capsule(a, b, 0.028, 0.028), c))
    return shapes + [(capsule((-0.2, -0.4), (-0.05, -0.4), 0.04, 0.03), dark),
                     (capsule((0.12, -0.45), (0.26, -0.45), 0.03, 0.03), dark)]


def _skateboard(c) -> List[Shape]:
    return [(ellipse(-0.28, 0.24, 0.09, 0.26), (40, 40, 40)),
            (ellipse(0.28, 0.24, 0.09, 0.26), (40, 40, 40)),
            (np.array([[-0.5, -0.5], [-0.38, -0.22], [0.38, -0.22], [0.5, -0.5], [0.5, -0.2],
                       [0.4, 0.1], [-0.4, 0.1], [-0.5, -0.2]]), c)]


def _chair(c) -> List[Shape]:
    dark = shade(c, 0.65)
    return [(rectangle(-0.42, 0.02, -0.28, 0.5), dark), (rectangle(0.28, 0.02, 0.42, 0.5), dark),
            (rectangle(-0.5, -0.5, -0.34, 0.06), c), (rectangle(-0.34, -0.42, -0.3, 0.0), dark),
            (rectangle(-0.5, -0.04, 0.5, 0.1), c)]


def _box(c) -> List[Shape]:
    return [(rectangle(-0.5, -0.36, 0.5, 0.5), c),
            (np.array([[-0.5, -0.36], [-0.38, -0.5], [0.5, -0.5], [0.5, -0.36]]), shade(c, 1.2)),
            (rectangle(-0.08, -0.36, 0.08, 0.5), shade(c, 0.7))]


def _cart(c) -> List[Shape]:
    dark = (50, 50, 55)
    shapes = [(ellipse(-0.22, 0.42, 0.08, 0.08, 12), dark),
              (ellipse(0.3, 0.42, 0.08, 0.08, 12), dark),
              (capsule((-0.3, 0.28), (0.36, 0.28), 0.03, 0.03), dark),
              (capsule((-0.46, -0.44), (-0.26, 0.28), 0.035, 0.035), dark),
              (np.array([[-0.4, -0.2], [0.5, -0.28], [0.38, 0.2], [-0.28, 0.2]]), c)]
    for x in (-0.2, 0.0, 0.2):
        shapes.append((rectangle(x - 0.02, -0.2, x + 0.02, 0.16), shade(c, 0.6)))
    return shapes + [(capsule((-0.47, -0.44), (-0.36, -0.44), 0.05, 0.05), (210, 60, 60))]


def _dog(c) -> List[Shape]:
    dark = shade(c, 0.6)
    shapes = [(capsule((x, 0.1), (x, 0.44), 0.06, 0.055), dark if i % 2 else c)
              for i, x in enumerate((-0.3, -0.2, 0.12, 0.22))]
    return shapes + [
        (capsule((-0.36, 0.0), (-0.47, -0.3), 0.04, 0.03), c),
        (capsule((-0.28, 0.05), (0.2, 0.02), 0.14, 0.15), c),
        (capsule((0.2, 0.0), (0.27, -0.24), 0.1, 0.14), c),
        (capsule((0.3, -0.2), (0.44, -0.16), 0.1, 0.06), c),
        (capsule((0.2, -0.38), (0.17, -0.18), 0.06, 0.06), dark),
        (ellipse(0.47, -0.18, 0.03, 0.04, 12), (20, 20, 20)),
        (ellipse(0.31, -0.28, 0.025, 0.03, 12), (20, 20, 20))]


def _ball(c) -> List[Shape]:
    return [(ellipse(0, 0, 0.5, 0.5, 28), c), (ellipse(0, 0, 0.48, 0.14), (245, 245, 245)),
            (ellipse(-0.15, -0.28, 0.13, 0.09, 12), shade(c, 1.5))]


def _cup(c) -> List[Shape]:
    return [(ellipse(0.28, 0.0, 0.22, 0.26), shade(c, 0.8)),
            (ellipse(0.28, 0.0, 0.11, 0.14), (90, 90, 80)),
            (np.array([[-0.5, -0.42], [0.26, -0.42], [0.18, 0.5], [-0.42, 0.5]]), c),
            (ellipse(-0.12, -0.42, 0.38, 0.08), (250, 250, 240)),
            (rectangle(-0.45, -0.05, 0.22, 0.15), (250, 250, 250))]


def _bottle(c) -> List[Shape]:
    return [(rectangle(-0.18, -0.42, 0.18, -0.1), c),
            (rectangle(-0.26, -0.5, 0.26, -0.38), (235, 235, 235)),
            (np.array([[-0.2, -0.24], [0.2, -0.24], [0.5, -0.02], [0.5, 0.5], [-0.5, 0.5],
                       [-0.5, -0.02]]), c),
            (rectangle(-0.5, 0.1, 0.5, 0.32), (245, 245, 220))]


def _book(c) -> List[Shape]:
    return [(rectangle(-0.5, -0.5, 0.5, 0.5), c),
            (rectangle(-0.43, -0.4, -0.03, 0.4), (245, 245, 235)),
            (rectangle(0.03, -0.4, 0.43, 0.4), (245, 245, 235)),
            (rectangle(-0.36, -0.2, -0.1, -0.12), (120, 120, 120)),
            (rectangle(0.1, 0.0, 0.36, 0.08), (120, 120, 120))]


def _umbrella(c) -> List[Shape]:
    arc = np.pi + np.linspace(0, np.pi, 17)
    dome = np.stack([0.5 * np.cos(arc), 0.02 + 0.52 * np.sin(arc)], 1)
    inner = dome * [0.4, 1.0]
    return [(capsule((0, -0.3), (0, 0.46), 0.03, 0.035), (60, 45, 35)), (dome, c),
            (inner, shade(c, 1.45))]


def _balloon(c) -> List[Shape]:
    return [(capsule((0, 0.26), (0.06, 0.48), 0.025, 0.025), (90, 90, 90)),
            (np.array([[-0.09, 0.3], [0.0, 0.18], [0.09, 0.3]]), shade(c, 0.7)),
            (ellipse(0, -0.12, 0.5, 0.38, 28), c),
            (ellipse(-0.18, -0.24, 0.1, 0.09, 12), (255, 240, 250))]


@dataclass(frozen=True)
class Kind:
    """
    One class of thing.

    size: typical width and height in heights of an adult. contact: (x1, y1, x2, y2) in drawing
    units, what hands and feet meet. seat: (x, y) in drawing units where one sits or stands.
    """

    draw: Callable
    colour: Tuple[int, int, int]
    size: Tuple[float, float]
    zones: Tuple[str, ...]
    contact: Tuple[float, float, float, float] = (-0.5, -0.5, 0.5, 0.5)
    seat: Tuple[float, float] = (0.0, -0.45)


KINDS: Dict[int, Kind] = {OBJECTS.index(name): kind for name, kind in {
    'bicycle': Kind(_bicycle, (20, 160, 150), (0.82, 0.5), ('floor', 'under', 'far'),
                    (-0.5, -0.5, 0.5, 0.3), (-0.13, -0.42)),
    'skateboard': Kind(_skateboard, (235, 110, 190), (0.52, 0.13),
                       ('floor', 'under', 'hand'), seat=(0.0, -0.2)),
    'chair': Kind(_chair, (135, 80, 40), (0.32, 0.5), ('floor', 'under', 'hand'),
                  seat=(0.05, -0.02)),
    'box': Kind(_box, (205, 170, 110), (0.3, 0.26), ('floor', 'under', 'hand')),
    'cart': Kind(_cart, (245, 140, 20), (0.5, 0.46), ('floor', 'under', 'far'),
                 (-0.5, -0.5, 0.45, 0.3), (0.08, -0.2)),
    'dog': Kind(_dog, (120, 115, 115), (0.42, 0.32), ('floor', 'hand', 'far'),
                (-0.42, -0.2, 0.42, 0.4)),
    'ball': Kind(_ball, (215, 30, 35), (0.17, 0.17), ('hand', 'floor', 'far')),
    'cup': Kind(_cup, (250, 215, 30), (0.16, 0.18), ('hand', 'head')),
    'bottle': Kind(_bottle, (30, 145, 50), (0.1, 0.25), ('hand', 'head', 'floor')),
    'book': Kind(_book, (35, 65, 200), (0.25, 0.18), ('hand', 'far')),
    'umbrella': Kind(_umbrella, (125, 40, 165), (0.44, 0.44), ('hand', 'far'),
                     (-0.06, 0.1, 0.06, 0.46)),
    'balloon': Kind(_balloon, (255, 60, 130), (0.24, 0.3), ('hand', 'far'),
                    (-0.45, -0.5, 0.45, 0.25)),
}.items()}


@dataclass(frozen=True)
class Thing:
    """
    One thing in the image: centre, width, height (pixels), angle (radians), mirrored or not.

    depth orders the drawing, larger is nearer.
    """

    label: int
    centre: Tuple[float, float]
    size: Tuple[float, float]
    angle: float
    flip: int
    colour: Tuple[int, int, int]
    depth: float

    def place(self, points: np.ndarray) -> np.ndarray:
        """Map drawing units (P, 2) to pixels (P, 2)."""
        points = points * [self.flip * self.size[0], self.size[1]]
        if self.angle:
            c, s = np.cos(self.angle), np.sin(self.angle)
            points = points @ np.array([[c, s], [-s, c]])
        return points + self.centre

    def shapes(self) -> List[Shape]:
        """Return the drawing in pixels, back to front."""
        return [(self.place(points), colour)
                for points, colour in KINDS[self.label].draw(self.colour)]

    def contact(self) -> np.ndarray:
        """Return what hands and feet can meet as (x1, y1, x2, y2) pixels."""
        x1, y1, x2, y2 = KINDS[self.label].contact
        corners = self.place(rectangle(x1, y1, x2, y2))
        if abs(self.angle) > 0.3:
            middle, half = corners.mean(0), np.ptp(corners, axis=0) * 0.4
            return np.concatenate([middle - half, middle + half])
        return np.concatenate([corners.min(0), corners.max(0)])

    def box(self) -> np.ndarray:
        """Return the full extent as (x1, y1, x2, y2) pixels."""
        corners = self.place(rectangle(-0.5, -0.5, 0.5, 0.5))
        return np.concatenate([corners.min(0), corners.max(0)])
