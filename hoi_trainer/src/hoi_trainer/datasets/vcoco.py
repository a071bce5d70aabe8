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

"""V-COCO in either form; the boxes of both are pixel edges with x2 = x1 + width."""

from pathlib import Path
from typing import Any, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import read_json
from hoi_perception.evaluation.datasets.pair_table import PairTable
from hoi_perception.evaluation.datasets.vcoco_json import is_vcoco_instances, read_vcoco_instances
from hoi_perception.evaluation.datasets.vcoco_names import vcoco_actions, vcoco_names
from hoi_perception.evaluation.datasets.vcoco_original import (
    is_vcoco_original,
    read_vcoco_original,
)
from hoi_trainer.datasets.images import open_images
from hoi_trainer.datasets.records import HoiDataset, to_dataset
import numpy as np

__all__ = ['load_vcoco', 'read_ids', 'read_vcoco_json', 'vcoco_actions', 'vcoco_names']


def load_vcoco(path, images: Optional[Path] = None, coco: Optional[Path] = None,
               ids: Optional[Path] = None) -> HoiDataset:
    """
    Open `instances_vcoco_<split>.json`, or the original `vcoco_<split>.json` with COCO's boxes.

    images: directory that has the photos or train2014 and val2014. coco: COCO instances file
    with the images of the original form, needed there and only there. ids: the original form's
    `.ids` file, to check that it is of the same split. Both forms give the same pairs: 24 verbs,
    people without an object left out (evaluation needs them: `evaluation.vcoco_truth`). Raises
    `HoiError` naming the first error.
    """
    path = Path(path)
    raw = read_json(path)
    if is_vcoco_original(raw) and coco is None:
        raise HoiError(f'{path} is V-COCO in its original form, which has no boxes: give the COCO '
                       'instances file of its images too.')
    table = read_vcoco_json(raw, str(path), coco, ids)
    if table is None:
        raise HoiError(f'{path} is no V-COCO annotation: expected JSON with annotations, classes '
                       'and objects, or a list of actions.')
    return to_dataset(table, open_images(images))


def read_vcoco_json(raw: Any, file: str, coco: Optional[Path] = None,
                    ids: Optional[Path] = None) -> Optional[PairTable]:
    """Return the pairs of parsed JSON, None if it has neither of V-COCO's layouts."""
    if is_vcoco_instances(raw):
        return read_vcoco_instances(raw, file)
    if not is_vcoco_original(raw):
        return None
    return read_vcoco_original(raw, file, None if coco is None else read_json(coco),
                               None if ids is None else read_ids(ids))


def read_ids(path: Path) -> np.ndarray:
    """Return the image ids of a `.ids` file, one per line, int64; raises `HoiError`."""
    try:
        return np.array([int(line) for line in Path(path).read_text().split()], np.int64)
    except (OSError, ValueError, OverflowError) as error:
        raise HoiError(f'{path} is no list of image ids, one per line ({error}).') from error
