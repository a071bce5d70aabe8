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

"""Images with what a teacher said about them as training batches; no annotation takes part."""

from pathlib import Path
from typing import NamedTuple, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.networks.lain_adapters import take
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.loading import load_clip
from hoi_trainer.datasets.records import HoiDataset
from hoi_trainer.datasets.synthetic import is_synthetic
from hoi_trainer.interaction.data import HeadBatch, HeadSplit
from hoi_trainer.interaction.data_module import HeadData, SLOTS
from hoi_trainer.interaction.detections_cache import Slots
from hoi_trainer.interaction.rows import PromptRows
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.teaching.crops import cached_crops
from hoi_trainer.teaching.exact_boxes import ExactSplit
from hoi_trainer.teaching.pictures import open_pictures, Pictures, unlabelled_dataset
from hoi_trainer.teaching.records import read_records, TeacherLabels
from hoi_trainer.teaching.soft_labels import boxed_labels, soft_labels
from hoi_trainer.teaching.text import encode_records, PhraseTable, Taught, TeacherText
from lightning.pytorch.utilities.types import EVAL_DATALOADERS
import numpy as np
import torch
from torch import Tensor

ANNOTATIONS = ('.json', '.mat')


class TaughtBatch(NamedTuple):
    """
    Images, pairs and what was said.

    head: without labels. taught: see `Taught`. labels: (B, P, K) which pair shows which
    interaction, made from the teacher's words.
    """

    head: HeadBatch
    taught: Taught
    labels: Tensor


def open_taught_split(bundle: Bundle, dataset: HoiDataset, cache: Path, slots: Slots, pairs: int,
                      scenes: Optional[Path] = None) -> HeadSplit:
    """
    Return a split whose pairs the detector's scores alone choose.

    scenes: directory of a synthetic split, whose true boxes then correct the detections.
    """
    if scenes is not None:
        return ExactSplit(bundle, dataset, cache, slots, pairs, scenes)
    return HeadSplit(bundle, dataset, cache, slots, pairs)


def without_labels(split: HeadSplit) -> HeadSplit:
    """Return the split after its annotation is removed: no pair shows anything."""
    split.pairs = split.pairs._replace(verbs=torch.zeros_like(split.pairs.verbs))
    split.annotated = torch.zeros_like(split.annotated)
    return split


class TaughtData(HeadData):
    """
    `HeadData` whose labels are a teacher's words.

    train: as for `HeadData`, or anything without annotation that `hoi-trainer label` can read;
    then `teacher` must be a file of records, and images that it does not speak of are left out.
    teacher: where the words come from. val: None = nothing is measured. phrases: interactions
    kept per image; words: per caption; topic: camera of a bag. exact_boxes: of
    synthetic training images, see `exact_boxes`. See `HeadData` for the others.
    """

    def __init__(self, bundle: str, train: str, cache: str, teacher: TeacherLabels,
                 val: Optional[str] = None, batch_size: int = 16, pairs: int = 16,
                 slots: Slots = SLOTS, seed: int = 0, jitter: float = 0.4,
                 limit: Optional[int] = None, images: Optional[str] = None, phrases: int = 8,
                 words: int = 24, topic: Optional[str] = None,
                 exact_boxes: bool = False) -> None:
        super().__init__(bundle, train, val or train, cache, 'full', batch_size, pairs, slots,
                         seed, jitter, True, limit, images)
        self.unseen: Optional[np.ndarray] = None
        if val is None:
            del self.directories['val']
        self.teacher, self.phrases, self.words, self.topic = teacher, phrases, words, topic
        self.exact_boxes = exact_boxes
        self.text: Optional[TeacherText] = None
        self._table: Optional[PhraseTable] = None

    def setup(self, stage: str) -> None:
        """Open the images, ask the teacher, encode what it says and look at all pairs."""
        if self.text is None:
            dataset = self._dataset()
            split = without_labels(open_taught_split(
                self.bundle, dataset, self.cache, self.slots, self.pairs,
                self.directories['train'] if self.exact_boxes else None))
            records = self.teacher.label(dataset)
            clip, _ = load_clip(self.bundle, torch.device('cpu'))
            self.text = encode_records(
                records, clip, self.bundle.spec.core_vocabulary(),
                self.bundle.spec.vocabulary.background, self.phrases, self.words, self.seed)
            # What nothing was said about is left out, image and all.
            split.annotated = torch.tensor([bool(record.interactions) for record in records])
            self.crops = cached_crops(self.bundle, split, self.cache)
            self.splits['train'] = split
        super().setup(stage)

    def _dataset(self) -> HoiDataset:
        path = self.directories['train']
        if is_synthetic(path) or path.suffix in ANNOTATIONS:
            return open_dataset(path, self.limit, self.images, 'train')
        source = getattr(self.teacher, 'path', None)
        if source is None:
            raise HoiError(f'{path} has no annotation that a teacher could turn into words: give '
                           'a file written by `hoi-trainer label` as teacher (RecordFile).')
        known = {record.image for record in read_records(Path(source))[1] if record.interactions}
        pictures = open_pictures(path, self.topic)
        names = tuple(name for name in pictures.names if name in known)[:self.limit]
        if not names:
            raise HoiError(f'{source} has interactions for none of the {len(pictures.names)} '
                           f'images of {path}.')
        return unlabelled_dataset(Pictures(names, pictures.images), self.bundle)

    def val_dataloader(self) -> EVAL_DATALOADERS:
        """Return all validation images in order, nothing without any."""
        return super().val_dataloader() if 'val' in self.directories else []

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int):
        """Turn (B,) image indices into a `TaughtBatch` for training, else a `HeadBatch`."""
        head = super().on_after_batch_transfer(batch, dataloader_idx)
        return self.teach(head) if self.trainer.training else head

    def table(self, device: torch.device) -> PhraseTable:
        """Return the texts on a device, where they stay."""
        if self._table is None or self._table.scale.device != device:
            self._table = self.text.table.to(device)
        return self._table

    def teach(self, head: HeadBatch) -> TaughtBatch:
        """Return a training batch with the teacher's words and what they make of its pairs."""
        index, device = head.index.cpu(), head.prior.device
        split, table, taught = self.splits['train'], self.table(device), self.text.taught.at(
            index, device)
        inputs = head.inputs
        classes = inputs.labels.gather(1, inputs.object)
        crops = torch.from_numpy(np.array(self.crops[index.numpy()])).float().to(device)
        boxes = torch.from_numpy(np.array(split.detections.boxes[index.numpy()])).to(device)
        labels = soft_labels(crops, classes, inputs.pair_mask, taught, table) + boxed_labels(
            take(boxes, inputs.human), take(boxes, inputs.object), inputs.pair_mask, taught)
        return TaughtBatch(head, taught, labels)


def training_batch(data: TaughtData, index: Tensor, rows: PromptRows) -> TaughtBatch:
    """Return the batch of training images without a trainer, as they are (no jitter)."""
    split = data.splits['train']
    return data.teach(split.batch(index, split.normalise(split.pixels(index)), rows))
