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

"""Sequences: people walk up to things, interact for a while, let go and walk off again."""

from dataclasses import dataclass, replace
import math
from typing import Dict, Iterator, List, Tuple

from hoi_trainer.synthetic.cast import World
from hoi_trainer.synthetic.dataset import describe, scene_rng, visible_parts, WORLD_SEED
from hoi_trainer.synthetic.people import FIST, head_of, HIP, Posture
from hoi_trainer.synthetic.posing import LOOK
from hoi_trainer.synthetic.render import boxes_of, draw, hidden
from hoi_trainer.synthetic.scene import sample_world
import numpy as np

RAMP = 0.7
"""Seconds from standing aside to contact, and back."""
CONTACT = 0.97
"""Share of that way from which on the interaction counts."""


@dataclass(frozen=True)
class SequenceFrame:
    """
    One frame: image (H, W, 3) uint8 RGB, instance map (H, W) uint8, record as in scenes.jsonl.

    ids: (N,) identity of each instance over the sequence, from 1. seconds: since its start.
    """

    image: np.ndarray
    instance_map: np.ndarray
    record: dict
    ids: np.ndarray
    seconds: float


@dataclass(frozen=True)
class _Group:
    """Instances tied by interactions: they drift together and start and stop together."""

    members: frozenset
    intervals: Tuple[Tuple[float, float], ...]
    amplitude: float
    period: float
    phase: float
    retreat: float

    def drift(self, t: float) -> float:
        return self.amplitude * math.sin(2 * math.pi * t / self.period + self.phase)

    def closeness(self, t: float) -> float:
        """Return 1 while interacting, 0 while standing aside, smooth in between."""
        best = 0.0
        for start, stop in self.intervals:
            x = min((t - start) / RAMP + 1, (stop - t) / RAMP + 1, 1.0)
            best = max(best, x)
        return best * best * (3 - 2 * best) if best > 0 else 0.0


def _groups(world: World, seconds: float, rng: np.random.Generator) -> List[_Group]:
    count = len(world.people) + len(world.things)
    group = list(range(count))
    for human, _, thing in world.triplets:
        old, new = group[human], group[thing]
        group = [new if g == old else g for g in group]
    result = []
    for g in sorted(set(group)):
        intervals, t = [], rng.uniform(0.6, 2.0)
        while t < seconds - 1:
            stop = t + rng.uniform(2.5, 5.0)
            intervals.append((float(t), float(stop)))
            t = stop + 2 * RAMP + rng.uniform(0.6, 1.8)
        result.append(_Group(
            frozenset(i for i in range(count) if group[i] == g), tuple(intervals),
            float(rng.uniform(0.01, 0.025) * world.width), float(rng.uniform(5, 9)),
            float(rng.uniform(0, 6.28)), float(rng.uniform(0.15, 0.4))))
    return result


def _idle(posture: Posture, height: float, away: float, stride: float) -> Posture:
    """Return the person standing aside on the ground with the arms down, one foot ahead."""
    f, ground = posture.facing, posture.depth
    hip = np.array([posture.hip[0] - f * away * height, ground - HIP * height])
    shoulder = hip - [0, 0.27 * height]
    swing = 0.05 * stride
    hands = np.stack([shoulder + [f * (0.02 + swing) * height, 0.385 * height],
                      shoulder + [-f * (0.02 + swing) * height, 0.385 * height]])
    feet = np.array([[hip[0] + (0.05 + 0.07 * stride) * f * height, ground],
                     [hip[0] - (0.05 + 0.07 * stride) * f * height, ground]])
    return replace(posture, hip=hip, lean=0.0, hands=hands, feet=feet, styles=(FIST, FIST),
                   gaze=None)


def _blend(idle: Posture, active: Posture, share: float, shift: float) -> Posture:
    mix = {name: (1 - share) * getattr(idle, name) + share * getattr(active, name) + offset
           for name, offset in (('hip', [shift, 0]), ('hands', [shift, 0]), ('feet', [shift, 0]),
                                ('lean', 0))}
    late = share > 0.6
    return replace(active, **mix, styles=active.styles if late else idle.styles,
                   gaze=active.gaze if late else None)


def world_at(world: World, groups: List[_Group], t: float) -> World:
    """Return the moving world at a time in seconds, with the triplets that then hold."""
    n = len(world.people)
    group_of: Dict[int, _Group] = {i: g for g in groups for i in g.members}
    people, things = [], []
    for i, (body, posture) in enumerate(world.people):
        g = group_of[i]
        share = g.closeness(t)
        stride = math.sin(2 * math.pi * 1.1 * t + i) * math.sin(math.pi * share)
        x = posture.hip[0] - posture.facing * g.retreat * body.height
        inside = 0.1 * body.height < x < world.width - 0.1 * body.height
        idle = _idle(posture, body.height, g.retreat if inside else 0.05, stride)
        people.append((body, _blend(idle, posture, share, g.drift(t))))
    for i, thing in enumerate(world.things):
        shift = group_of[n + i].drift(t)
        things.append(replace(thing, centre=(thing.centre[0] + shift, thing.centre[1])))
    triplets = tuple(row for row in world.triplets if group_of[row[0]].closeness(t) > CONTACT)
    for human, verb, target in triplets:
        if verb == LOOK:
            # The nose follows its target; both may be a little off where they were sampled.
            body, posture = people[human]
            aim = (people[target][1].hip - [0, 0.35 * body.height] if target < n
                   else np.array(things[target - n].centre)) - head_of(
                       posture.hip, posture.lean, posture.facing, body.height)
            people[human] = (body, replace(posture, gaze=float(np.arctan2(aim[1], aim[0]))))
    return replace(world, people=tuple(people), things=tuple(things), triplets=triplets)


def render_sequence(index: int, frames: int, rate: float = 12.0,
                    size: Tuple[int, int] = (640, 480), split: str = 'demo',
                    seed: int = WORLD_SEED, noise: float = 7.0) -> Iterator[SequenceFrame]:
    """
    Yield the frames of sequence `index`; size is (width, height), rate in frames per second.

    Triplets are exact per frame: an interaction begins when the limbs have arrived and ends when
    they leave. Instances that are hidden at a time have no box then.
    """
    rng = scene_rng(split, index, seed)
    world = sample_world(rng, *size)
    while len(world.triplets) < 3 or len(world.people) < 2:
        world = sample_world(rng, *size)
    groups = _groups(world, frames / rate, rng)
    paint = rng.integers(0, 2 ** 63)
    for k in range(frames):
        now = world_at(world, groups, k / rate)
        image, instances, areas = draw(now, np.random.Generator(np.random.PCG64(paint)), noise)
        gone = hidden(now, instances, areas, boxes_of(instances, len(areas)))
        yield _frame(now, image, instances, gone, k / rate)


def _frame(world: World, image, instances, gone, seconds: float) -> SequenceFrame:
    keep = np.flatnonzero(~gone)
    table = np.zeros(256, np.uint8)
    table[keep + 1] = np.arange(1, len(keep) + 1)
    n = len(world.people)
    index = {int(old): new for new, old in enumerate(keep)}
    seen = replace(
        world, people=tuple(world.people[i] for i in keep if i < n),
        things=tuple(world.things[i - n] for i in keep if i >= n),
        triplets=tuple((index[h], v, index[o]) for h, v, o in world.triplets
                       if h in index and o in index))
    instances = table[instances]
    record = describe(seen, boxes_of(instances, len(keep)), visible_parts(seen, instances))
    return SequenceFrame(image, instances, record, keep + 1, seconds)
