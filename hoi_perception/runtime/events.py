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

"""
What happens over time before one camera: identities, and interactions that begin and end.

Only the stamps of the images count, so that a replay gives the same result at any speed.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import List, NamedTuple, Optional, Tuple

from hoi_perception.core.scene import NONE, Scene
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.runtime.smoothing import Followed, Hysteresis, Interactions
from hoi_perception.runtime.tracking import Tracker
import numpy as np

LATE_NS = 250_000_000
"""A frame that comes this much out of order is late; beyond that, time itself has jumped back."""


class EventKind(IntEnum):
    """Whether an interaction began or ended; the values are those of `hoi_msgs/HoiEvent`."""

    STARTED = 0
    ENDED = 1


@dataclass(frozen=True)
class Event:
    """
    An interaction began or ended.

    object_track: 0 = no object, then object_class is empty. score: smoothed, 0..1. start_ns:
    stamp of the image in which it was first seen. duration_ns: how long it has lasted; of an ended
    one without the time it took to be sure that it was over.
    """

    kind: EventKind
    interaction_id: int
    human_track: int
    object_track: int
    human_class: str
    verb_name: str
    object_class: str
    score: float
    start_ns: int
    duration_ns: int


class Moment(NamedTuple):
    """A scene with ids, what it began or ended, and a sentence if time was odd (else empty)."""

    scene: Scene
    events: Tuple[Event, ...] = ()
    note: str = ''


class Timeline:
    """
    The memory of one camera: tracks of its instances, smoothed scores of its interactions.

    Object labels must mean the same in all scenes (a vocabulary may grow); verbs are followed by
    name, and those no longer in the vocabulary end at once.
    """

    def __init__(self) -> None:
        self._tracker, self._interactions = Tracker(), Interactions()
        self._vocabulary: Optional[Vocabulary] = None
        self._now_ns: Optional[int] = None

    def reset(self) -> Tuple[Event, ...]:
        """Forget everything; return the end of every interaction that was under way."""
        self._tracker.reset()
        self._now_ns = None
        return self._events(self._interactions.reset(), EventKind.ENDED)

    def update(self, scene: Scene, stamp_ns: int, confident: float, rule: Hysteresis) -> Moment:
        """
        Return the scene with track and interaction ids, and what began or ended with it.

        stamp_ns: stamp of the image in nanoseconds, above 0. confident: least score of an
        instance that begins a track. Instances that bring ids of their own keep them, and then
        the scene is not tracked. A stamp earlier than the last one by more than `LATE_NS` (a bag
        that starts again, a clock that was set) ends every interaction and forgets all tracks.
        """
        events: Tuple[Event, ...] = ()
        note = ''
        if self._now_ns is not None and stamp_ns < self._now_ns - LATE_NS:
            note = (f'the stamp of the image is {1e-9 * (self._now_ns - stamp_ns):.3f} s before '
                    'that of the last one (a bag that starts again, or a clock that was set): '
                    'tracks and interactions begin anew.')
            events = self.reset()
        now_ns = self._now_ns = max(stamp_ns, self._now_ns or 0)
        events += self._learn(scene.vocabulary)
        instances = scene.instances
        if not instances.track_ids.any():
            instances = replace(instances, track_ids=self._tracker.update(
                instances, now_ns, rule.max_age_s, confident))
        scene, triplets = replace(scene, instances=instances), scene.triplets
        human, thing = instances.track_ids[triplets.human], np.zeros(len(triplets), np.int64)
        labels, with_object = np.full(len(triplets), NONE), triplets.object != NONE
        thing[with_object] = instances.track_ids[triplets.object[with_object]]
        labels[with_object] = instances.labels[triplets.object[with_object]]
        tracked = (human > 0) & ((thing > 0) | ~with_object)
        keys = np.stack([human, triplets.verb, thing], axis=1)[tracked]
        change = self._interactions.update(
            keys, labels[tracked], triplets.scores[tracked], instances.track_ids, now_ns, rule)
        ids = np.zeros(len(triplets), np.int64)
        ids[tracked] = change.triplet_ids
        events += (self._events(change.ended, EventKind.ENDED)
                   + self._events(change.started, EventKind.STARTED))
        return Moment(replace(scene, triplets=replace(triplets, ids=ids)), events, note)

    def _learn(self, vocabulary: Vocabulary) -> Tuple[Event, ...]:
        """Follow the verbs by name when their numbers change; end those that are gone."""
        old, self._vocabulary = self._vocabulary, vocabulary
        if old is None or old.verb_names == vocabulary.verb_names:
            return ()
        number = {name: index for index, name in enumerate(vocabulary.verb_names)}
        gone = self._interactions.rename(
            np.array([number.get(name, -1) for name in old.verb_names], np.int64))
        return self._events(gone, EventKind.ENDED, old)

    def _events(self, followed: Followed, kind: EventKind,
                vocabulary: Optional[Vocabulary] = None) -> Tuple[Event, ...]:
        words = vocabulary or self._vocabulary
        events: List[Event] = []
        for (human, verb, thing), label, score, identity, start, held in zip(
                followed.keys.tolist(), followed.labels.tolist(), followed.scores.tolist(),
                followed.ids.tolist(), followed.risen_ns.tolist(), followed.held_ns.tolist()):
            assert words is not None  # only scenes bring interactions, and they bring their words
            events.append(Event(
                kind, identity, human, thing, words.objects[words.human],
                words.verb_names[verb], '' if label == NONE else words.objects[label], score,
                start, held - start))
        return tuple(events)
