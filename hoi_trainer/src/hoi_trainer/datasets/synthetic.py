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

"""The synthetic world as a data set of pairs."""

import json
from pathlib import Path
from typing import Any, List, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_perception.evaluation.datasets.pair_table import PairTable
from hoi_perception.evaluation.datasets.rows import RowReader
from hoi_trainer.datasets.images import ArrayImages
from hoi_trainer.datasets.records import HoiDataset, to_dataset
from hoi_trainer.synthetic.vocabulary import (
    COMBINATIONS,
    NO_INTERACTION,
    OBJECTS,
    PERSON,
    PHRASES,
    VERBS,
)
import numpy as np

SCENES = 'scenes.jsonl'


def synthetic_names() -> HoiNames:
    """Return 13 objects, 15 verbs (`no_interaction` is none here) and their 84 combinations."""
    return HoiNames(OBJECTS, VERBS[:NO_INTERACTION], PHRASES[:NO_INTERACTION],
                    np.array(COMBINATIONS, np.int64), PERSON)


def is_synthetic(directory: Path) -> bool:
    """Tell a split that `hoi-trainer synth` wrote."""
    return (directory / SCENES).is_file()


def load_synthetic(directory) -> HoiDataset:
    """
    Open a split written by `hoi-trainer synth`; images are named by their index.

    Raises `HoiError` if it is none, or naming the first error.
    """
    directory = Path(directory)
    if not is_synthetic(directory):
        raise HoiError(f'{directory} has no {SCENES}: make a split with `hoi-trainer synth`.')
    return to_dataset(read_synthetic(directory), synthetic_images(directory))


def synthetic_images(directory: Path) -> ArrayImages:
    """Return the images of a split."""
    return ArrayImages(Path(directory) / 'images.npy')


def read_synthetic(directory: Path) -> PairTable:
    """Return the triplets of all scenes with what is wrong with them."""
    path = Path(directory) / SCENES
    reader = RowReader('synthetic', str(path), synthetic_names())
    with open(path, encoding='utf-8', errors='replace') as file:
        for index, line in enumerate(file):
            _read_scene(reader, index, line)
    return reader.table(['pairs without an interaction are not annotated'])


def _read_scene(reader: RowReader, index: int, line: str) -> None:
    """Add one scene: instance boxes and labels, triplets (human, verb, object) of instances."""
    raw = _parse(line)
    if raw is None:
        name = reader.start_image(str(index))
        reader.error('record_malformed', name, f'line {index + 1}', line, 'one JSON object')
        return
    name = reader.start_image(str(index), [raw.get('width'), raw.get('height')])
    boxes = reader.boxes(raw.get('boxes'), name, 'boxes')
    labels = reader.indices(raw.get('labels'), name, 'labels')
    triplets = _triplets(reader, raw.get('triplets'), name)
    if boxes is None or labels is None or triplets is None:
        return
    if len(boxes) != len(labels):
        reader.error('pair_count', name, 'boxes and labels differ in length',
                     [len(boxes), len(labels)], 'one label per box')
        return
    human, verb, thing = triplets.T
    keep = np.ones(len(triplets), bool)
    for values, count, kind, what in (
            (human, len(boxes), 'instance_out_of_range', 'human'),
            (thing, len(boxes), 'instance_out_of_range', 'object'),
            (verb, len(reader.names.verbs), 'verb_out_of_range', 'verb')):
        keep &= reader.in_range(values, count, kind, what)
    human, thing = np.where(keep, human, 0), np.where(keep, thing, 0)
    if not keep.any():
        return
    keep &= reader.in_range(labels[thing], len(reader.names.objects), 'object_out_of_range',
                            'label of the object')
    for row in np.flatnonzero(keep & (labels[human] != PERSON)):
        reader.error('human_is_none', f'{name}, pair {row}', 'the acting instance is no person',
                     int(labels[human[row]]), f'label {PERSON}')
    reader.add(index, keep, boxes[human], boxes[thing], verb, labels[thing])


def _parse(line: str) -> Optional[dict]:
    """Return a line's record, None for anything else."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) else None


def _triplets(reader: RowReader, value: Any, name: str) -> Optional[np.ndarray]:
    """Return (T, 3) int64, None (and a problem) if it is no list of triplets."""
    rows: List[Any] = value if isinstance(value, list) else [None]
    if not all(isinstance(row, list) and len(row) == 3 for row in rows):
        reader.error('index_malformed', name, 'triplets', value, 'a list of [human, verb, object]')
        return None
    flat = reader.indices([number for row in rows for number in row], name, 'triplets')
    return None if flat is None else flat.reshape(-1, 3)
