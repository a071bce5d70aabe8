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

"""V-COCO in the instances form: per image the triples that have an object."""

from pathlib import PurePath
from typing import Any, List, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import Json
from hoi_perception.evaluation.datasets.pair_table import PairTable
from hoi_perception.evaluation.datasets.rows import RowReader
from hoi_perception.evaluation.datasets.vcoco_names import vcoco_names
import numpy as np

BACKGROUND = 'background'


def is_vcoco_instances(raw: Any) -> bool:
    """Tell the layout of `instances_vcoco_*.json`."""
    return isinstance(raw, dict) and {'annotations', 'classes', 'objects'} <= set(raw) and (
        'categories' not in raw)


def read_vcoco_instances(raw: Json, file: str) -> PairTable:
    """
    Read `instances_vcoco_*.json`.

    raw: `annotations` (dicts of file_name, boxes_h, boxes_o in pixels with x2 = x1 + width,
    actions, objects) and the lists `classes` and `objects` that the indices refer to; names
    decide, not positions. Image sizes are not in this form. Raises `HoiError` where the lists
    are no lists.
    """
    annotations = raw['annotations']
    if not isinstance(annotations, list):
        raise HoiError(f'{file}: annotations is {type(annotations).__name__}, expected a list.')
    names = vcoco_names()
    reader = RowReader('vcoco_instances', file, names)
    verb_of = _positions(reader, raw['classes'], names.verbs, 'classes')
    object_of = _positions(reader, raw['objects'], (*names.objects, BACKGROUND), 'objects')
    object_of[object_of == len(names.objects)] = -1
    for annotation in annotations:
        _read_record(reader, annotation, verb_of, object_of)
    _check_ids(reader, raw.get('images'))
    return reader.table([f'{len(verb_of)} actions with a role; agents without one are not in '
                         'this form'])


def _positions(reader: RowReader, listed: Any, known: Tuple[str, ...], key: str) -> np.ndarray:
    """Return the index of each listed name in `known`, (n,) int64, -1 = unknown."""
    names: List[Any] = listed if isinstance(listed, list) else []
    if not names:
        raise HoiError(f'{reader.file}: {key} is no list of names.')
    for position, name in enumerate(names):
        if name not in known:
            reader.error('name_unknown', f'{key}[{position}]', 'a name V-COCO does not have',
                         name, f'one of its {len(known)} names')
    return np.array([known.index(name) if name in known else -1 for name in names], np.int64)


def _read_record(reader: RowReader, annotation: Any, verb_of: np.ndarray,
                 object_of: np.ndarray) -> None:
    fields = annotation if isinstance(annotation, dict) else {}
    name = reader.start_image(fields.get('file_name'))
    humans = reader.boxes(fields.get('boxes_h'), name, 'boxes_h')
    things = reader.boxes(fields.get('boxes_o'), name, 'boxes_o')
    actions = reader.indices(fields.get('actions'), name, 'actions')
    objects = reader.indices(fields.get('objects'), name, 'objects')
    if humans is None or things is None or actions is None or objects is None:
        return
    lengths = [len(humans), len(things), len(actions), len(objects)]
    if len(set(lengths)) > 1:
        reader.error('pair_count', name, 'boxes_h, boxes_o, actions and objects differ in length',
                     lengths, 'one row of each per pair')
        return
    keep = reader.in_range(actions, len(verb_of), 'verb_out_of_range', 'action')
    keep &= reader.in_range(objects, len(object_of), 'object_out_of_range', 'object')
    verbs = verb_of[np.where(keep, actions, 0)]
    labels = object_of[np.where(keep, objects, 0)]
    for row in np.flatnonzero(keep & ((verbs < 0) | (labels < 0))):
        reader.error('name_unknown', f'{name}, pair {row}', 'action or object without a name',
                     [int(actions[row]), int(objects[row])], 'indices of known names')
    reader.add(len(reader.images) - 1, keep & (verbs >= 0) & (labels >= 0), humans, things,
               verbs, labels)


def _check_ids(reader: RowReader, listed: Optional[Any]) -> None:
    """COCO ids, where the file lists them, must be those of the file names."""
    if listed is None:
        return
    ids = [PurePath(name).stem.rpartition('_')[2].lstrip('0') for name in reader.images]
    if not isinstance(listed, list) or [str(i) for i in listed] != ids:
        reader.error('image_ids', '', 'the list images does not fit the file names of annotations',
                     listed, f'the {len(ids)} COCO ids in their order')
