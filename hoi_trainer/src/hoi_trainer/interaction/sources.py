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

"""Where training data come from: paths opened as data sets, classes held back by name."""

from dataclasses import replace
from pathlib import Path
from typing import Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import read_json
from hoi_perception.evaluation.datasets.hico_json import is_hake, is_instances
from hoi_trainer.datasets.hico_det import load_hico
from hoi_trainer.datasets.records import HoiDataset
from hoi_trainer.datasets.synthetic import load_synthetic
from hoi_trainer.datasets.vcoco import load_vcoco
from hoi_trainer.datasets.zero_shot import check_split, load_split, ZeroShotSplit


def open_dataset(path: Path, limit: Optional[int] = None, images: Optional[Path] = None,
                 split: Optional[str] = None) -> HoiDataset:
    """
    Return at most `limit` images of a data set.

    path: a directory written by `hoi-trainer synth`, or the annotation file of HICO-DET or V-COCO
    (instances form); then images is the directory of the photos. split: 'train' or 'test', for
    `anno_bbox.mat`, which holds both. Raises `HoiError` if it is no data set or photos are
    missing.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        dataset = load_synthetic(path)
    elif images is None:
        raise HoiError(f'{path} names photos but holds none: give their directory as `images`.')
    elif path.suffix == '.mat':
        dataset = load_hico(path, split, images)
    else:
        raw = read_json(path)
        load = load_hico if is_instances(raw) or is_hake(raw) else load_vcoco
        dataset = load(path, images=images)
    return replace(dataset, records=dataset.records[:limit])


def open_split(name: str, dataset: HoiDataset) -> ZeroShotSplit:
    """Return the zero-shot setting of that name; raises `HoiError` if it does not fit."""
    split = load_split(name)
    check_split(split, dataset.names)
    return split
