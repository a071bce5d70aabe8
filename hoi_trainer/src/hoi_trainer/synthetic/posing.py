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

"""Pose a person so that the limbs realise a verb; the same solver serves bystanders."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

from hoi_trainer.synthetic.people import ARM, FINGER, FIST, HIP, OPEN, Posture, TORSO
from hoi_trainer.synthetic.things import KINDS, Thing
from hoi_trainer.synthetic.vocabulary import OBJECTS, VERBS
import numpy as np

(HOLD, SIT, LOOK, RIDE, TOUCH, PUSH, KICK, POINT, LIFT, DRINK, WAVE, PULL, HUG, STAND, THROW) = (
    VERBS.index(name) for name in (
        'hold', 'sit_on', 'look_at', 'ride', 'touch', 'push', 'kick', 'point_at', 'lift',
        'drink_from', 'wave_at', 'pull', 'hug', 'stand_on', 'throw'))
BICYCLE = OBJECTS.index('bicycle')
BASES = (RIDE, SIT, STAND)
"""Verbs that decide where the body rests; they leave the hands free, except on a bicycle."""
CONTACTS = (HOLD, TOUCH, PUSH, LIFT, DRINK, PULL, HUG, THROW)
"""Verbs that bring hands to the target."""


@dataclass(frozen=True)
class Frame:
    """A person's own coordinates: u forward, v up, in body heights, from the ground point."""

    x: float
    y: float
    height: float
    facing: int

    def pixel(self, u: float, v: float) -> np.ndarray:
        """Return a pixel position (2,)."""
        return np.array([self.x + self.facing * u * self.height, self.y - v * self.height])

    def local(self, point) -> np.ndarray:
        """Return (u, v) of a pixel position."""
        return np.array([self.facing * (point[0] - self.x), self.y - point[1]]) / self.height

    def rectangle(self, box) -> np.ndarray:
        """Return (centre u, centre v, half width, half height) of pixels (x1, y1, x2, y2)."""
        u, v = self.local([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        return np.array([u, v, (box[2] - box[0]) / 2 / self.height,
                         (box[3] - box[1]) / 2 / self.height])


def hand_targets(verb: int, target, rng: np.random.Generator) -> List[np.ndarray]:
    """Return where one or both hands go, (u, v) each, for a contact verb on a rectangle."""
    u, v, a, b = target
    if verb == HOLD:
        if a < 0.07:
            return [np.array([u, v + 0.045]), np.array([u, v - 0.045])]
        left, right = rng.uniform(0.6, 0.98, 2) * a
        return [np.array([u - left, v - rng.uniform(-0.2, 0.5) * b]),
                np.array([u + right, v - rng.uniform(-0.2, 0.5) * b])]
    if verb == LIFT:
        left, right = rng.uniform(0.3, 0.9, 2) * a
        return [np.array([u - left, v - b - 0.01]), np.array([u + right, v - b - 0.01])]
    if verb == HUG:
        far = rng.uniform(0.5, 0.85) * a
        return [np.array([u + far, v + 0.35 * b]), np.array([u + far, v - 0.25 * b])]
    if verb in (PUSH, PULL):
        middle = v + rng.uniform(-0.1, 0.35) * b
        gap = min(0.05, 0.6 * b + 0.015)
        near = u - a + (0.02 if verb == PULL else -0.015)
        return [np.array([near, middle + gap]), np.array([near, middle - gap])]
    if verb == DRINK:
        return [np.array([u + 0.35 * a, v - 0.35 * b])]
    if verb == THROW:
        return [np.array([u + rng.uniform(-0.6, 0.4) * a, v - 0.7 * b])]
    return [np.array([u - rng.uniform(0.5, 0.95) * a, v + rng.uniform(-0.4, 0.6) * b])]


_LEANS = {PUSH: ((0.32, 1.1),), PULL: ((-0.75, -0.24),), THROW: ((-0.35, 0.0), (-0.4, 0.5))}


def _body(verb: Optional[int], targets: Sequence[np.ndarray], hip: Optional[np.ndarray], rng):
    """Find hip (u, v) and lean that bring the shoulders within reach of all targets, or None."""
    for low, high in _LEANS.get(verb, ((-0.12, 0.25), (-0.25, 1.15))):
        n = 40
        lean = rng.uniform(low, high, n)
        hips = np.stack([rng.uniform(-0.1, 0.1, n), HIP - 0.27 * rng.random(n) ** 2], 1)
        if hip is not None:
            hips = np.tile(hip, (n, 1))
        shoulders = hips + TORSO * np.stack([np.sin(lean), np.cos(lean)], 1)
        feasible = np.ones(n, bool)
        for target in targets:
            distance = np.hypot(*(shoulders - target).T)
            feasible &= (distance < 0.95 * ARM) & (distance > 0.06)
        cost = np.abs(lean) * 0.3 + (HIP - hips[:, 1]) + 0.15 * rng.random(n)
        cost[~feasible] = np.inf
        best = int(np.argmin(cost))
        if feasible[best]:
            return hips[best], float(lean[best])
    return None


def _near_miss(aim, shoulder, target, blocked, rng):
    """
    Return a hand above or below the place where it would touch the target, or None.

    There it leaves the person's box as wide as contact would: only the pixels tell.
    """
    for _ in range(8):
        rise = (target[3] + rng.uniform(0.13, 0.27)) * (1 if rng.random() < 0.5 else -1)
        hand = np.array([aim[0] + rng.uniform(-0.05, 0.05), target[1] + rise])
        distance = np.hypot(*(hand - shoulder))
        if 0.1 < distance < 0.97 * ARM and not touches(hand, blocked, 0.075):
            return hand, OPEN if rng.random() < 0.2 else FIST
    return None


def _free_hand(shoulder, blocked, rng):
    """Return (position, style) of a hand that touches nothing, or None."""
    for _ in range(10):
        kind = rng.random()
        if kind < 0.4:
            angle = rng.normal(0.0, 0.3)
        elif kind < 0.75:
            angle = rng.uniform(0.5, 2.7)
        else:
            angle = -rng.uniform(0.4, 1.8)
        reach = ARM * (rng.uniform(0.55, 0.98) if kind < 0.75 else rng.uniform(0.8, 0.98))
        hand = shoulder + reach * np.array([np.sin(angle), -np.cos(angle)])
        if not touches(hand, blocked, 0.065):
            style = FIST
            if abs(angle) > 0.9 and rng.random() < 0.4:
                style = OPEN if angle > 1.9 or rng.random() < 0.3 else FINGER
            return hand, style
    return None


def touches(point, rectangles, margin: float) -> bool:
    """Tell whether a point (u, v) is inside any (u, v, a, b) grown by the margin."""
    for u, v, a, b in rectangles:
        if abs(point[0] - u) < a + margin and abs(point[1] - v) < b + margin:
            return True
    return False


def _gesture(verb: int, shoulder, target):
    """Return (position, style) of the hand that points or waves, or None if there is no room."""
    if verb == WAVE:
        return shoulder + [0.1, 0.36], OPEN
    u, v, a, b = target
    delta = np.array([u, v]) - shoulder
    distance = np.hypot(*delta)
    direction = delta / max(distance, 1e-6)
    # How far along the ray its rectangle begins.
    edge = min(a / max(abs(direction[0]), 1e-6), b / max(abs(direction[1]), 1e-6))
    reach = min(0.97 * ARM, distance - edge - 0.15)
    return None if reach < 0.12 else (shoulder + direction * reach, FINGER)


def _legs(hip, verb: Optional[int], thing: Optional[Thing], frame: Frame, rng):
    """Return the feet (near, far) as (u, v)."""
    if verb is None:
        stance = rng.uniform(0.04, 0.17)
        middle = hip[0] * rng.uniform(0.0, 1.0)
        feet = [np.array([middle + stance, 0.0]), np.array([middle - stance, 0.0])]
        return feet if rng.random() < 0.5 else feet[::-1]
    seat = frame.local(thing.place(np.array([KINDS[thing.label].seat]))[0])
    ground = frame.local([0, thing.box()[3]])[1]
    if verb == RIDE and thing.label == BICYCLE:
        turn = rng.uniform(0, 2 * np.pi)
        crank = frame.local(thing.place(np.array([[0.0, 0.16]]))[0])
        offset = 0.07 * np.array([np.cos(turn), np.sin(turn)])
        return [crank + offset, crank - offset]
    if verb == SIT:
        forward = 0.02 if thing.label == BICYCLE else rng.uniform(0.16, 0.26)
        gap = rng.uniform(0.0, 0.1)
        low = max(ground + rng.uniform(-0.05, 0.05), hip[1] - 0.47)
        return [np.array([hip[0] + forward + gap, low + 0.02]),
                np.array([hip[0] + forward - 0.02, low + 0.03])]
    wide = rng.uniform(0.13, 0.2) if verb == RIDE else rng.uniform(0.03, 0.07)
    top = seat[1] + 0.02
    return [np.array([seat[0] + wide, top]), np.array([seat[0] - wide, top])]


@dataclass(frozen=True)
class Task:
    """
    What a person is to do: a base verb on a thing, a hand or foot verb on a rectangle.

    behind: the base's posture is taken up behind the thing, not on it. pretended: the verb whose
    posture is taken up although nothing (`verb` None) is done.
    """

    base: Optional[int] = None
    base_thing: Optional[Thing] = None
    behind: bool = False
    verb: Optional[int] = None
    target: Optional[np.ndarray] = None
    pretended: Optional[int] = None


def bar_rectangle(bicycle: Thing, frame: Frame) -> np.ndarray:
    """Return the handlebar of a bicycle as (u, v, half width, half height)."""
    return np.array([*frame.local(bicycle.place(np.array([[0.19, -0.45]]))[0]), 0.04, 0.03])


def _aims(task: Task, frame: Frame, rng: np.random.Generator) -> List[np.ndarray]:
    """Return where the hands go or pretend to go, (u, v) each; empty where they are free."""
    if task.base == RIDE and task.base_thing.label == BICYCLE:
        bar = bar_rectangle(task.base_thing, frame)[:2]
        return [bar + [0.02, 0.02], bar + [-0.03, 0.02]]
    if task.target is None:
        return []
    verb = task.verb
    if verb is None:
        verb = task.pretended if task.pretended in CONTACTS else (
            TOUCH, HOLD, PUSH, PULL)[rng.integers(4)]
    return hand_targets(verb, task.target, rng)


def _swing(task: Task, shoulder, busy: int, blocked, rng) -> list:
    """Return the hands that balance on a board or reach back to throw, done or pretended."""
    if task.verb == THROW or (task.verb is None and task.pretended == THROW):
        back = shoulder + 0.95 * ARM * np.array([-0.9, rng.uniform(0.1, 0.5)])
        return [] if task.verb is None and touches(back, blocked, 0.065) else [(back, OPEN)]
    balancing = task.base == RIDE and not busy and task.target is None
    if not balancing or task.base_thing.label == BICYCLE or (task.behind and rng.random() < 0.4):
        return []
    spread = rng.uniform(-0.1, 0.35, 2)
    return [(shoulder + 0.93 * ARM * np.array([side * np.cos(s), np.sin(s)]), OPEN)
            for side, s in zip((1, -1), spread)]


def pose(task: Task, frame: Frame, blocked: Sequence[np.ndarray], depth: float,
         rng: np.random.Generator) -> Optional[Posture]:
    """
    Return a posture that does the task, or None if the target is out of reach.

    blocked: rectangles (u, v, a, b) that free hands must not touch, the target's among them.
    """
    hip, drop, targets = None, 0.0, []
    on_bicycle = task.base == RIDE and task.base_thing.label == BICYCLE
    if task.base is not None:
        thing = task.base_thing
        seat = frame.local(thing.place(np.array([KINDS[thing.label].seat]))[0])
        rise = {SIT: 0.05 + rng.uniform(-0.01, 0.02), STAND: HIP - rng.uniform(0.0, 0.09),
                RIDE: 0.05 if thing.label == BICYCLE else HIP - rng.uniform(0.04, 0.17)}
        if task.behind and task.base != SIT and not on_bicycle:
            # Feet that would rest on it disappear behind it; the visible boxes stay alike.
            drop = rng.uniform(0.035, 0.05)
        hip = seat + [0.0, rise[task.base] - drop]
    aims = _aims(task, frame, rng)
    if task.verb in CONTACTS or (on_bicycle and not task.behind):
        targets = aims
    posed = _body(task.verb, aims if on_bicycle else targets, hip, rng)
    if posed is None:
        return None
    if hip is None and not targets and aims:
        # Stand as if reaching for it: the body must not give the verb away.
        posed = _body(task.pretended, aims, None, rng) or posed
    hip, lean = posed
    shoulder = hip + TORSO * np.array([np.sin(lean), np.cos(lean)]) - [0, 0.025]
    hands = [(target, FIST) for target in targets]
    if task.verb in (POINT, WAVE):
        gesture = _gesture(task.verb, shoulder, task.target)
        if gesture is None or touches(gesture[0], blocked, 0.045):
            return None
        hands.append(gesture)
    if task.verb in (PUSH, HUG):
        hands = [(hand, OPEN if task.verb == PUSH else FIST) for hand, _ in hands]
    hands += _swing(task, shoulder, len(targets), blocked, rng)
    decoy = not targets and (on_bicycle or (task.verb is None and task.pretended in CONTACTS))
    rectangle = bar_rectangle(task.base_thing, frame) if on_bicycle else task.target
    while len(hands) < 2:
        free, tries = None, 0.95 if decoy and aims else 0.4
        if rectangle is not None and rng.random() < tries:
            aim = aims.pop(0) if decoy and aims else rectangle
            free = _near_miss(aim, shoulder, rectangle, blocked, rng)
        free = free or _free_hand(shoulder, blocked, rng)
        if free is None:
            return None
        hands.append(free)
    if len(targets) < 2 and rng.random() < 0.35:
        hands = hands[::-1]
    feet = [foot - [0, drop] for foot in _legs(hip, task.base, task.base_thing, frame, rng)]
    if task.verb == KICK or (task.verb is None and task.pretended == KICK):
        u, v, a, b = task.target
        gap = 0.03 if task.verb == KICK else rng.uniform(0.14, 0.22)
        foot = np.array([u - 0.9 * a - gap, max(v, 0.05)])
        if np.hypot(*(foot - hip)) > 0.5:
            return None
        feet = [foot, np.array([hip[0] - rng.uniform(0.0, 0.1), 0.0])]
    pixels = np.stack([frame.pixel(*point) for point in
                       (hip, hands[0][0], hands[1][0], feet[0], feet[1])])
    return Posture(frame.facing, pixels[0], lean, pixels[1:3], pixels[3:5],
                   (hands[0][1], hands[1][1]), None, depth)
