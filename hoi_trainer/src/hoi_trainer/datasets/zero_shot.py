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

"""Zero-shot settings: which HOI classes a model must not see in training, as data files."""

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
import json
from typing import Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_trainer.datasets.records import HoiDataset, HoiRecord
import numpy as np

FULL = 'full'
SPLIT_NAMES: Tuple[str, ...] = (
    FULL, 'rf_uc', 'nf_uc', 'uo', 'uv', 'uc0', 'uc1', 'uc2', 'uc3', 'uc4', 'synthetic_rf_uc',
    'synthetic_uv')


@dataclass(frozen=True)
class ZeroShotSplit:
    """
    A named set of unseen HOI classes.

    unseen: (U,) int64 rows of `HoiNames.combinations`, ascending. classes: how many classes the
    data set has (None: any, nothing is unseen). title, rule: what a result has to say about it.
    """

    name: str
    unseen: np.ndarray
    classes: Optional[int] = None
    title: str = 'full, every class is seen'
    rule: str = 'nothing is held back'

    def describe(self) -> str:
        """Return the line that goes with every result: name, sizes and rule."""
        if self.classes is None:
            return f'zero-shot setting {self.name}: {self.title}'
        return (f'zero-shot setting {self.name} ({self.title}): {len(self.unseen)} of '
                f'{self.classes} classes unseen in training, {self.classes - len(self.unseen)} '
                f'seen; {self.rule}; evaluated on all classes')

    def seen(self) -> np.ndarray:
        """Return the seen classes, ascending; raises `HoiError` for 'full', which has no size."""
        if self.classes is None:
            raise HoiError(f'the setting {self.name!r} fits every data set and does not know how '
                           'many classes are seen: all.')
        return np.setdiff1d(np.arange(self.classes), self.unseen)


@cache
def load_split(name: str) -> ZeroShotSplit:
    """Return the setting of that name, one of `SPLIT_NAMES`; raises `HoiError` otherwise."""
    if name not in SPLIT_NAMES:
        raise HoiError(f'unknown zero-shot setting {name!r}: choose one of '
                       f'{", ".join(SPLIT_NAMES)}.')
    if name == FULL:
        return ZeroShotSplit(FULL, np.zeros(0, np.int64))
    raw = json.loads(files('hoi_trainer.datasets').joinpath(
        f'zero_shot_splits/{name}.json').read_text())
    unseen = np.array(raw['unseen'], np.int64)
    unseen.setflags(write=False)
    return ZeroShotSplit(name, unseen, raw['classes'], raw['title'], raw['rule'])


def check_split(split: ZeroShotSplit, names: HoiNames) -> None:
    """Raise `HoiError` if the setting was made for other classes."""
    count = len(names.combinations)
    if split.classes not in (None, count):
        raise HoiError(f'the zero-shot setting {split.name!r} is for {split.classes} HOI classes, '
                       f'the data set has {count}.')


def seen_only(dataset: HoiDataset, split: ZeroShotSplit) -> HoiDataset:
    """
    Return the data set for training: unseen pairs dropped, then images without any pair.

    Images that had no pair before are dropped too, as in LAIN (lain.md section 12). A pair that
    is in no HOI class is kept. Raises `HoiError` if the setting is for another data set.
    """
    check_split(split, dataset.names)
    table = dataset.names.class_table()
    records = []
    for record in dataset.records:
        keep = ~np.isin(table[record.verbs, record.objects], split.unseen)
        if keep.any():
            records.append(_rows(record, keep))
    return replace(dataset, records=tuple(records))


def _rows(record: HoiRecord, keep: np.ndarray) -> HoiRecord:
    return replace(record, **{name: getattr(record, name)[keep] for name in (
        'human_boxes', 'object_boxes', 'objects', 'verbs')})
