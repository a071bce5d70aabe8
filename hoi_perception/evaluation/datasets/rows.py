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

"""Gather pairs while reading a file that may hold anything, and note what cannot be read."""

from typing import Any, List, Optional, Sequence, Tuple

from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_perception.evaluation.datasets.pair_table import PairTable
from hoi_perception.evaluation.datasets.problems import ERROR, Problem, shorten, WARNING
import numpy as np


class RowReader:
    """
    Collects images and pairs of one file into a `PairTable`.

    Values that are not what they should be become problems; their record is kept without pairs,
    so that the others can still be looked at.
    """

    def __init__(self, form: str, file: str, names: HoiNames, one_based: bool = False) -> None:
        self.form, self.file, self.names, self.one_based = form, file, names, one_based
        self.problems: List[Problem] = []
        self.images: List[str] = []
        self._sizes: List[Sequence[int]] = []
        self._rows: List[Tuple[Any, ...]] = []

    def error(self, kind: str, record: str, what: str, got: Any, expected: str) -> None:
        """Note something that forbids using the data; `got` is shortened."""
        self.problems.append(Problem(
            kind, ERROR, self.file, record, what, shorten(got), expected))

    def warning(self, kind: str, record: str, what: str, got: Any, expected: str) -> None:
        """Note something odd that does no harm."""
        self.problems.append(Problem(
            kind, WARNING, self.file, record, what, shorten(got), expected))

    def start_image(self, name: Any, size: Any = (0, 0)) -> str:
        """Begin the next image; size: (width, height), (0, 0) = not said. Returns its name."""
        if not isinstance(name, str) or not name:
            self.error('name_malformed', f'record {len(self.images)}',
                       'the file name of an image is not text', name, 'a file name')
            name = f'record {len(self.images)}'
        numbers = self.indices(size, name, 'size of the image')
        if numbers is not None and numbers.shape != (2,):
            self.error('size_invalid', name, 'size of the image', size, '[width, height]')
            numbers = None
        self.images.append(name)
        self._sizes.append((0, 0) if numbers is None else numbers.tolist())
        return str(name)

    def boxes(self, value: Any, record: str, what: str) -> Optional[np.ndarray]:
        """Return (n, 4) float64, None (and a problem) if it is no list of boxes."""
        array = _array(value)
        if array is not None and array.shape == (0,):
            return np.zeros((0, 4))
        if array is None or array.dtype.kind not in 'iuf' or array.ndim != 2 or (
                array.shape[1] != 4):
            self.error('box_malformed', record, what, value, 'a list of [x1, y1, x2, y2]')
            return None
        return array.astype(np.float64)

    def indices(self, value: Any, record: str, what: str) -> Optional[np.ndarray]:
        """Return (n,) int64, None (and a problem) if it is no list of whole numbers."""
        array = _array(value)
        if array is not None and array.shape == (0,):
            return np.zeros(0, np.int64)
        if array is None or array.dtype.kind not in 'iu' or array.ndim != 1:
            self.error('index_malformed', record, what, value, 'a list of whole numbers')
            return None
        return array.astype(np.int64)

    def in_range(self, values: np.ndarray, count: int, kind: str, what: str,
                 first: int = 0) -> np.ndarray:
        """
        Return which values of the last image are among `count` from `first`, (n,) bool.

        Each one that is not becomes a problem.
        """
        good = (values >= first) & (values < first + count)
        for row in np.flatnonzero(~good):
            self.error(kind, f'{self.images[-1]}, pair {row}', what, int(values[row]),
                       f'{first} to {first + count - 1}')
        return good

    def add(self, image: int, keep: np.ndarray, humans: np.ndarray, things: np.ndarray,
            verbs: np.ndarray, objects: np.ndarray) -> None:
        """Add the pairs of an image where keep (n,) is set; the other columns have (n, ...)."""
        rows = np.flatnonzero(keep)
        self._rows.append((np.full(len(rows), image), rows, humans[rows], things[rows],
                           verbs[rows], objects[rows]))

    def table(self, notes: Sequence[str] = ()) -> PairTable:
        """Return all that was gathered."""
        empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)),
                 np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.int64))
        record, pair, humans, things, verbs, objects = (
            np.concatenate(column) for column in zip(empty, *self._rows))
        return PairTable(
            self.form, self.file, self.names, tuple(self.images),
            np.array(self._sizes, np.int64).reshape(-1, 2), record, pair, humans, things, verbs,
            objects, self.one_based, tuple(self.problems), tuple(notes))


def _array(value: Any) -> Optional[np.ndarray]:
    """Return what numpy makes of a JSON value, None for ragged lists, text and the like."""
    if not isinstance(value, (list, tuple)):
        return None
    try:
        return np.asarray(value)
    except (ValueError, OverflowError):
        return None
