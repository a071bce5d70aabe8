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

"""What an annotation file says, a row per pair, before it is trusted; and what is wrong in it."""

from dataclasses import dataclass, replace
from typing import Callable, List, Optional, Protocol, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_perception.evaluation.datasets.problems import ERROR, Problem, WARNING
import numpy as np

SLACK = 0.5
"""Pixels by which a box may stick out of its image: annotations are rounded."""


class ImageSizes(Protocol):
    """Anything that knows how large the images of a data set are."""

    def size(self, name: str) -> Tuple[int, int]:
        """Return (width, height); raises `HoiError` if that is impossible."""


@dataclass(frozen=True)
class PairTable:
    """
    All pairs of one annotation file; what could not be read at all is in `problems` only.

    form: the layout that was recognised. images: (N,) names. sizes: (N, 2) int64 width and
    height, 0 = not said. record, pair: (R,) int64 index of the image, and of the pair in it as
    the file counts. human_boxes, object_boxes: (R, 4) float64 xyxy as in the file. verbs,
    objects: (R,) int64 indices into `names`, in range. one_based: coordinates count from 1 and
    x2, y2 belong to the box (HICO-DET). notes: findings worth printing.
    """

    form: str
    file: str
    names: HoiNames
    images: Tuple[str, ...]
    sizes: np.ndarray
    record: np.ndarray
    pair: np.ndarray
    human_boxes: np.ndarray
    object_boxes: np.ndarray
    verbs: np.ndarray
    objects: np.ndarray
    one_based: bool = False
    problems: Tuple[Problem, ...] = ()
    notes: Tuple[str, ...] = ()

    def place(self, row: int) -> str:
        """Name a pair: its image and its position there, counted from 0."""
        return f'{self.images[self.record[row]]}, pair {self.pair[row]}'


def zero_based(boxes: np.ndarray, one_based: bool) -> np.ndarray:
    """
    Return boxes as 0-based pixel edges: x2 and y2 exclusive; xyxy (..., 4).

    A 1-based inclusive box covers columns x1 - 1 to x2 - 1, so its edges are x1 - 1 and x2: only
    x1 and y1 change (lain.md section 1).
    """
    return boxes - np.array([1.0, 1.0, 0.0, 0.0]) if one_based else boxes


def find_problems(table: PairTable, source: Optional[ImageSizes] = None) -> Tuple[Problem, ...]:
    """Return what reading found and what boxes, pairs, names and images (if given) show."""
    found = list(table.problems)
    if source is not None:
        table, of_images = _measured(table, source)
        found += of_images
    for side, raw in (('human', table.human_boxes), ('object', table.object_boxes)):
        found += _box_problems(table, side, raw)
    return tuple(found + _pair_problems(table) + _record_problems(table))


def _box_problems(table: PairTable, side: str, raw: np.ndarray) -> List[Problem]:
    x1, y1, x2, y2 = zero_based(raw, table.one_based).T
    width, height = table.sizes[table.record].T
    finite = np.isfinite(raw).all(1)
    sized = finite & (width > 0) & (height > 0)
    inside_out = finite & ((x2 < x1) | (y2 < y1))
    empty = finite & ~inside_out & ((x2 == x1) | (y2 == y1))
    whole = sized & ~inside_out & ~empty
    away = whole & ((x1 >= width) | (y1 >= height) | (x2 <= 0) | (y2 <= 0))
    partly = whole & ~away & ((x1 < -SLACK) | (y1 < -SLACK)
                              | (x2 > width + SLACK) | (y2 > height + SLACK))

    def size(row: int) -> str:
        return f'a box within {width[row]} x {height[row]} pixels'

    rules: Tuple[Tuple[np.ndarray, str, str, str, Callable[[int], str]], ...] = (
        (~finite, 'box_not_finite', ERROR, 'is not finite', lambda row: 'four numbers'),
        (inside_out, 'box_inside_out', ERROR, 'ends before it begins',
         lambda row: 'x1 <= x2 and y1 <= y2'),
        (empty, 'box_empty', ERROR, 'covers no pixel', lambda row: 'width and height above 0'),
        (away, 'box_off_image', ERROR, 'lies outside its image', size),
        (partly, 'box_outside', WARNING, 'sticks out of its image', size))
    return [Problem(kind, severity, table.file, table.place(row), f'{side} box {what}',
                    f'{raw[row].tolist()}', expected(row))
            for bad, kind, severity, what, expected in rules
            for row in np.flatnonzero(bad).tolist()]


def _pair_problems(table: PairTable) -> List[Problem]:
    names = table.names
    found = []
    unknown = names.class_table()[table.verbs, table.objects] < 0
    for row in np.flatnonzero(unknown).tolist():
        pair = f'{names.verbs[table.verbs[row]]} {names.objects[table.objects[row]]}'
        found.append(Problem(
            'combination_unknown', WARNING, table.file, table.place(row),
            'verb and object are no HOI class', pair,
            f'one of the {len(names.combinations)} combinations'))
    rows = np.column_stack([table.record, table.verbs, table.objects,
                            table.human_boxes, table.object_boxes])
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    original = first[group.reshape(-1)]
    for row in np.flatnonzero(original != np.arange(len(rows))).tolist():
        found.append(Problem(
            'pair_duplicate', WARNING, table.file, table.place(row), 'the pair occurs twice',
            f'the boxes and the verb of pair {table.pair[original[row]]}', 'each pair once'))
    return found


def _record_problems(table: PairTable) -> List[Problem]:
    found, seen = [], set()
    for name in table.images:
        if name in seen:
            found.append(Problem('image_duplicate', ERROR, table.file, name,
                                 'two records have the same image', name, 'one record per image'))
        seen.add(name)
    pairs = np.bincount(table.record, minlength=len(table.images))
    for index in np.flatnonzero((table.sizes < 0).any(1) | ((table.sizes == 0).any(1)
                                                            & (table.sizes != 0).any(1))):
        found.append(Problem('size_invalid', ERROR, table.file, table.images[index],
                             f'the size of an image with {pairs[index]} pairs is impossible',
                             f'{table.sizes[index].tolist()}', 'width and height above 0'))
    return found


def _measured(table: PairTable, source: ImageSizes) -> Tuple[PairTable, List[Problem]]:
    """Return the table with the sizes it lacked, and what is wrong with the images."""
    found, sizes = [], table.sizes.copy()
    for index, (name, size) in enumerate(zip(table.images, table.sizes.tolist())):
        try:
            real = list(source.size(name))
        except HoiError as error:
            found.append(Problem('image_unreadable', ERROR, table.file, name,
                                 'the image cannot be read', str(error), 'an image file'))
            continue
        if not any(size):
            sizes[index] = real
        elif real != size:
            found.append(Problem('image_size', ERROR, table.file, name,
                                 'the image is not as large as annotated',
                                 f'{real[0]} x {real[1]}', f'{size[0]} x {size[1]}'))
    return replace(table, sizes=sizes), found
