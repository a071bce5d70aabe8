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

"""Sample a scene: who stands where, does what to which thing, and what lies near unused."""

from dataclasses import replace
from typing import Optional, Tuple

from hoi_trainer.synthetic.cast import Cast, World
from hoi_trainer.synthetic.people import (
    BEFORE_BODY,
    BETWEEN_LEGS,
    Body,
    DETAIL,
    HEAD,
    head_of,
    IN_FRONT,
    Posture,
    random_body,
    torso_box,
)
from hoi_trainer.synthetic.posing import (
    BASES,
    BICYCLE,
    CONTACTS,
    DRINK,
    Frame,
    HOLD,
    HUG,
    KICK,
    LIFT,
    LOOK,
    POINT,
    pose,
    PULL,
    PUSH,
    RIDE,
    SIT,
    STAND,
    Task,
    THROW,
    TOUCH,
    touches,
    WAVE,
)
from hoi_trainer.synthetic.things import KINDS, Thing
from hoi_trainer.synthetic.vocabulary import COMBINATIONS, FREQUENCIES, OBJECTS, PERSON
import numpy as np

DECOYS = 0.6
"""Share of people who take up place and posture for a verb without its contact."""
_BOX = OBJECTS.index('box')
_CUMULATED = np.cumsum(FREQUENCIES)
_ZONES = {
    HOLD: ('hand', 'head'), TOUCH: ('hand', 'head', 'floor'), LIFT: ('hand', 'floor'),
    DRINK: ('head',), THROW: ('hand',), HUG: ('hand',), PUSH: ('floor', 'hand'),
    PULL: ('floor', 'hand'), KICK: ('floor',), RIDE: ('under',), SIT: ('under',),
    STAND: ('under',), LOOK: ('hand', 'head', 'floor', 'under', 'far'),
    WAVE: ('hand', 'floor', 'far'), POINT: ('hand', 'head', 'floor', 'far'),
    None: ('hand', 'head', 'floor', 'under', 'far')}


def _draw_combination(rng) -> Tuple[int, int]:
    return COMBINATIONS[min(int(np.searchsorted(_CUMULATED, rng.random())), len(_CUMULATED) - 1)]


