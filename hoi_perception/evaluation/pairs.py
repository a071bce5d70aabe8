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

"""Human-object pairs of one image or of a whole set, as parallel arrays."""

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError
import numpy as np


@dataclass(frozen=True)
class BoxPairs:
    """
    Detected or annotated pairs, n of them.

    humans, objects: (n, 4) float boxes `(x1, y1, x2, y2)`, the edges in pixels (real numbers, as
    everywhere in this project; see `edges_of_pixels` for boxes that name their last pixel).
    classes: (n,) index of the HOI class, that is of the (verb, object) combination. scores: (n,)
    finite; not looked at in ground truth (default 1). images: (n,) index of the image (default 0:
    one image). Float32 boxes stay float32, scores are kept in float64. Raises `HoiError`.
    """

    humans: np.ndarray
    objects: np.ndarray
    classes: np.ndarray
    scores: np.ndarray = None  # type: ignore[assignment]
    images: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n = len(self.classes)
        scores = np.ones(n) if self.scores is None else self.scores
        images = np.zeros(n, np.int64) if self.images is None else self.images
        object.__setattr__(self, 'humans', finite('BoxPairs.humans', self.humans, (n, 4)))
        object.__setattr__(self, 'objects', finite('BoxPairs.objects', self.objects, (n, 4)))
        object.__setattr__(self, 'classes', indices('BoxPairs.classes', self.classes, n))
        object.__setattr__(self, 'scores',
                           finite('BoxPairs.scores', scores, (n,)).astype(np.float64))
        object.__setattr__(self, 'images', indices('BoxPairs.images', images, n))

    @staticmethod
    def empty() -> 'BoxPairs':
        """Return no pairs."""
        return BoxPairs(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0, np.int64))

    @staticmethod
    def concatenate(parts: Sequence['BoxPairs']) -> 'BoxPairs':
        """Return the pairs of all parts, in their order."""
        if not parts:
            return BoxPairs.empty()
        return BoxPairs(*(np.concatenate([getattr(part, name) for part in parts])
                          for name in ('humans', 'objects', 'classes', 'scores', 'images')))

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, rows: np.ndarray) -> 'BoxPairs':
        """Return the given rows, (m,) indices or (n,) bool."""
        return BoxPairs(self.humans[rows], self.objects[rows], self.classes[rows],
                        self.scores[rows], self.images[rows])


def finite(name: str, values: np.ndarray, shape: Tuple[int, ...],
           nan: bool = False) -> np.ndarray:
    """
    Return values as floats of that shape, float32 and float64 as they are.

    nan: NaN is allowed and means absent. Raises `HoiError`.
    """
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.size == 0 and 0 in shape:
        array = array.reshape(shape)
    if array.shape != shape:
        raise HoiError(f'{name} has shape {array.shape}, expected {shape}: every array must have '
                       'one row per pair.')
    bad = np.isinf(array) if nan else ~np.isfinite(array)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise HoiError(f'{name} holds {array[bad][0]} in row {row} ({int(bad.sum())} such values '
                       'in all), expected finite numbers: drop these detections or mend what '
                       'made them before evaluating.')
    return array


def indices(name: str, values: np.ndarray, count: int, limit: Optional[int] = None) -> np.ndarray:
    """Return values as (count,) int64 in 0..limit - 1; raises `HoiError`."""
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.shape != (count,) or array.dtype.kind not in 'iu':
        raise HoiError(f'{name} has shape {array.shape} and type {array.dtype}, expected '
                       f'{(count,)} integers: one index per row.')
    wrong = (array < 0) if limit is None else (array < 0) | (array >= limit)
    if wrong.any():
        row = int(np.argmax(wrong))
        upper = 'up' if limit is None else f'to {limit - 1}'
        raise HoiError(f'{name} holds {array[row]} in row {row}, expected indices from 0 {upper}.')
    return array.astype(np.int64)


def edges_of_pixels(boxes: np.ndarray) -> np.ndarray:
    """
    Return (n, 4) boxes that name their first and last pixel as edges: 1 is added to x2 and y2.

    HICO-DET's annotation and its evaluator speak of pixels, so a side is x2 - x1 + 1 long there;
    with edges the same length is x2 - x1. The origin (0 or 1 based) does not matter, as long as
    detections and ground truth share it.
    """
    edges: np.ndarray = np.asarray(boxes) + np.array([0, 0, 1, 1], np.asarray(boxes).dtype)
    return edges
