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
What the frozen trunk gives for a data set and the masks made from it, computed once, on disk.

The trunk sees pictures without augmentation. Instances are thinned and chosen as at run time, with
fewer places (`Slots`). For pictures of 360 x 480 of the synthetic world a row is 0.25 MB, nearly
all of it the pixel embedding; full-size segmenters have 60 times as much, which no disk of a
workstation holds for HICO-DET: they have to run in the training step, which is not there yet.
"""

from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.core.pairs import select_instances
from hoi_perception.networks.detection import Detections
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.detect_stage import DetectStage
from hoi_perception.runtime.loading import class_map
from hoi_perception.runtime.preprocess import ImageTransform, Placement
from hoi_trainer.datasets.records import HoiDataset
from hoi_trainer.interaction.detections_cache import (
    cache_key,
    dataset_key,
    filled,
    Layout,
    Slots,
)
from hoi_trainer.set_prediction.pseudo_masks import pack, pseudo_masks, union_boxes
from hoi_trainer.set_prediction.targets import normalised, pair_targets, PairTargets
import numpy as np
import torch


class TrunkCache(NamedTuple):
    """
    N images with n instance slots, G annotated pairs and a pixel embedding each, memory-mapped.

    boxes: (N, n, 4) float32 xyxy, 0..1 of the trunk's image. scores: (N, n) float32. labels:
    (N, n) int16 into the bundle's objects. mask: (N, n) bool. queries: (N, n, D) float16. pixels:
    (N, M, h, w) float16. union, intersection: (N, G, bytes) uint8, packed masks. flags: (N, G, 3)
    bool: the union is valid, the intersection is, it is a contact band. union_boxes: (N, G, 4)
    float32 around the union masks.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    queries: np.ndarray
    pixels: np.ndarray
    union: np.ndarray
    intersection: np.ndarray
    flags: np.ndarray
    union_boxes: np.ndarray


def placements_of(dataset: HoiDataset, bundle: Bundle) -> List[Placement]:
    """Return where each picture lies in the trunk's image."""
    place = ImageTransform(bundle.spec.detector.preprocessing, torch.device('cpu')).place
    return [place(record.height, record.width) for record in dataset.records]


def cached_trunk(bundle: Bundle, dataset: HoiDataset, directory: Path, slots: Slots,
                 device: str = 'cpu') -> TrunkCache:
    """
    Return the trunk's output and the pseudo-label masks of a data set, computed where missing.

    Masks are made for all annotated pairs; which of them a training may see is its own business.
    Raises `BundleError` where the bundle's detector makes no masks.
    """
    spec = bundle.spec
    targets = pair_targets(dataset, bundle, placements_of(dataset, bundle), np.zeros(0, np.int64))
    key = cache_key('trunk', dataset_key(dataset), spec.files['detector.safetensors'],
                    spec.detector.model_dump_json(), spec.thresholds.instance,
                    spec.thresholds.nms_iou, spec.vocabulary.objects, slots)
    work = _Segmenting(bundle, slots, targets, torch.device(device))
    return TrunkCache(**filled(directory / key, len(dataset), work.layout, dataset, work.rows))


class _Segmenting:
    """The runtime's detector and selection over a chunk of images, with masks of the pairs."""

    def __init__(self, bundle: Bundle, slots: Slots, targets: PairTargets,
                 device: torch.device) -> None:
        self._stage, self._slots, self._targets = DetectStage(bundle, device), slots, targets
        network, image = self._stage.network, bundle.spec.detector.preprocessing
        if not network.pixel_dim:
            raise BundleError(f'{bundle.path}: the detector makes no masks, so it is no trunk for '
                              'Seg2HOI; choose a bundle with an instance segmenter.')
        self._threshold = bundle.spec.thresholds.instance
        self._human = bundle.spec.core_vocabulary().human
        self._label_of = torch.tensor(class_map(bundle.spec), device=device)
        with torch.inference_mode():
            probe = network(torch.zeros(1, 3, image.height, image.width, device=device))
        grid, total, pairs = probe.prototypes.shape[1:], slots.total, targets.mask.shape[1]
        size = -(-grid[1] * grid[2] // 8)
        self.layout: Layout = {
            'boxes': ('float32', (total, 4)), 'scores': ('float32', (total,)),
            'labels': ('int16', (total,)), 'mask': ('bool', (total,)),
            'queries': ('float16', (total, network.query_dim)), 'pixels': ('float16', tuple(grid)),
            'union': ('uint8', (pairs, size)), 'intersection': ('uint8', (pairs, size)),
            'flags': ('bool', (pairs, 3)), 'union_boxes': ('float32', (pairs, 4))}

    @torch.inference_mode()
    def rows(self, images: list, first: int) -> Dict[str, np.ndarray]:
        """Return the arrays of a chunk that begins with image `first`."""
        transform = self._stage.transform
        inputs = self._stage.prepare([transform.resize(image) for image in images])
        output, host = self._stage.detect(inputs)
        result = {name: np.zeros((len(images), *shape), dtype)
                  for name, (dtype, shape) in self.layout.items()}
        result['pixels'][:] = output.prototypes.cpu().numpy()
        self._write_masks(result, output, first)
        queries = output.queries.cpu().numpy()
        for i, image in enumerate(images):
            boxes, scores, labels, rows = self._chosen(host[i], *image.shape[:2])
            count = len(rows)
            result['boxes'][i, :count], result['scores'][i, :count] = boxes, scores
            result['labels'][i, :count], result['mask'][i, :count] = labels, True
            result['queries'][i, :count] = queries[i, rows]
        return result

    def _chosen(self, host: np.ndarray, height: int, width: int) -> Tuple[np.ndarray, ...]:
        """Return normalised boxes, scores, labels and detector rows of the instances kept."""
        placement, slots = self._stage.transform.place(height, width), self._slots
        found = self._stage.find(host, placement, width, height)
        kept = select_instances(found.instances.scores, found.instances.labels, self._human,
                                self._threshold, slots.least, slots.humans, slots.objects)
        chosen = found.instances.take(kept)
        return (normalised(chosen.boxes, placement), chosen.scores, chosen.labels,
                found.rows[kept])

    def _write_masks(self, result: Dict[str, np.ndarray], output: Detections,
                     first: int) -> None:
        count = len(output.boxes)
        given = self._targets.at(torch.arange(first, first + count)).to(output.boxes.device)
        found = output._replace(labels=self._label_of[output.labels])
        masks = pseudo_masks(found, given.humans, given.objects, given.labels,
                             given.mask & given.has_object(), self._human)
        result['union'][:], result['intersection'][:] = map(pack, masks[:2])
        result['flags'][:] = torch.stack(masks[2:], -1).cpu().numpy()
        result['union_boxes'][:] = union_boxes(masks).cpu().numpy()
