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

"""The pairs of a data set as batches for an interaction head."""

from pathlib import Path
from typing import NamedTuple, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.networks.lain import LainInputs
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.preprocess import ImageTransform
from hoi_trainer.datasets.records import HoiDataset
from hoi_trainer.interaction.association import pair_labels
from hoi_trainer.interaction.detections_cache import (
    cached_detections,
    cached_images,
    DetectionCache,
    Slots,
)
from hoi_trainer.interaction.rows import PromptRows
import numpy as np
import torch
from torch import Tensor

CHUNK = 1000


class PairTable(NamedTuple):
    """
    P candidate pairs for each of N images, best detector scores first, positives before others.

    human, object: (N, P) int64 slots. mask: (N, P) bool. verbs: (N, P, V) bool, the vocabulary's
    verbs that annotated pairs show there.
    """

    human: Tensor
    object: Tensor
    mask: Tensor
    verbs: Tensor


class Truth(NamedTuple):
    """Annotated pairs, padded: (N, G, 4) boxes in source pixels, (N, G) verb, -1 = padding."""

    humans: Tensor
    objects: Tensor
    verbs: Tensor


class HeadBatch(NamedTuple):
    """
    What a head sees and should say.

    inputs: see `LainInputs`; images may be empty, (B, 3, 0, 0). labels, valid: (B, P, R) over the
    prompt rows; valid is False for rows that cannot go with the pair's object, that are held back,
    and for padding. prior: (B, P) product of the two detector scores. index: (B,) image.
    """

    inputs: LainInputs
    labels: Tensor
    valid: Tensor
    prior: Tensor
    index: Tensor


def known_verbs(dataset: HoiDataset, bundle: Bundle) -> np.ndarray:
    """
    Return (verbs,) int64: the bundle's index of each verb of the data set.

    Raises `HoiError` where one of them is not in the bundle's vocabulary.
    """
    known = bundle.spec.core_vocabulary().verb_names
    missing = [name for name in dataset.names.verbs if name not in known]
    if missing:
        raise HoiError(f'the data set has the verb {missing[0]!r}, which is not among the '
                       f'{len(known)} of bundle {bundle.spec.name}: choose the bundle made for '
                       'this data set.')
    return np.array([known.index(name) for name in dataset.names.verbs])


def truth_of(dataset: HoiDataset, bundle: Bundle, unseen: np.ndarray) -> Truth:
    """
    Return the annotated pairs with the vocabulary's verb indices, without the unseen classes.

    unseen: (U,) int64 HOI classes. Raises `HoiError` as `known_verbs`.
    """
    verb_of = known_verbs(dataset, bundle)
    table = dataset.names.class_table()
    kept = [~np.isin(table[record.verbs, record.objects], unseen) for record in dataset.records]
    count, most = len(kept), max(max(int(k.sum()) for k in kept), 1)
    humans, objects = np.zeros((2, count, most, 4), np.float32)
    verbs = np.full((count, most), -1, np.int64)
    for row, (record, k) in enumerate(zip(dataset.records, kept)):
        n = int(k.sum())
        humans[row, :n], objects[row, :n] = record.human_boxes[k], record.object_boxes[k]
        verbs[row, :n] = verb_of[record.verbs[k]]
    return Truth(*map(torch.from_numpy, (humans, objects, verbs)))


def pair_table(cache: DetectionCache, truth: Truth, human: int, slots: Slots, verbs: int,
               pairs: int, positives_first: bool) -> PairTable:
    """
    Enumerate all (human, other instance) pairs of every image and keep `pairs` of them.

    human: index of the acting object. positives_first: no annotated pair gives way to a
    confident one (training); otherwise the detector's scores alone decide, as at run time.
    """
    grid_h, grid_o = (axis.flatten() for axis in torch.meshgrid(
        torch.arange(slots.humans), torch.arange(slots.total), indexing='ij'))
    parts = []
    for start in range(0, len(cache.boxes), CHUNK):
        boxes, scores, labels, mask = (torch.from_numpy(np.array(part[start:start + CHUNK]))
                                       for part in cache[:4])
        allowed = (mask[:, grid_h] & (labels[:, grid_h] == human) & mask[:, grid_o]
                   & (grid_h != grid_o))
        shown = pair_labels(boxes[:, grid_h], boxes[:, grid_o],
                            *(part[start:start + CHUNK] for part in truth), verbs) > 0
        shown &= allowed[..., None]
        rank = scores[:, grid_h] * scores[:, grid_o] + allowed.float()
        if positives_first:
            rank += shown.any(-1).float()
        best = rank.topk(min(pairs, rank.shape[1]), dim=1).indices
        parts.append(PairTable(
            grid_h[best], grid_o[best], allowed.gather(1, best),
            shown.gather(1, best[..., None].expand(-1, -1, verbs))))
    return PairTable(*(torch.cat(column) for column in zip(*parts)))


