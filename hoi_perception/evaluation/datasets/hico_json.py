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

"""HICO-DET as JSON: the `instances_*.json` layout in either object order, and HAKE's."""

from typing import Any, Dict, List, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import Json
from hoi_perception.evaluation.datasets.hico_names import hico_names
from hoi_perception.evaluation.datasets.object_order import (
    decide,
    describe_votes,
    index_in,
    objects_in,
    Votes,
    votes_of_names,
    votes_of_rows,
)
from hoi_perception.evaluation.datasets.pair_table import PairTable
from hoi_perception.evaluation.datasets.rows import RowReader
import numpy as np

CLASSES = 600
INSTANCE_KEYS = ('annotation', 'filenames', 'size')
COLUMNS = ('hoi', 'object', 'verb')


def is_instances(raw: Any) -> bool:
    """Tell the layout of `instances_train2015.json`."""
    return isinstance(raw, dict) and 'annotation' in raw and 'filenames' in raw


def is_hake(raw: Any) -> bool:
    """Tell HAKE's layout: image name -> {'labels': [...]}."""
    return isinstance(raw, dict) and any(
        isinstance(value, dict) and 'labels' in value for value in raw.values())


def read_instances(raw: Json, file: str, object_order: Optional[str] = None) -> PairTable:
    """
    Read the layout of fredzzhang/hicodet, used by UPT, LAIN and others.

    raw: the parsed file: parallel lists `annotation` (dicts of boxes_h, boxes_o, hoi, object,
    verb), `filenames` and `size` [width, height]; lists of names. object_order: see
    `object_order.decide`. Raises `HoiError` if the lists are not there or not parallel, or if the
    order of objects cannot be decided.
    """
    lists: List[Any] = [raw.get(key) for key in INSTANCE_KEYS]
    if not all(isinstance(value, list) for value in lists) or len({len(v) for v in lists}) > 1:
        sizes = [len(v) if isinstance(v, list) else type(v).__name__ for v in lists]
        raise HoiError(f'{file}: annotation, filenames and size must be lists of one length, got '
                       f'{sizes}.')
    reader = RowReader('hico_det_json', file, hico_names(), one_based=True)
    _check_names(reader, raw)
    records = [columns for row in zip(*lists) for columns in [_read_record(reader, *row)]
               if columns]
    _check_empty(reader, raw, lists[0])
    rows = np.concatenate([np.zeros((2, 0), np.int64), *(
        np.stack([c['hoi'], c['object']])[:, c['keep']] for c in records)], axis=1)
    evidence = {'annotated pairs': votes_of_rows(*rows), **_votes_of_lists(raw)}
    order = decide(evidence, file, object_order)
    _check_lists(reader, raw, order)
    return _table(reader, records, order, evidence)


def _read_record(reader: RowReader, annotation: Any, name: Any, size: Any) -> Dict[str, Any]:
    """Return the columns of one image as arrays, {} if they cannot be used."""
    name = reader.start_image(name, size)
    fields = annotation if isinstance(annotation, dict) else {}
    columns: Dict[str, Any] = {side: reader.boxes(fields.get(side), name, side)
                               for side in ('boxes_h', 'boxes_o')}
    columns.update({key: reader.indices(fields.get(key), name, key) for key in COLUMNS})
    if any(column is None for column in columns.values()):
        return {}
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        reader.error('pair_count', name, 'the columns of the annotation differ in length',
                     lengths, 'one row of each per pair')
        return {}
    columns['keep'] = reader.in_range(columns['hoi'], CLASSES, 'hoi_out_of_range', 'HOI class')
    for key, count in (('object', 80), ('verb', 117)):
        columns['keep'] &= reader.in_range(columns[key], count, f'{key}_out_of_range', key)
    return {**columns, 'image': len(reader.images) - 1}


def _table(reader: RowReader, records: List[Any], order: str,
           evidence: Dict[str, Votes]) -> PairTable:
    """Compare verbs and objects with the HOI classes and gather the pairs."""
    combinations = hico_names().combinations
    index = index_in(order)
    for columns in records:
        name = reader.images[columns['image']]
        known = combinations[np.where(columns['keep'], columns['hoi'], 0)]
        for key, expected, kind in (('object', index[known[:, 1]], 'object_order_mismatch'),
                                    ('verb', known[:, 0], 'verb_mismatch')):
            wrong = columns['keep'] & (columns[key] != expected)
            for row in np.flatnonzero(wrong):
                reader.error(kind, f'{name}, pair {row}', f'{key} is not that of HOI class '
                             f'{columns["hoi"][row]}', int(columns[key][row]),
                             f'{expected[row]}' + (f' in {order} order' if key == 'object'
                                                   else ''))
        reader.add(columns['image'], columns['keep'], columns['boxes_h'], columns['boxes_o'],
                   known[:, 0], known[:, 1])
    return reader.table([f'object order: {order} ({describe_votes(evidence)})'])


