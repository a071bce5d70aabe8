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

"""HICO-DET in any of its files: the official `.mat`, `instances_*.json`, HAKE's training set."""

from pathlib import Path
from typing import Any, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import read_json
from hoi_perception.evaluation.datasets.hico_json import (
    is_hake,
    is_instances,
    read_hake,
    read_instances,
)
from hoi_perception.evaluation.datasets.hico_names import (
    hico_names,
    no_interaction_classes,
    rare_classes,
    training_counts,
)
from hoi_perception.evaluation.datasets.pair_table import PairTable
from hoi_trainer.datasets.hico_mat import open_mat, read_mat, SPLITS
from hoi_trainer.datasets.images import open_images
from hoi_trainer.datasets.records import HoiDataset, to_dataset

__all__ = ['hico_names', 'load_hico', 'no_interaction_classes', 'rare_classes', 'read_hico',
           'training_counts']


def load_hico(path, split: Optional[str] = None, images: Optional[Path] = None,
              object_order: Optional[str] = None) -> HoiDataset:
    """
    Open HICO-DET; names, verbs and objects are those of `hico_names()` whatever the file's order.

    path: `anno_bbox.mat` (split 'train' or 'test' needed), `instances_*.json` in either object
    order, or HAKE's training JSON. images: directory of the photos. object_order: 'coco' or
    'hico' settles what lists in the JSON leave open; by default the file's own evidence decides.
    Boxes become 0-based. Raises `HoiError` naming the first error, and if the order of objects
    cannot be decided.
    """
    return to_dataset(read_hico(Path(path), split, object_order), open_images(images))


def read_hico(path: Path, split: Optional[str] = None,
              object_order: Optional[str] = None) -> PairTable:
    """Return all pairs with what is wrong with them; raises `HoiError` if it is no HICO-DET."""
    if path.suffix == '.mat':
        if split not in SPLITS:
            raise HoiError(f'{path} holds two splits, got split {split!r}: choose train or test.')
        return read_mat(open_mat(path), split, str(path))
    table = read_hico_json(read_json(path), str(path), object_order)
    if table is None:
        raise HoiError(f'{path} is no HICO-DET annotation: expected anno_bbox.mat, JSON with the '
                       'lists annotation and filenames, or HAKE labels by image name.')
    return table


def read_hico_json(raw: Any, file: str, object_order: Optional[str] = None
                   ) -> Optional[PairTable]:
    """Return the pairs of parsed JSON, None if it has none of HICO-DET's layouts."""
    if is_instances(raw):
        return read_instances(raw, file, object_order)
    return read_hake(raw, file) if is_hake(raw) else None
