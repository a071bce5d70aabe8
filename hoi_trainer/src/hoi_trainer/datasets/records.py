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

"""What every data set becomes: pairs of boxes with a verb and an object, per image."""

from dataclasses import dataclass
from typing import Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_perception.evaluation.datasets.pair_table import find_problems, PairTable, zero_based
from hoi_perception.evaluation.datasets.problems import refuse_errors
from hoi_trainer.datasets.images import ImageSource
import numpy as np


@dataclass(frozen=True)
class HoiRecord:
    """
    The annotated pairs of one image; row g of every array is one pair with one verb.

    image: file name, or index as text. width, height: pixels, 0 where neither the annotation
    nor an image said. human_boxes, object_boxes: (G, 4) float32 xyxy in pixels, 0-based, x2 and
    y2 exclusive. objects: (G,) int64 into `HoiNames.objects`. verbs: (G,) int64 into
    `HoiNames.verbs`.
    """

    image: str
    width: int
    height: int
    human_boxes: np.ndarray
    object_boxes: np.ndarray
    objects: np.ndarray
    verbs: np.ndarray


@dataclass(frozen=True)
class HoiDataset:
    """
    Records with their names and, where they are at hand, their images.

    images: where pixels come from, None if only the annotation was opened.
    """

    names: HoiNames
    records: Tuple[HoiRecord, ...]
    images: Optional[ImageSource] = None

    def __len__(self) -> int:
        return len(self.records)

    def image(self, index: int) -> np.ndarray:
        """
        Return the image of a record, (H, W, 3) uint8 RGB.

        Raises `HoiError` where there are no images, the file cannot be read, or its size is not
        the one that the boxes were drawn for.
        """
        record = self.records[index]
        if self.images is None:
            raise HoiError(f'image {record.image!r} cannot be read: the data set was opened '
                           'without a directory of images; give one.')
        pixels = self.images.read(record.image)
        height, width = pixels.shape[:2]
        if record.width and (width, height) != (record.width, record.height):
            raise HoiError(f'image {record.image!r} is {width} x {height} pixels, but its boxes '
                           f'were annotated at {record.width} x {record.height}: it was resized '
                           'or is another file.')
        return pixels

    def class_counts(self) -> np.ndarray:
        """Return how many annotated pairs each HOI class has, (C,) int64."""
        table = self.names.class_table()
        counts = np.zeros(len(self.names.combinations), np.int64)
        for record in self.records:
            classes = table[record.verbs, record.objects]
            np.add.at(counts, classes[classes >= 0], 1)
        return counts


def to_dataset(table: PairTable, source: Optional[ImageSource] = None) -> HoiDataset:
    """
    Return the records of a table without errors; raises `HoiError` naming the first otherwise.

    Sizes that the annotation does not say are taken from the images where these are given.
    """
    refuse_errors(find_problems(table), table.file)
    order = np.argsort(table.record, kind='stable')
    cuts = np.cumsum(np.bincount(table.record, minlength=len(table.images)))[:-1]
    columns = [np.split(column[order], cuts) for column in (
        zero_based(table.human_boxes, table.one_based).astype(np.float32),
        zero_based(table.object_boxes, table.one_based).astype(np.float32),
        table.objects, table.verbs)] if table.images else [[]] * 4
    records = []
    for name, size, *row in zip(table.images, table.sizes.tolist(), *columns):
        width, height = size if all(size) or source is None else source.size(name)
        records.append(HoiRecord(name, width, height, *row))
    return HoiDataset(table.names, tuple(records), source)
