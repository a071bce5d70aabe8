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
A better detector than there is: what the frozen one found, corrected by the scene's true boxes.

Found instances of a class that overlap a true one get its box and score 1, the others are gone;
what was missed stays missed, because it has no detector query. True boxes of all instances are
used, interacting or not, so that no interaction is given away.
"""

import json
from pathlib import Path

from hoi_perception.networks.pair_geometry import box_iou
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.preprocess import ImageTransform
from hoi_trainer.datasets.records import HoiDataset
from hoi_trainer.datasets.synthetic import SCENES
from hoi_trainer.interaction.association import IOU_THRESHOLD
from hoi_trainer.interaction.data import coverage, HeadSplit, pair_table, truth_of
from hoi_trainer.interaction.detections_cache import (
    cache_key,
    cached_detections,
    dataset_key,
    DetectionCache,
    filled,
    Slots,
)
import numpy as np
import torch


class ExactSplit(HeadSplit):
    """A synthetic split with corrected detections; scenes: its directory."""

    def __init__(self, bundle: Bundle, dataset: HoiDataset, cache: Path, slots: Slots, pairs: int,
                 scenes: Path) -> None:
        super().__init__(bundle, dataset, cache, slots, pairs)
        vocabulary = bundle.spec.core_vocabulary()
        truth = truth_of(dataset, bundle, np.zeros(0, np.int64))
        self.detections = exact_detections(bundle, dataset, cache, slots, scenes)
        self.pairs = pair_table(self.detections, truth, vocabulary.human, slots,
                                len(vocabulary.verbs), pairs, False)
        self.covered = coverage(self.detections, self.pairs, truth)
        place = ImageTransform(bundle.spec.clip.preprocessing, torch.device('cpu')).place
        self.boxes = torch.from_numpy(np.stack([
            place(record.height, record.width).to_network(boxes)
            for record, boxes in zip(dataset.records, self.detections.boxes)]))
        self.scores, self.mask = (torch.from_numpy(np.array(part)) for part in (
            self.detections.scores, self.detections.mask))


def exact_detections(bundle: Bundle, dataset: HoiDataset, directory: Path,
                     slots: Slots, scenes: Path) -> DetectionCache:
    """
    Return the corrected detections of a synthetic split, cached.

    scenes: directory of the split, whose objects the bundle's detector must know by name.
    """
    found = cached_detections(bundle, dataset, directory, slots)
    names = bundle.spec.vocabulary.objects
    label_of = np.array([names.index(name) for name in dataset.names.objects])
    with open(scenes / SCENES, encoding='utf-8') as file:
        true = [json.loads(line) for line, _ in zip(file, dataset.records)]
    layout = {name: (part.dtype.name, part.shape[1:])
              for name, part in found._asdict().items()}

    def rows(images: list, first: int) -> dict:
        parts = [_corrected(DetectionCache(*(part[first + i] for part in found)),
                            np.array(true[first + i]['boxes'], np.float32).reshape(-1, 4),
                            label_of[np.array(true[first + i]['labels'], int)])
                 for i in range(len(images))]
        return {name: np.stack(column) for name, column in zip(layout, zip(*parts))}

    key = cache_key('exact', dataset_key(dataset), bundle.spec.files['detector.safetensors'],
                    bundle.spec.thresholds.instance, bundle.spec.thresholds.nms_iou, slots)
    return DetectionCache(**filled(directory / key, len(dataset), layout, dataset, rows))


def _corrected(found: DetectionCache, boxes: np.ndarray, labels: np.ndarray) -> DetectionCache:
    """Return the instances of one image that a true one of their class stands behind."""
    overlap = box_iou(torch.from_numpy(np.array(found.boxes))[:, None],
                      torch.from_numpy(boxes)).numpy()
    overlap = np.where(found.labels[:, None] == labels, overlap, 0) * found.mask[:, None]
    if not overlap.size:
        return found._replace(scores=found.scores * 0, mask=np.zeros_like(found.mask))
    best = overlap.argmax(1)
    kept = overlap.max(1) >= IOU_THRESHOLD
    # A true instance is found once, by the box that fits best.
    kept &= overlap[np.arange(len(best)), best] == overlap.max(0)[best]
    return found._replace(boxes=np.where(kept[:, None], boxes[best], found.boxes),
                          scores=kept.astype(np.float32), mask=kept)
