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

"""A scene while it is made: its members, and labels that depend on where someone aims."""

from dataclasses import dataclass, replace
from typing import List, Optional, Tuple

from hoi_trainer.synthetic.people import (
    Body,
    FINGER,
    FIST,
    head_of,
    Posture,
    shoulder_of,
    torso_box,
)
from hoi_trainer.synthetic.posing import DRINK, Frame, LOOK, POINT, WAVE
from hoi_trainer.synthetic.things import Thing
from hoi_trainer.synthetic.vocabulary import COMBINATIONS, PERSON
import numpy as np

_VALID = frozenset(COMBINATIONS)


@dataclass(frozen=True)
class World:
    """
    Everything that is drawn: people first, then things; an instance's index is its place.

    triplets: (person, verb, instance).
    """

    width: int
    height: int
    people: Tuple[Tuple[Body, Posture], ...]
    things: Tuple[Thing, ...]
    triplets: Tuple[Tuple[int, int, int], ...]

    @property
    def labels(self) -> np.ndarray:
        """Return the object class of each instance (N,) int64."""
        return np.array([PERSON] * len(self.people) + [t.label for t in self.things], np.int64)


class Cast:
    """
    People and things with what they do, kept apart from how they are chosen.

    triplets: (person, verb, key). points: the same for fingers, checked when all are there.
    wishes: per person (key, verb, whether it must be) of the gaze, or None.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self.rng, self.width, self.height = rng, width, height
        self.people: List[Tuple[Body, Posture]] = []
        self.frames: List[Frame] = []
        self.things: List[Thing] = []
        self.triplets: List[Tuple[int, int, tuple]] = []
        self.points: List[Tuple[int, int, tuple]] = []
        self.wishes: List[Optional[tuple]] = []

    # Targets are keyed ('person', i) or ('thing', i) until the number of people is known.

    def boxes(self, keys: bool = False):
        """Return the xyxy boxes of torsos and contacts in pixels, with their keys if asked."""
        rows = [(('person', i), torso_box(*p)) for i, p in enumerate(self.people)]
        rows += [(('thing', i), t.contact()) for i, t in enumerate(self.things)]
        return rows if keys else [box for _, box in rows]

    def finish(self) -> World:
        """Aim noses and fingers, keeping only labels that the picture shows without doubt."""
        rows = self.boxes(keys=True)
        people = list(self.people)
        for me, verb, key in self.points:
            if self._aimed(me, key, rows, finger=True):
                self.triplets.append((me, verb, key))
            else:
                body, posture = people[me]
                people[me] = (body, replace(posture, styles=(FIST, FIST)))
        pointing = {me for me, verb, _ in self.triplets if verb == POINT}
        for me, wish in enumerate(self.wishes):
            body, posture = people[me]
            if me not in pointing and FINGER in posture.styles:
                # A finger into the void stays one only if nothing is in its way.
                if not self._aimed(me, None, rows, finger=True):
                    styles = tuple(FIST if s == FINGER else s for s in posture.styles)
                    posture = replace(posture, styles=styles)
            people[me] = (body, self._gaze(me, posture, wish, rows))
        n = len(people)
        triplets = {(me, verb, key[1] + (n if key[0] == 'thing' else 0))
                    for me, verb, key in self.triplets}
        return World(self.width, self.height, tuple(people), tuple(self.things),
                     tuple(sorted(triplets)))

    def _gaze(self, me: int, posture: Posture, wish, rows) -> Posture:
        body = self.people[me][0]
        if any(i == me and verb == DRINK for i, verb, _ in self.triplets):
            return replace(posture, gaze=-0.2 if posture.facing > 0 else np.pi + 0.2)
        if wish is None:
            # Some look into the void, so that a turned head alone means nothing.
            for _ in range(2):
                angle = float(self.rng.uniform(-0.7, 0.7))
                angle = angle if self.rng.random() < 0.5 else np.pi - angle
                if self.rng.random() < 0.45 and self._free(me, body, posture, angle, rows):
                    return replace(posture, gaze=angle)
            return posture
        key, verb, _ = wish
        labels = {('thing', i): t.label for i, t in enumerate(self.things)}
        if key is None:
            key = rows[self.rng.integers(len(rows))][0]
        label = labels.get(key, PERSON)
        if key == ('person', me) or key[1] is None or (LOOK, label) not in _VALID:
            return posture
        if not self._aimed(me, key, rows, finger=False):
            return posture
        head = head_of(posture.hip, posture.lean, posture.facing, body.height)
        self.triplets.append((me, LOOK, key))
        if verb == WAVE:
            self.triplets.append((me, WAVE, key))
        aim = self._centre(key) - head
        return replace(posture, gaze=float(np.arctan2(aim[1], aim[0])))

    def _centre(self, key) -> np.ndarray:
        if key[0] == 'person':
            body, posture = self.people[key[1]]
            head = head_of(posture.hip, posture.lean, posture.facing, body.height)
            return 0.7 * head + 0.3 * posture.hip
        return np.array(self.things[key[1]].centre)

    def _free(self, me, body, posture, angle, rows) -> bool:
        origin = head_of(posture.hip, posture.lean, posture.facing, body.height)
        return not self._hits(origin, angle, rows, {('person', me)}, 0.3)

    def _hits(self, origin, angle, rows, ignored, margin: float) -> bool:
        for key, box in rows:
            if key in ignored:
                continue
            delta = self._centre(key) - origin
            size = 0.5 * min(box[2] - box[0], box[3] - box[1])
            half = min(0.5, np.arctan2(size, max(np.hypot(*delta), 1.0)))
            apart = abs((np.arctan2(delta[1], delta[0]) - angle + np.pi) % (2 * np.pi) - np.pi)
            if apart < margin + 0.5 * half:
                return True
        return False

    def _aimed(self, me: int, key, rows, finger: bool) -> bool:
        """Tell whether a line from head or shoulder meets the target and nothing else."""
        body, posture = self.people[me]
        h = body.height
        if finger:
            origin = shoulder_of(posture.hip, posture.lean, posture.facing, h)
            k = posture.styles.index(FINGER) if FINGER in posture.styles else 0
            aim = posture.hands[k] - origin
        else:
            origin = head_of(posture.hip, posture.lean, posture.facing, h)
            aim = self._centre(key) - origin
        return not self._hits(origin, np.arctan2(aim[1], aim[0]), rows, {('person', me), key},
                              0.18 if key else 0.25)