class HeadSplit:
    """
    One split of a data set with its cached detections, ready to be cut into batches.

    pairs: its `PairTable`. annotated: (N,) bool, images with a pair that counts. covered: share of
    the annotated (pair, verb)s that some candidate pair shows.
    """

    def __init__(self, bundle: Bundle, dataset: HoiDataset, cache: Path, slots: Slots, pairs: int,
                 unseen: Optional[np.ndarray] = None, training: bool = False,
                 pictures: bool = True) -> None:
        """
        Open the caches, filling them where necessary.

        unseen: HOI classes that training must not see. training: keep positives before others.
        pictures: also the CLIP images.
        """
        vocabulary = bundle.spec.core_vocabulary()
        self.dataset, self.slots = dataset, slots
        self.detections = cached_detections(bundle, dataset, cache, slots)
        self.images = cached_images(bundle, dataset, cache) if pictures else None
        truth = truth_of(dataset, bundle, np.zeros(0, np.int64) if unseen is None else unseen)
        self.pairs = pair_table(self.detections, truth, vocabulary.human, slots,
                                len(vocabulary.verbs), pairs, training)
        self.annotated = (truth.verbs >= 0).any(1)
        self.covered = coverage(self.detections, self.pairs, truth)
        spec = bundle.spec.clip.preprocessing
        place = ImageTransform(spec, torch.device('cpu')).place
        placements = [place(record.height, record.width) for record in dataset.records]
        table = np.array([place[:4] for place in placements], np.float32)[:, None]
        boxes = self.detections.boxes * table[..., [0, 1, 0, 1]] + table[..., [2, 3, 2, 3]]
        self.boxes = torch.from_numpy(boxes)
        self.scores, self.labels, self.mask, self.queries = (
            torch.from_numpy(np.array(part)) for part in self.detections[1:])
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
        self._mean, self._std = mean, std

    @property
    def count(self) -> int:
        """Return the number of images."""
        return len(self.dataset.records)

    def pixels(self, index: Tensor) -> Tensor:
        """Return (B, 3, S, S) CLIP images in 0..1, (B, 3, 0, 0) without pictures."""
        if self.images is None:
            return torch.zeros(len(index), 3, 0, 0)
        order = index.cpu().numpy()
        return torch.from_numpy(np.ascontiguousarray(self.images[order])).float() / 255

    def normalise(self, images: Tensor) -> Tensor:
        """Return images in 0..1 as CLIP expects them."""
        return (images - self._mean.to(images.device)) / self._std.to(images.device)

    def batch(self, index: Tensor, images: Tensor, rows: PromptRows) -> HeadBatch:
        """
        Return the batch of (B,) image indices.

        images: (B, 3, S, S) normalised. rows: what may be said; on the device of the batch.
        """
        device = rows.embeddings.device
        at = index.cpu()
        boxes, scores, labels, mask, queries = (
            part[at].to(device) for part in (self.boxes, self.scores, self.labels, self.mask,
                                             self.queries))
        human, thing, pair_mask, verbs = (part[at].to(device) for part in self.pairs)
        labels = labels.long()
        valid = rows.validity.T[labels.gather(1, thing)] & pair_mask[..., None]
        shown = verbs[..., rows.verb_of_row]
        prior = scores.gather(1, human) * scores.gather(1, thing) * pair_mask
        inputs = LainInputs(images.to(device), boxes, scores, labels, mask, queries.float(),
                            human, thing, pair_mask, rows.objects)
        return HeadBatch(inputs, (shown & valid).float(), valid, prior, index)


def coverage(cache: DetectionCache, pairs: PairTable, truth: Truth) -> float:
    """Return the share of annotated (pair, verb)s that a candidate pair overlaps enough."""
    found = total = 0.0
    for start in range(0, len(cache.boxes), CHUNK):
        boxes = torch.from_numpy(np.array(cache.boxes[start:start + CHUNK]))
        human, thing, mask, _ = (part[start:start + CHUNK] for part in pairs)
        humans, objects, verbs = (part[start:start + CHUNK] for part in truth)

        def of(index: Tensor, boxes: Tensor = boxes) -> Tensor:
            return boxes.gather(1, index[..., None].expand(-1, -1, 4))

        annotations = torch.arange(verbs.shape[1]).expand_as(verbs).masked_fill(verbs < 0, -1)
        shown = pair_labels(of(human), of(thing), humans, objects, annotations, verbs.shape[1])
        found += float((shown * mask[..., None]).amax(1).sum())
        total += float((verbs >= 0).sum())
    return found / max(total, 1.0)
