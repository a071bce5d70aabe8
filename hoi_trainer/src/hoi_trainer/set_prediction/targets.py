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

"""Annotated pairs as targets of a set prediction: one row per person and object, many verbs."""

from typing import List, NamedTuple, Tuple

from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.preprocess import Placement
from hoi_trainer.datasets.records import HoiDataset, HoiRecord
from hoi_trainer.interaction.data import known_verbs
import numpy as np
import torch
from torch import Tensor


class PairTargets(NamedTuple):
    """
    G distinct annotated pairs of each of N images, padded.

    humans, objects: (N, G, 4) xyxy, 0..1 of the trunk's image; an object of zero area was not
    annotated (V-COCO) and takes no part in object terms. labels: (N, G) int64 into the bundle's
    objects. verbs: (N, G, V) bool over the bundle's verbs. mask: (N, G) bool.
    """

    humans: Tensor
    objects: Tensor
    labels: Tensor
    verbs: Tensor
    mask: Tensor

    def at(self, index: Tensor) -> 'PairTargets':
        """Return the targets of (B,) images."""
        return PairTargets(*(part[index] for part in self))

    def to(self, device: torch.device) -> 'PairTargets':
        """Return the targets on a device."""
        return PairTargets(*(part.to(device) for part in self))

    def has_object(self) -> Tensor:
        """Return (N, G) bool: pairs whose object has an area."""
        return (self.objects[..., 2:] > self.objects[..., :2]).all(-1)


def distinct_pairs(record: HoiRecord) -> Tuple[np.ndarray, np.ndarray]:
    """Return the first row of each distinct pair, (G,), and the pair of every row, both int64."""
    rows = np.concatenate([record.human_boxes, record.object_boxes,
                           record.objects[:, None].astype(np.float32)], 1)
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, group.reshape(-1)


def normalised(boxes: np.ndarray, placement: Placement) -> np.ndarray:
    """Return (G, 4) boxes in source pixels as 0..1 of the trunk's image."""
    size = np.array([placement.width, placement.height] * 2, np.float32)
    return placement.to_network(boxes) / size


def pair_targets(dataset: HoiDataset, bundle: Bundle, placements: List[Placement],
                 unseen: np.ndarray) -> PairTargets:
    """
    Return the targets of a data set in the bundle's own indices.

    placements: of each image in the trunk's image. unseen: (U,) HOI classes whose annotations are
    left out; a pair of nothing else keeps its row and is masked, as is one whose object the bundle
    does not know. Raises `HoiError` where the data set has a verb that the bundle's vocabulary
    has not.
    """
    names, vocabulary = dataset.names, bundle.spec.core_vocabulary()
    verb_of = known_verbs(dataset, bundle)
    label_of = np.array([vocabulary.objects.index(name) if name in vocabulary.objects else -1
                         for name in names.objects])
    table = names.class_table()
    parts = []
    for record, placement in zip(dataset.records, placements):
        kept = ~np.isin(table[record.verbs, record.objects], unseen)
        kept &= label_of[record.objects] >= 0
        first, group = distinct_pairs(record)
        verbs = np.zeros((len(first), len(vocabulary.verbs)), bool)
        verbs[group[kept], verb_of[record.verbs[kept]]] = True
        parts.append((normalised(record.human_boxes[first], placement),
                      normalised(record.object_boxes[first], placement),
                      label_of[record.objects[first]].clip(min=0), verbs, verbs.any(1)))
    return _padded(parts, len(vocabulary.verbs))


def _padded(parts: list, verbs: int) -> PairTargets:
    most = max([1, *(len(part[0]) for part in parts)])
    count = len(parts)
    humans, objects = np.zeros((2, count, most, 4), np.float32)
    labels = np.zeros((count, most), np.int64)
    shown, mask = np.zeros((count, most, verbs), bool), np.zeros((count, most), bool)
    for row, part in enumerate(parts):
        n = len(part[0])
        humans[row, :n], objects[row, :n], labels[row, :n], shown[row, :n], mask[row, :n] = part
    return PairTargets(*map(torch.from_numpy, (humans, objects, labels, shown, mask)))