class _Builder(Cast):
    """Adds people and things one by one, refusing what would make a label ambiguous."""

    def inside(self, box, share: float = 0.85) -> bool:
        w = min(box[2], self.width) - max(box[0], 0)
        h = min(box[3], self.height) - max(box[1], 0)
        return w > 0 and h > 0 and w * h >= share * (box[2] - box[0]) * (box[3] - box[1])

    def place(self, label: int, zone: str, frame: Frame, base: float, verb: Optional[int],
              decoy: bool = False) -> Thing:
        """
        Return a thing in a zone of a person.

        Size and place follow one law for all verbs of a zone, done or pretended.
        """
        rng, kind, h = self.rng, KINDS[label], frame.height
        size = np.array(kind.size) * h * rng.uniform(0.85, 1.2) * rng.uniform(0.93, 1.07, 2)
        flip = frame.facing if zone in ('under', 'floor') or rng.random() < 0.5 else -frame.facing
        angle = 0.0
        if zone in ('hand', 'head', 'far') and label not in (BICYCLE,) and rng.random() < 0.5:
            angle = rng.uniform(-0.28, 0.28)
        if zone == 'head' and (verb == DRINK or rng.random() < 0.4):
            angle = -0.7 * frame.facing
        x1, y1, x2, y2 = kind.contact
        a = (x2 - x1) / 2 * size[0] / h
        middle = np.array([flip * (x1 + x2) / 2 * size[0], (y1 + y2) / 2 * size[1]])
        bottom = 0.5 * size[1] / h
        if zone == 'hand':
            u, v = a + rng.uniform(0.04, 0.2), base + rng.uniform(0.42, 0.8)
        elif zone == 'head':
            u, v = a + rng.uniform(0.11, 0.19), base + rng.uniform(0.83, 0.93)
        elif zone == 'far':
            u = rng.uniform(0.5, 1.5) * (1 if rng.random() < 0.85 else -1)
            grounded = 'floor' in kind.zones and (label != OBJECTS.index('ball')
                                                  or rng.random() < 0.5)
            v = bottom + rng.uniform(-0.1, 0.2) if grounded else rng.uniform(0.2, 0.95)
        elif zone == 'floor':
            u = 0.5 * size[0] / h + rng.uniform(0.03, 0.2)
            v = bottom + rng.uniform(-0.06, 0.03)
        else:
            u = rng.uniform(-0.06, 0.06)
            v = bottom
            if verb not in BASES:
                # Someone sitting is lower than someone standing, so things are larger for them.
                grown = rng.uniform(1.0, 1.3)
                size, bottom = size * grown, bottom * grown
                # A rider is in the middle of a bicycle, the feet at the height of its pedals.
                low, high = {BICYCLE: (0.07, 0.2), _BOX: (0.05, 0.34)}.get(label, (-0.03, 0.1))
                u, v = u * (0.4 if label == BICYCLE else 1.0), bottom - rng.uniform(low, high)
        centre = frame.pixel(u, v)
        if zone in ('hand', 'head'):
            centre = centre - middle
        depth = frame.y + (BEFORE_BODY if rng.random() < 0.65 else -0.5 * DETAIL)
        if decoy and verb in BASES:
            # Someone behind it: hands and feet cannot seem to rest on it.
            depth = frame.y + IN_FRONT
        elif verb in CONTACTS:
            depth = frame.y + BEFORE_BODY
        elif verb == KICK or (verb in BASES and not decoy):
            between = verb == RIDE and label == BICYCLE
            depth = frame.y + (BETWEEN_LEGS if between else -0.5 * DETAIL)
        colour = tuple(int(c) for c in np.clip(
            np.array(kind.colour) * rng.uniform(0.88, 1.08) + rng.integers(-12, 13, 3), 0, 255))
        return Thing(label, tuple(map(float, centre)), tuple(map(float, size)), float(angle),
                     int(flip), colour, float(depth))

    def clear(self, thing: Thing, own=None) -> bool:
        """Tell whether a new thing is inside the image, apart from others and from all hands."""
        box, contact = thing.box(), thing.contact()
        if not self.inside(box):
            return False
        for other in self.things:
            o = other.box()
            w = min(box[2], o[2]) - max(box[0], o[0])
            h = min(box[3], o[3]) - max(box[1], o[1])
            if w > 0 and h > 0 and w * h > 0.12 * min(
                    (box[2] - box[0]) * (box[3] - box[1]), (o[2] - o[0]) * (o[3] - o[1])):
                return False
        for i, (body, posture) in enumerate(self.people):
            margin = 0.07 * body.height
            for hand in posture.hands:
                if i != own and (contact[0] - margin < hand[0] < contact[2] + margin
                                 and contact[1] - margin < hand[1] < contact[3] + margin):
                    return False
        return True

    def fits(self, body: Body, posture: Posture, partner: Optional[int]) -> bool:
        """Tell whether a new person is inside the image and touches nothing by accident."""
        head = head_of(posture.hip, posture.lean, posture.facing, body.height)
        h = body.height
        if head[1] < HEAD * h or not 0.08 * h < head[0] < self.width - 0.08 * h:
            return False
        if not 0.02 * h < posture.hip[0] < self.width - 0.02 * h:
            return False
        if (posture.hands[:, 0] < 2).any() or (posture.hands[:, 0] > self.width - 3).any():
            return False
        for i, (other, stance) in enumerate(self.people):
            if i != partner and abs(stance.hip[0] - posture.hip[0]) < 0.22 * (h + other.height):
                return False
            torso = torso_box(body, posture)
            for hand in stance.hands:
                if (torso[0] - 0.04 * h < hand[0] < torso[2] + 0.04 * h
                        and torso[1] < hand[1] < torso[3]):
                    return False
        return True

    def pick(self) -> Tuple[int, int, bool]:
        """Choose (verb, label, decoy): a decoy stands and lies likewise, but nothing happens."""
        verb, label = _draw_combination(self.rng)
        return verb, label, self.rng.random() < DECOYS

    def add_person(self, act: int, label: int, decoy: bool, x: float, height: float) -> bool:
        """Try once to add someone who does that; False leaves everything as it was."""
        rng = self.rng
        verb = None if decoy else act
        if label == PERSON and not self.people:
            return False
        body = random_body(rng, height)
        facing = 1 if rng.random() < (0.8 if x < self.width / 2 else 0.2) else -1
        y = rng.uniform(max(1.0 * height, 0.66 * self.height), 0.97 * self.height)
        partner = None
        if label == PERSON:
            partner = int(rng.integers(len(self.people)))
            near = act in (HUG, PUSH) or rng.random() < 0.5
            u = rng.uniform(0.2, 0.36) if near else rng.uniform(0.45, 1.4)
            mate = self.people[partner][1]
            y = self.frames[partner].y + (0.001 if near else rng.uniform(-0.1, 0.1) * height)
            y = float(np.clip(y, 0.6 * self.height, 0.99 * self.height))
            x = float(mate.hip[0]) - facing * u * height
        frame = Frame(float(x), float(y), height, facing)
        base, thing, target, key = None, None, None, ('person', partner)
        if label == PERSON:
            target = torso_box(*self.people[partner])
        else:
            zones = [z for z in KINDS[label].zones if z in _ZONES[act]]
            if not zones:
                return False
            zone = zones[rng.integers(len(zones))]
            thing = self.place(label, zone, frame, 0.0, act, decoy)
            if not self.clear(thing):
                return False
            target, key = thing.contact(), ('thing', len(self.things))
        task = Task(verb=verb, target=frame.rectangle(target), pretended=act)
        if act in BASES:
            base = act
            task = Task(base=base, base_thing=thing, behind=decoy)
        held = None
        if base is not None and not (base == RIDE and label == BICYCLE) and rng.random() < 0.5:
            held = self.second(frame, thing, base)
            if held is not None:
                held_verb = None if rng.random() < DECOYS else held[0]
                task = replace(task, verb=held_verb, pretended=held[0],
                               target=frame.rectangle(held[1].contact()))
        extra = [t for t in (thing, held[1] if held else None) if t is not None]
        blocked = [frame.rectangle(t.contact()) for t in (*self.things, *extra)]
        blocked += [frame.rectangle(torso_box(*p)) for p in self.people]
        near = [r for r in blocked if abs(r[0]) < 0.8 + r[2]]
        posture = pose(task, frame, near, frame.y, rng)
        if posture is None or not self.fits(body, posture, partner):
            return False
        # A hand at work may be near its own target only.
        others = [frame.rectangle(box) for k, box in self.boxes(keys=True) if k != key]
        if any(touches(frame.local(hand), others, 0.02) for hand in posture.hands):
            return False
        me = len(self.people)
        self.people.append((body, posture))
        self.frames.append(frame)
        self.things += extra
        if held is not None and task.verb is not None:
            self.triplets.append((me, held[0], ('thing', len(self.things) - 1)))
        wish = None
        if verb in (LOOK, WAVE):
            wish = (key, verb, True)
        elif verb == POINT:
            self.points.append((me, verb, key))
        elif verb is not None:
            self.triplets.append((me, verb, key))
        if wish is None and rng.random() < 0.18:
            wish = (key if rng.random() < 0.5 else None, None, False)
        self.wishes.append(wish)
        return True

    def second(self, frame: Frame, seat: Thing, base: int):
        """Return (verb, thing) for the hands of someone who sits, stands or rides on a seat."""
        point = frame.local(seat.place(np.array([KINDS[seat.label].seat]))[0])
        lift = point[1] - (0.42 if base == SIT else 0.0)
        for _ in range(4):
            verb, label = _draw_combination(self.rng)
            if verb not in (HOLD, TOUCH, LIFT, DRINK, THROW) or label == PERSON:
                continue
            zones = [z for z in KINDS[label].zones if z in _ZONES[verb] and z != 'floor']
            if not zones:
                continue
            thing = self.place(label, zones[self.rng.integers(len(zones))], frame, lift, verb)
            saved = self.things
            self.things = saved + [seat]
            clear = self.clear(thing)
            self.things = saved
            if clear:
                return verb, thing
        return None

    def add_distractor(self) -> bool:
        """Put a thing where someone might use it, but nobody does."""
        rng = self.rng
        owner = int(rng.integers(len(self.people)))
        label = _draw_combination(rng)[1] if rng.random() < 0.5 else PERSON
        if label == PERSON:
            label = int(rng.integers(1, len(OBJECTS)))
        zone = KINDS[label].zones[rng.integers(len(KINDS[label].zones))]
        body, posture = self.people[owner]
        frame = self.frames[owner]
        if rng.random() < 0.3:
            frame = replace(frame, facing=-frame.facing)
        thing = self.place(label, zone, frame, 0.0, None)
        if zone == 'far':
            thing = replace(thing, depth=float(thing.box()[3]))
        if not self.clear(thing):
            return False
        # Not on the line of an arm that points at something else, and no feet on it.
        box = thing.box()
        for _, stance in self.people:
            for foot in stance.feet:
                if zone != 'under' and (box[0] < foot[0] < box[2] and box[1] < foot[1] < box[3]):
                    return False
        self.things.append(thing)
        return True


def sample_world(rng: np.random.Generator, width: int, height: int) -> World:
    """Draw one scene for an image of that size."""
    builder = _Builder(rng, width, height)
    n = int(np.searchsorted(np.cumsum([0.25, 0.4, 0.25]), rng.random())) + 1
    low, high = ((0.48, 0.8), (0.45, 0.72), (0.4, 0.62), (0.38, 0.55))[n - 1]
    tall = rng.uniform(low, high) * height
    slots = (rng.permutation(n) + 0.5) / n * width
    for slot in slots:
        for attempt in range(24):
            if attempt % 8 == 0:
                # Hard poses get several chances, or the easy verbs would crowd them out.
                chosen = builder.pick()
            x = float(slot + rng.normal(0, 0.1) * width / n ** 0.5)
            if builder.add_person(*chosen, x, float(tall * rng.uniform(0.9, 1.1))):
                break
    if not builder.people:
        return sample_world(rng, width, height)
    wanted = int(rng.integers(2, 7))
    for _ in range(14):
        if len(builder.things) >= wanted:
            break
        builder.add_distractor()
    if len(builder.things) < 2:
        return sample_world(rng, width, height)
    return builder.finish()
