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

"""Articulated people: a body, a posture, two-segment limbs by inverse kinematics, a drawing."""

from dataclasses import dataclass
from typing import List, Optional, Tuple

from hoi_trainer.synthetic.things import capsule, ellipse, rectangle, shade
import numpy as np

UPPER_ARM, FORE_ARM, THIGH, SHIN, TORSO, NECK, HEAD = 0.215, 0.205, 0.25, 0.25, 0.3, 0.02, 0.088
"""Lengths in body heights; HEAD is a radius."""
ARM = UPPER_ARM + FORE_ARM
LEG = THIGH + SHIN
HIP = 0.485
HAND = 0.042
DETAIL = 1e-4
"""Depth between the parts of one person; far smaller than between instances."""
BETWEEN_LEGS, BEFORE_BODY, IN_FRONT = 1.5 * DETAIL, 5 * DETAIL, 9 * DETAIL

FIST, FINGER, OPEN = 0, 1, 2

PARTS: Tuple[str, ...] = ('fist', 'finger', 'open hand', 'foot', 'face', 'face left', 'face right')
"""Body parts whose places are recorded; the first three are the styles of a hand."""
FOOT, FACE, FACE_LEFT, FACE_RIGHT = 3, 4, 5, 6


@dataclass(frozen=True)
class Body:
    """Height in pixels, stoutness, and colours (RGB) of one person."""

    height: float
    stout: float
    skin: Tuple[int, int, int]
    hair: Tuple[int, int, int]
    shirt: Tuple[int, int, int]
    sleeve: Tuple[int, int, int]
    trousers: Tuple[int, int, int]
    shoes: Tuple[int, int, int]


@dataclass(frozen=True)
class Posture:
    """
    How a body stands, in pixels.

    facing: 1 = right, -1 = left. hands and feet: (near, far) targets. styles: of the hands.
    gaze: direction of the nose in radians (image coordinates), None = at the camera.
    """

    facing: int
    hip: np.ndarray
    lean: float
    hands: np.ndarray
    feet: np.ndarray
    styles: Tuple[int, int]
    gaze: Optional[float]
    depth: float


def limb(root, target, upper: float, lower: float, bend: float):
    """Solve a two-segment limb; returns (joint, end). The end stops short where out of reach."""
    delta = np.asarray(target, float) - root
    distance = max(float(np.hypot(*delta)), 1e-6)
    reach = min(max(distance, abs(upper - lower) + 1e-3), (upper + lower) * 0.999)
    direction = delta / distance
    along = (reach * reach + upper * upper - lower * lower) / (2 * reach)
    across = np.sqrt(max(upper * upper - along * along, 0.0)) * bend
    normal = np.array([-direction[1], direction[0]])
    return root + direction * along + normal * across, root + direction * reach


def shoulder_of(hip, lean: float, facing: int, height: float) -> np.ndarray:
    """Return where the arms begin (2,)."""
    return hip + TORSO * height * np.array([np.sin(lean) * facing, -np.cos(lean)])


def head_of(hip, lean: float, facing: int, height: float) -> np.ndarray:
    """Return the centre of the head (2,)."""
    bow = 0.6 * lean
    return shoulder_of(hip, lean, facing, height) + (NECK + HEAD) * height * np.array(
        [np.sin(bow) * facing, -np.cos(bow)])


def _hand(body: Body, wrist, elbow, style: int) -> List[tuple]:
    h, parts = body.height, []
    forward = wrist - elbow
    forward = forward / max(np.hypot(*forward), 1e-6)
    if style == FINGER:
        parts.append(capsule(wrist, wrist + forward * 0.1 * h, 0.017 * h, 0.013 * h))
    elif style == OPEN:
        side = np.array([-forward[1], forward[0]])
        for spread in (-0.75, -0.25, 0.25, 0.75):
            finger = (forward + spread * side) / np.hypot(1, spread)
            parts.append(capsule(wrist, wrist + finger * 0.085 * h, 0.016 * h, 0.013 * h))
    radius = (0.036 if style == FINGER else HAND) * h
    return [(points, body.skin) for points in (*parts, ellipse(*wrist, radius, radius))]


def _head(body: Body, centre, gaze: Optional[float]) -> List[tuple]:
    h, r, ink = body.height, HEAD * body.height, (25, 20, 20)
    shapes = [(ellipse(*centre, r, r * 1.05, 28), body.skin)]
    if gaze is None:
        arc = np.pi + np.linspace(-0.25, np.pi + 0.25, 12)
        cap = centre + r * 1.06 * np.stack([np.cos(arc), np.sin(arc)], 1)
        shapes.append((np.concatenate([cap, [centre + [0.0, -0.45 * r]]]), body.hair))
        for side in (-0.38, 0.38):
            eye = centre + [side * r, 0.05 * r]
            shapes += [(ellipse(*eye, 0.24 * r, 0.2 * r, 12), (255, 255, 255)),
                       (ellipse(*eye, 0.11 * r, 0.13 * r, 12), ink)]
        mouth = centre + [0, 0.58 * r]
        return shapes + [(ellipse(*mouth, 0.3 * r, 0.08 * r, 12), (150, 40, 40))]
    ahead = np.array([np.cos(gaze), np.sin(gaze)])
    up = np.array([ahead[1], -ahead[0]]) if ahead[0] >= 0 else np.array([-ahead[1], ahead[0]])
    tip = centre + ahead * (r + 0.062 * h)
    shapes.insert(0, (np.stack([centre + ahead * 0.75 * r + up * 0.4 * r, tip,
                                centre + ahead * 0.75 * r - up * 0.5 * r]), body.skin))
    # Hair covers the half of the head that is turned away.
    arc = np.linspace(0.5 * np.pi, 1.55 * np.pi, 13) if np.dot(
        up, [-ahead[1], ahead[0]]) > 0 else np.linspace(0.45 * np.pi, 1.5 * np.pi, 13)
    back = centre + r * 1.08 * (np.cos(arc)[:, None] * ahead
                                + np.sin(arc)[:, None] * np.array([-ahead[1], ahead[0]]))
    shapes.append((np.concatenate([back, [centre - ahead * 0.1 * r]]), body.hair))
    eye = centre + ahead * 0.52 * r + up * 0.28 * r
    return shapes + [(ellipse(*eye, 0.26 * r, 0.26 * r, 12), (255, 255, 255)),
                     (ellipse(*(eye + ahead * 0.1 * r), 0.13 * r, 0.13 * r, 12), ink)]


