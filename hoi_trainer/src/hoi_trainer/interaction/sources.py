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

"""Where training data come from: directories opened as data sets, classes held back by name."""

from dataclasses import replace
from pathlib import Path
from typing import Optional

from hoi_trainer.datasets.records import HoiDataset
from hoi_trainer.datasets.synthetic import load_synthetic
from hoi_trainer.datasets.zero_shot import check_split, load_split, ZeroShotSplit


def open_dataset(directory: Path, limit: Optional[int] = None) -> HoiDataset:
    """Return a split written by `hoi-trainer synth`, at most `limit` images of it."""
    dataset = load_synthetic(directory)
    return replace(dataset, records=dataset.records[:limit])


def open_split(name: str, dataset: HoiDataset) -> ZeroShotSplit:
    """Return the zero-shot setting of that name; raises `HoiError` if it does not fit."""
    split = load_split(name)
    check_split(split, dataset.names)
    return split
