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

"""Batches of cached trunk outputs with annotated pairs and their masks."""

from pathlib import Path
from typing import NamedTuple, Optional

from hoi_perception.networks.seg2hoi import Seg2HoiInputs
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.datasets.records import HoiDataset
from hoi_trainer.interaction.data_module import HeadData, SLOTS
from hoi_trainer.interaction.detections_cache import Slots
from hoi_trainer.interaction.rows import PromptRows
from hoi_trainer.interaction.sources import open_dataset, open_split
from hoi_trainer.set_prediction.criterion import MaskTargets
from hoi_trainer.set_prediction.matcher import VerbTargets
from hoi_trainer.set_prediction.pseudo_masks import unpack
from hoi_trainer.set_prediction.targets import pair_targets, PairTargets
from hoi_trainer.set_prediction.trunk_cache import cached_trunk, placements_of
from hoi_trainer.training.steps import seed_step
import numpy as np
import torch
from torch import Tensor


class SetBatch(NamedTuple):
    """What the decoder sees, what it should say, and (B,) image indices."""

    inputs: Seg2HoiInputs
    targets: PairTargets
    masks: MaskTargets
    index: Tensor


class SetSplit:
    """
    One split of a data set with its cached trunk, ready to be cut into batches.

    targets: of all images, without what training must not see. annotated: (N,) bool, images with a
    pair that counts. placements: of each picture in the trunk's image.
    """

    def __init__(self, bundle: Bundle, dataset: HoiDataset, cache: Path, slots: Slots = SLOTS,
                 unseen: Optional[np.ndarray] = None) -> None:
        """Open the cache, filling it where necessary; unseen: HOI classes to hold back."""
        self.dataset, self.placements = dataset, placements_of(dataset, bundle)
        self.targets = pair_targets(dataset, bundle, self.placements,
                                    np.zeros(0, np.int64) if unseen is None else unseen)
        self.trunk = cached_trunk(bundle, dataset, cache, slots)
        self.annotated = self.targets.mask.any(1)
        self._small = [torch.from_numpy(np.array(part)) for part in self.trunk[:5]]
        self._flags = torch.from_numpy(np.array(self.trunk.flags))

    @property
    def count(self) -> int:
        """Return the number of images."""
        return len(self.dataset.records)

    def batch(self, index: Tensor, device: torch.device) -> SetBatch:
        """Return the batch of (B,) image indices on a device."""
        at = index.cpu()
        rows = at.numpy()

        def read(part: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(part[rows])).to(device)

        boxes, scores, labels, mask, queries = (part[at].to(device) for part in self._small)
        pixels = read(self.trunk.pixels).float()
        flags = self._flags[at].to(device)
        union, both = (unpack(read(part), *pixels.shape[-2:])
                       for part in (self.trunk.union, self.trunk.intersection))
        return SetBatch(
            Seg2HoiInputs(queries.float(), boxes, scores, labels.long(), mask, pixels),
            self.targets.at(at).to(device),
            MaskTargets(union, both, flags[..., 0], flags[..., 1]), index)


def verb_targets(targets: PairTargets, rows: PromptRows) -> VerbTargets:
    """Return what the rows should say; rows: those that training may see (`without_unseen`)."""
    valid = rows.validity.T[targets.labels] & targets.mask[..., None]
    return VerbTargets(targets.verbs[..., rows.verb_of_row] & valid, valid, rows.validity.any(1))


class SetData(HeadData):
    """
    Cached trunk outputs, annotated pairs and pseudo-label masks of a data set.

    For bundle, train, val, cache, zero_shot, batch_size, slots, seed, limit and images see
    `HeadData`. There are no augmentations, so that the trunk runs once per picture.
    """

    def __init__(self, bundle: str, train: str, val: str, cache: str, zero_shot: str = 'full',
                 batch_size: int = 16, slots: Slots = SLOTS, seed: int = 0,
                 limit: Optional[int] = None, images: Optional[str] = None) -> None:
        super().__init__(bundle, train, val, cache, zero_shot, batch_size, slots=slots, seed=seed,
                         pictures=False, limit=limit, images=images)

    def setup(self, stage: str) -> None:
        """Open both splits."""
        for name, directory in self.directories.items():
            if name not in self.splits:
                dataset = open_dataset(directory, self.limit, self.images,
                                       'train' if name == 'train' else 'test')
                self.unseen = open_split(self.zero_shot, dataset).unseen
                self.splits[name] = SetSplit(self.bundle, dataset, self.cache, self.slots,
                                             self.unseen if name == 'train' else None)

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> SetBatch:
        """Turn (B,) image indices into a batch."""
        trainer, training = self.trainer, self.trainer.training
        if training:
            seed_step(self.seed, trainer.global_step, trainer.global_rank)
        return self.splits['train' if training else 'val'].batch(batch, batch.device)
