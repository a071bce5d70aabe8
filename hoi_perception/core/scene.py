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
The one result type of the project: what was seen in a frame.

Trainer, pipeline, node, replay, overlay and evaluator all speak `Scene`. Boxes are `(x1, y1, x2,
y2)` in pixels of the source image, origin top left, x right, y down, as real numbers (a box that
covers the whole image is `(0, 0, width, height)`).
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Optional, Tuple

from hoi_perception.core.vocabulary import Vocabulary
import numpy as np

NONE = -1
"""Absent index: a triplet without an object, an instance without a label."""


class MaskKind(IntEnum):
    """What a mask covers; the values are those of `hoi_msgs/Mask`."""

    INSTANCE = 0
    UNION = 1
    INTERSECTION = 2


@dataclass(frozen=True)
class Mask:
    """
    A binary mask cropped to a window of the source image.

    `bitmap` is (height, width) bool; `x`, `y` place its top left pixel in the source image.
    `owner` is the index of an instance (`INSTANCE`) or of a triplet (`UNION`, `INTERSECTION`).
    """

    kind: MaskKind
    owner: int
    x: int
    y: int
    bitmap: np.ndarray

    def full(self, width: int, height: int) -> np.ndarray:
        """Return the mask as (height, width) bool on a canvas of the source image's size."""
        canvas = np.zeros((height, width), dtype=bool)
        rows, columns = self.bitmap.shape
        y1, x1 = max(self.y, 0), max(self.x, 0)
        y2, x2 = min(self.y + rows, height), min(self.x + columns, width)
        if y2 > y1 and x2 > x1:
            canvas[y1:y2, x1:x2] = self.bitmap[y1 - self.y:y2 - self.y, x1 - self.x:x2 - self.x]
        return canvas


def _frozen(values: Any, dtype: Any, shape: Tuple[int, ...]) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(values, dtype=dtype).reshape(shape))


@dataclass(frozen=True)
class Instances:
    """
    Detected people and objects as parallel arrays of length N.

    boxes: (N, 4) float32, source pixels. scores: (N,) float32 in 0..1. labels: (N,) int64 index
    into `Vocabulary.objects`. track_ids: (N,) int64, 0 = not tracked. positions, extents: (N, 3)
    float32 centre and full size along x, y, z of the camera's optical frame in metres, NaN =
    unknown.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    track_ids: np.ndarray = None  # type: ignore[assignment]
    positions: np.ndarray = None  # type: ignore[assignment]
    extents: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n = len(self.scores)
        ids = np.zeros(n, np.int64) if self.track_ids is None else self.track_ids
        unknown = np.full((n, 3), np.nan, np.float32)
        for name, values, dtype, shape in (
                ('boxes', self.boxes, np.float32, (n, 4)),
                ('scores', self.scores, np.float32, (n,)),
                ('labels', self.labels, np.int64, (n,)),
                ('track_ids', ids, np.int64, (n,)),
                ('positions', unknown if self.positions is None else self.positions,
                 np.float32, (n, 3)),
                ('extents', unknown if self.extents is None else self.extents,
                 np.float32, (n, 3))):
            try:
                object.__setattr__(self, name, _frozen(values, dtype, shape))
            except ValueError as error:
                raise ValueError(
                    f'Instances.{name} has shape {np.shape(values)}, expected {shape}: '
                    'every array must have one row per score.') from error

    @staticmethod
    def empty() -> 'Instances':
        """Return no instances."""
        return Instances(np.zeros((0, 4)), np.zeros(0), np.zeros(0))

    def take(self, rows: np.ndarray) -> 'Instances':
        """Return the instances of these rows, (m,) indices or (n,) bool, in their order."""
        return Instances(self.boxes[rows], self.scores[rows], self.labels[rows],
                         self.track_ids[rows], self.positions[rows], self.extents[rows])

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Triplets:
    """
    Interactions as parallel arrays of length T, best first.

    human, object: (T,) int64 index into the instances (object may be `NONE`). verb: (T,) int64
    index into `Vocabulary.verbs`. scores: (T,) float32 in 0..1. ids: (T,) int64 interaction
    identity over time, 0 = not tracked.
    """

    human: np.ndarray
    object: np.ndarray
    verb: np.ndarray
    scores: np.ndarray
    ids: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n = len(self.scores)
        ids = np.zeros(n, np.int64) if self.ids is None else self.ids
        for name, values, dtype in (('human', self.human, np.int64),
                                    ('object', self.object, np.int64),
                                    ('verb', self.verb, np.int64),
                                    ('scores', self.scores, np.float32),
                                    ('ids', ids, np.int64)):
            try:
                object.__setattr__(self, name, _frozen(values, dtype, (n,)))
            except ValueError as error:
                raise ValueError(
                    f'Triplets.{name} has shape {np.shape(values)}, expected {(n,)}: '
                    'every array must have one row per score.') from error

    @staticmethod
    def empty() -> 'Triplets':
        """Return no triplets."""
        nothing = np.zeros(0)
        return Triplets(nothing, nothing, nothing, nothing)

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Scene:
    """
    What was seen in one frame.

    width, height: source image size in pixels. vocabulary: the names that labels and verbs index,
    as they were when the frame was computed. prompt_version: counts vocabulary changes since
    start, from 1 (0 = ground truth, no prompts involved). dropped_pairs: candidate pairs beyond
    the pair budget that were not scored.
    """

    width: int
    height: int
    vocabulary: Vocabulary
    instances: Instances = field(default_factory=Instances.empty)
    triplets: Triplets = field(default_factory=Triplets.empty)
    masks: Tuple[Mask, ...] = ()
    model_id: str = ''
    prompt_version: int = 0
    dropped_pairs: int = 0

    def mask_of(self, owner: int, kind: MaskKind = MaskKind.INSTANCE) -> Optional[Mask]:
        """Return the mask of that kind belonging to an instance or triplet, or None."""
        for mask in self.masks:
            if mask.owner == owner and mask.kind == kind:
                return mask
        return None

    def phrases(self) -> Tuple[str, ...]:
        """Return each triplet in words, such as `person ride bicycle`."""
        objects, verbs = self.vocabulary.objects, self.vocabulary.verbs
        labels = self.instances.labels
        words = []
        for human, thing, verb in zip(
                self.triplets.human, self.triplets.object, self.triplets.verb):
            parts = [objects[labels[human]], verbs[verb].name]
            if thing != NONE:
                parts.append(objects[labels[thing]])
            words.append(' '.join(parts))
        return tuple(words)
