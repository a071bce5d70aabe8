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

"""Annotated frames, found by the stamp or frame_id of an image."""

from collections import Counter
from dataclasses import dataclass
from typing import (
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Tuple,
)

from hoi_perception.core.scene import Instances, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.evaluation.vcoco_scenes import renamed
from hoi_perception.evaluation.vcoco_truth import VcocoTruth
from hoi_perception.replay.bag_reader import FrameKey
import numpy as np

Place = Tuple[Optional[Tuple[int, int]], Optional[str]]
"""What a frame is called: (seconds, nanoseconds) and frame_id; None = any."""


class Coverage(NamedTuple):
    """
    How frames and annotations meet.

    annotated, unannotated: frames with and without annotation. unused: annotated frames that
    did not come. repeated: frames that share their annotation with an earlier one.
    """

    annotated: int
    unannotated: int
    unused: int
    repeated: int

    def sentences(self) -> List[str]:
        """Return what is worth telling; [] where every frame has its own annotation."""
        told = [(self.unannotated, 'have no annotation and are not judged'),
                (self.unused, 'are annotated but did not come (other frames, or the bag was cut)'),
                (self.repeated, 'share their annotation with an earlier frame (one stamp and '
                                'frame_id for several images)')]
        return [f'{count} frames {what}.' for count, what in told if count]


class Truth(Protocol):
    """
    What is known of frames.

    name: what it is, in words. digest: sha256 of the file, or of a topic's annotations. notes:
    sentences about what was odd but usable. vcoco: the V-COCO form of it, None for other data.
    """

    @property
    def name(self) -> str:
        """Return what it is, in words."""

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the file, or of the annotations of a topic."""

    @property
    def notes(self) -> Tuple[str, ...]:
        """Return sentences about what was odd but usable."""

    @property
    def vcoco(self) -> Optional[VcocoTruth]:
        """Return its V-COCO form, None for other data."""

    def row(self, key: FrameKey) -> Optional[int]:
        """Return the row of a frame, None where it is not annotated."""

    def scene(self, key: FrameKey, verbs: Sequence[str] = ()) -> Optional[Scene]:
        """Return what is true of a frame, None where not annotated; verbs: names asked for."""

    def coverage(self, keys: Iterable[FrameKey]) -> Coverage:
        """Return which of the frames are annotated, and what does not fit."""


@dataclass(frozen=True)
class AnnotatedFrames:
    """
    A `Truth`: rows of annotated frames, each made into a scene when it is asked for.

    places: row of each frame by what it is called. scene_at: makes the scene of a row; scores are
    1, track ids 0 where the source has none, masks where it has some, width and height 0 where
    the source does not say. vcoco: its images are the rows.
    """

    name: str
    digest: str
    places: Mapping[Place, int]
    scene_at: Callable[[int], Scene]
    notes: Tuple[str, ...] = ()
    vcoco: Optional[VcocoTruth] = None

    def row(self, key: FrameKey) -> Optional[int]:
        """Return the annotation of a frame, None where it has none."""
        sec, nanosec, frame_id = key
        stamp = (sec, nanosec)
        for place in ((stamp, frame_id), (stamp, None), (None, frame_id)):
            row = self.places.get(place)
            if row is not None:
                return row
        return None

    def scene(self, key: FrameKey, verbs: Sequence[str] = ()) -> Optional[Scene]:
        """
        Return what really is in a frame, None where that is not annotated.

        verbs: those that were asked for; V-COCO calls its own so where they mean the same.
        """
        row = self.row(key)
        if row is None:
            return None
        scene = self.scene_at(row)
        return renamed(scene, verbs) if verbs and self.vcoco is not None else scene

    def coverage(self, keys: Iterable[FrameKey]) -> Coverage:
        """Count which of these frames are annotated, and which annotations they leave over."""
        rows = [self.row(key) for key in keys]
        used = Counter(row for row in rows if row is not None)
        found = sum(used.values())
        return Coverage(found, len(rows) - found, len(set(self.places.values())) - len(used),
                        found - len(used))


def index_places(places: Sequence[Place]) -> Tuple[Dict[Place, int], Tuple[str, ...]]:
    """Return the row of each place and a note where one comes twice: the first counts."""
    index: Dict[Place, int] = {}
    for row, place in enumerate(places):
        index.setdefault(place, row)
    twice = len(places) - len(index)
    return index, ((f'{twice} annotations are of frames that are annotated already; the first '
                    'annotation of a frame counts.',) if twice else ())


class Pairs(NamedTuple):
    """
    Annotated triplets of one frame, n of them.

    humans, objects: (n, 4) xyxy edges in source pixels. verbs: (n,) index of the verb. labels:
    (n,) class of the object, `NONE` = no object. human_tracks, object_tracks: (n,), 0 = none.
    """

    humans: np.ndarray
    objects: np.ndarray
    verbs: np.ndarray
    labels: np.ndarray
    human_tracks: np.ndarray
    object_tracks: np.ndarray


def scene_of_pairs(vocabulary: Vocabulary, size: Tuple[int, int], pairs: Pairs) -> Scene:
    """Return the scene: boxes that are equal in every respect are one instance."""
    count = len(pairs.verbs)
    human = np.column_stack([np.full(count, vocabulary.human), pairs.human_tracks, pairs.humans])
    thing = np.column_stack([pairs.labels, pairs.object_tracks, pairs.objects])
    there = pairs.labels != NONE
    rows, inverse = np.unique(np.concatenate([human, thing[there]]).reshape(-1, 6), axis=0,
                              return_inverse=True)
    inverse = inverse.reshape(-1)  # NumPy 2.0.0 gives it a second axis
    objects = np.full(count, NONE)
    objects[there] = inverse[count:]
    return Scene(size[0], size[1], vocabulary,
                 Instances(rows[:, 2:], np.ones(len(rows)), rows[:, 0], rows[:, 1]),
                 Triplets(inverse[:count], objects, pairs.verbs, np.ones(count)),
                 model_id='ground truth')
