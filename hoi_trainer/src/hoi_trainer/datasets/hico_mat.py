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

"""HICO-DET's own `anno_bbox.mat`."""

from pathlib import Path
from typing import Any, Dict, List, Sequence

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.hico_names import hico_names
from hoi_perception.evaluation.datasets.pair_table import PairTable
from hoi_perception.evaluation.datasets.rows import RowReader
import numpy as np
from scipy.io import loadmat

SPLITS = ('train', 'test')
CLASSES = 600


def open_mat(path: Path) -> Dict[str, Any]:
    """
    Return the variables of an `anno_bbox.mat`; raises `HoiError` if it is none.

    scipy gives structs as objects and, as MATLAB writes them, arrays of one element without
    their array: every reader below goes through `_many`.
    """
    try:
        raw = loadmat(path, struct_as_record=False, squeeze_me=True)
    except FileNotFoundError:
        raise
    except NotImplementedError as error:
        raise HoiError(f'{path} is a MATLAB 7.3 (HDF5) file, expected the official anno_bbox.mat, '
                       'which is version 5: fetch it from the HICO-DET site.') from error
    except Exception as error:  # scipy lets through whatever its parser meets in a broken file
        raise HoiError(f'{path} cannot be read as a MATLAB file ({type(error).__name__}: {error})'
                       ': fetch it again.') from error
    if not any(f'bbox_{split}' in raw for split in SPLITS):
        raise HoiError(f'{path} holds {sorted(k for k in raw if k[0] != "_")}, expected '
                       'bbox_train and bbox_test of HICO-DET; anno.mat, for instance, has labels '
                       'without boxes.')
    return raw


def read_mat(raw: Dict[str, Any], split: str, file: str) -> PairTable:
    """
    Read one split ('train' or 'test') of what `open_mat` returned.

    Objects follow from the HOI class, so there is no order to decide; `list_action` must be the
    600 classes. Entries marked invisible have no boxes and are counted only.
    """
    if f'bbox_{split}' not in raw:
        raise HoiError(f'{file} has no bbox_{split}.')
    reader = RowReader('hico_det_mat', file, hico_names(), one_based=True)
    _check_actions(reader, raw)
    invisible = 0
    for entry in _many(raw[f'bbox_{split}']):
        size = getattr(entry, 'size', None)
        name = reader.start_image(_plain(getattr(entry, 'filename', None)), [
            _plain(getattr(size, key, None)) for key in ('width', 'height')])
        rows: List[Sequence[Any]] = []
        for position, hoi in enumerate(_many(getattr(entry, 'hoi', None))):
            if _plain(getattr(hoi, 'invis', 0)):
                invisible += 1
            else:
                rows += _pairs(reader, hoi, f'{name}, hoi {position}')
        _add(reader, rows)
    return reader.table([
        'object order: not needed, objects follow from the HOI class (from 1)',
        f'split {split}: {invisible} entries marked invisible, without boxes'])


def _many(value: Any) -> List[Any]:
    """Return the elements of an array; a single one stands for an array of one."""
    return [] if value is None else list(np.atleast_1d(np.asarray(value, object)))


def _plain(value: Any) -> Any:
    """Return a Python value; whole floats, which MATLAB stores by default, as integers."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pairs(reader: RowReader, hoi: Any, place: str) -> List[Sequence[Any]]:
    """Return [HOI class from 0, human box, object box] of every connected pair of one entry."""
    sides = []
    for side in ('bboxhuman', 'bboxobject'):
        boxes = [[_plain(getattr(box, key, None)) for key in ('x1', 'y1', 'x2', 'y2')]
                 for box in _many(getattr(hoi, side, None))]
        array = reader.boxes(boxes, place, side)
        if array is None:
            return []
        sides.append(array)
    number = _plain(getattr(hoi, 'id', None))
    if not isinstance(number, int) or not 1 <= number <= CLASSES:
        reader.error('hoi_out_of_range', place, 'HOI class', number, f'1 to {CLASSES}')
        return []
    links = [_plain(link) for link in np.ravel(getattr(hoi, 'connection', []))]
    if len(links) % 2 or not all(isinstance(link, int) for link in links):
        reader.error('connection_malformed', place, 'connection', links, 'rows of two indices')
        return []
    if not links:
        reader.warning('connection_missing', place, 'a visible entry connects no boxes',
                       links, 'at least one pair')
    rows: List[Sequence[Any]] = []
    for human, thing in zip(links[0::2], links[1::2]):
        if 1 <= human <= len(sides[0]) and 1 <= thing <= len(sides[1]):
            rows.append((number - 1, sides[0][human - 1], sides[1][thing - 1]))
        else:
            reader.error('connection_out_of_range', place, 'connection', [human, thing],
                         f'1 to {len(sides[0])} and 1 to {len(sides[1])}')
    return rows


def _add(reader: RowReader, rows: List[Sequence[Any]]) -> None:
    if rows:
        classes, humans, things = (np.array(column) for column in zip(*rows))
        known = hico_names().combinations[classes]
        reader.add(len(reader.images) - 1, np.ones(len(rows), bool), humans, things,
                   known[:, 0], known[:, 1])


def _check_actions(reader: RowReader, raw: Dict[str, Any]) -> None:
    """Compare `list_action` with the 600 classes: indices mean nothing under another list."""
    names = hico_names()
    if 'list_action' not in raw:
        reader.warning('class_list', '', 'list_action is missing', 'nothing',
                       'the 600 HOI classes by name')
        return
    listed = [(getattr(action, 'nname', None), getattr(action, 'vname', None))
              for action in _many(raw['list_action'])]
    expected = [(names.objects[thing], names.verbs[verb]) for verb, thing in names.combinations]
    if len(listed) != len(expected):
        reader.error('class_list', '', 'list_action', f'{len(listed)} classes', '600 classes')
    for number, (got, right) in enumerate(zip(listed, expected), start=1):
        if got != right:
            reader.error('class_list', f'HOI class {number}', 'list_action', got, f'{right}')