def _votes_of_lists(raw: Json) -> Dict[str, Votes]:
    found = {}
    table = raw.get('correspondence')
    try:
        rows = np.asarray(table if isinstance(table, list) else [], np.int64).reshape(-1, 3)
    except (ValueError, TypeError, OverflowError):
        rows = np.zeros((0, 3), np.int64)
    rows = rows[(rows[:, 0] >= 0) & (rows[:, 0] < CLASSES)]
    found['list correspondence'] = votes_of_rows(rows[:, 0], rows[:, 1])
    listed = raw.get('objects')
    if isinstance(listed, list) and listed:
        found['list objects'] = votes_of_names(listed)
    return found


def _check_lists(reader: RowReader, raw: Json, order: str) -> None:
    """Name lists that are not those of HICO-DET in the order found; pairs do not need them."""
    index, combinations = index_in(order), hico_names().combinations
    lists: Dict[str, List[Any]] = {
        'correspondence': [[i, int(index[thing]), int(verb)]
                           for i, (verb, thing) in enumerate(combinations)],
        'objects': list(objects_in(order))}
    for key, expected in lists.items():
        listed = raw.get(key)
        if listed is None:
            continue
        plain = [v.replace(' ', '_') if isinstance(v, str) else v for v in listed] \
            if isinstance(listed, list) else [listed]
        if plain != expected:
            row = next((i for i, (a, b) in enumerate(zip(plain, expected)) if a != b),
                       min(len(plain), len(expected)))
            reader.warning('list_mismatch', f'{key}[{row}]', f'not as in {order} order',
                           plain[row] if row < len(plain) else 'nothing',
                           str(expected[row]) if row < len(expected) else 'the end')


def _check_names(reader: RowReader, raw: Json) -> None:
    """Verbs have one order in all editions; a list in another one belongs to other data."""
    listed = raw.get('verbs')
    if listed is None:
        return
    plain = [str(v).replace(' ', '_') for v in listed] if isinstance(listed, list) else []
    if tuple(plain) != reader.names.verbs:
        wrong = next((f'{a!r} as verb {i}' for i, a in enumerate(plain)
                      if i >= 117 or a != reader.names.verbs[i]), f'{len(plain)} verbs')
        reader.error('verb_list', '', 'the list verbs is not that of HICO-DET', wrong,
                     'its 117 verbs in alphabetical order')


def _check_empty(reader: RowReader, raw: Json, annotation: List[Any]) -> None:
    listed = raw.get('empty')
    empty = [i for i, row in enumerate(annotation) if isinstance(row, dict) and not row.get('hoi')]
    if listed is not None and listed != empty:
        reader.error('empty_list', '', 'the list empty does not name the images without pairs',
                     listed, f'{len(empty)} indices')


def read_hake(raw: Json, file: str) -> PairTable:
    """
    Read HAKE's instance-level training set of HICO-DET.

    raw: image name -> {'labels': [{hoi_id (from 1), human_bbox, object_bbox, width, height}]}.
    Objects follow from the HOI class, so there is no order to decide. Images without labels have
    no size.
    """
    reader = RowReader('hico_det_hake', file, hico_names(), one_based=True)
    for name, value in raw.items():
        labels = value.get('labels') if isinstance(value, dict) else value
        if not isinstance(labels, list) or not all(isinstance(row, dict) for row in labels):
            reader.start_image(name)
            reader.error('record_malformed', name, 'labels', labels, 'a list of objects')
            continue
        sizes = [[row.get('width'), row.get('height')] for row in labels]
        reader.start_image(name, sizes[0] if sizes else (0, 0))
        if any(size != sizes[0] for size in sizes):
            reader.error('size_contradiction', name, 'labels of one image disagree on its size',
                         sizes, 'one width and height')
        humans = reader.boxes([row.get('human_bbox') for row in labels], name, 'human_bbox')
        things = reader.boxes([row.get('object_bbox') for row in labels], name, 'object_bbox')
        classes = reader.indices([row.get('hoi_id') for row in labels], name, 'hoi_id')
        if humans is None or things is None or classes is None:
            continue
        keep = reader.in_range(classes, CLASSES, 'hoi_out_of_range', 'HOI class', first=1)
        known = hico_names().combinations[np.where(keep, classes - 1, 0)]
        reader.add(len(reader.images) - 1, keep, humans, things, known[:, 0], known[:, 1])
    return reader.table(['object order: not needed, objects follow from hoi_id (from 1)'])