def shapes_of(body: Body, posture: Posture) -> List[tuple]:
    """Return the drawing of a person: (depth, polygon (P, 2) pixels, RGB), in no order."""
    h, f, hip = body.height, posture.facing, posture.hip
    wide = body.stout * h
    shoulder = shoulder_of(hip, posture.lean, f, h)
    layers = []

    def add(order: float, *shapes) -> None:
        layers.extend((posture.depth + order * DETAIL + i * 1e-7, points, colour)
                      for i, (points, colour) in enumerate(shapes))

    for near in (False, True):
        k = 0 if near else 1
        tone = 1.0 if near else 0.72
        joint = hip + [(-0.012 if near else 0.012) * h, 0]
        knee, ankle = limb(joint, posture.feet[k], THIGH * h, SHIN * h, -f)
        trousers = shade(body.trousers, tone)
        add(2 if near else 1,
            (capsule(ankle + [-0.012 * f * h, 0], ankle + [0.05 * f * h, 0.004 * h],
                     0.026 * h, 0.022 * h), shade(body.shoes, tone)),
            (capsule(joint, knee, 0.052 * wide, 0.04 * wide), trousers),
            (capsule(knee, ankle + [0, -0.012 * h], 0.04 * wide, 0.03 * wide), trousers))
        start = shoulder + [(-0.022 if near else 0.022) * f * h, 0.025 * h]
        elbow, wrist = limb(start, posture.hands[k], UPPER_ARM * h, FORE_ARM * h, f)
        sleeve = shade(body.sleeve, tone)
        add(6 if near else 0,
            (capsule(start, elbow, 0.034 * wide, 0.028 * wide), sleeve),
            (capsule(elbow, wrist, 0.028 * wide, 0.022 * wide), sleeve))
        add(7 if near else 6.5, *_hand(body, wrist, elbow, posture.styles[k]))
    head = head_of(hip, posture.lean, f, h)
    add(3, (capsule(shoulder, head, 0.03 * h, 0.03 * h), shade(body.skin, 0.85)),
        (capsule(shoulder + (hip - shoulder) * 0.1, hip, 0.082 * wide, 0.068 * wide), body.shirt))
    add(4, *_head(body, head, posture.gaze))
    return layers


def parts_of(body: Body, posture: Posture) -> np.ndarray:
    """Return where the drawn body parts are, (5, 3) as x, y in pixels and index into `PARTS`."""
    h, f, hip = body.height, posture.facing, posture.hip
    shoulder = shoulder_of(hip, posture.lean, f, h)
    rows = []
    for k, side in enumerate((-1, 1)):
        start = shoulder + [0.022 * side * f * h, 0.025 * h]
        wrist = limb(start, posture.hands[k], UPPER_ARM * h, FORE_ARM * h, f)[1]
        ankle = limb(hip + [0.012 * side * h, 0], posture.feet[k], THIGH * h, SHIN * h, -f)[1]
        rows += [(*wrist, posture.styles[k]), (*ankle, FOOT)]
    face = FACE if posture.gaze is None else (
        FACE_RIGHT if np.cos(posture.gaze) > 0 else FACE_LEFT)
    return np.array([*rows, (*head_of(hip, posture.lean, f, h), face)])


def torso_box(body: Body, posture: Posture) -> np.ndarray:
    """Return the part of a person that others touch, push and hug: (x1, y1, x2, y2) pixels."""
    shoulder = shoulder_of(posture.hip, posture.lean, posture.facing, body.height)
    points = rectangle(*shoulder, *posture.hip)
    margin = 0.07 * body.height * body.stout
    return np.concatenate([points.min(0) - [margin, 0], points.max(0) + [margin, 0]])


def random_body(rng: np.random.Generator, height: float) -> Body:
    """Return a person of that height in pixels with random build and colours."""
    skins = ((245, 205, 170), (225, 175, 135), (190, 135, 95), (140, 95, 65), (250, 215, 190))
    hairs = ((40, 30, 25), (95, 60, 30), (190, 150, 80), (110, 110, 110), (20, 20, 20))

    def cloth():
        return tuple(int(v) for v in rng.integers(30, 226, 3))

    shirt = cloth()
    sleeve = shirt if rng.random() < 0.6 else cloth()
    return Body(height, float(rng.uniform(0.85, 1.2)), skins[rng.integers(len(skins))],
                hairs[rng.integers(len(hairs))], shirt, sleeve, cloth(),
                tuple(int(v) for v in rng.integers(10, 110, 3)))
