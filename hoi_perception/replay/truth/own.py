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

"""The project's own annotation files: JSON and CSV by stamp or frame_id (docs/replay.md)."""

import csv
from pathlib import Path
import re
from typing import Annotated, Any, Dict, List, Literal, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import NONE, Scene
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.replay.truth.frames import (
    AnnotatedFrames,
    index_places,
    Pairs,
    Place,
    scene_of_pairs,
)
from hoi_perception.runtime.bundle import sha256
import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator, ValidationError

FORMAT = 'hoi_truth'
SIDES = ('x1', 'y1', 'x2', 'y2')
COLUMNS = ('stamp', 'frame_id', 'width', 'height', *(f'human_{side}' for side in SIDES), 'verb',
           'object_class', *(f'object_{side}' for side in SIDES), 'human_track', 'object_track')


def _box(values: Tuple[float, float, float, float]) -> Tuple[float, float, float, float]:
    x1, y1, x2, y2 = values
    if not (np.isfinite(values).all() and x1 < x2 and y1 < y2):
        raise ValueError('expected finite pixels [x1, y1, x2, y2] with x1 < x2 and y1 < y2')
    return values


def _stamp(text: str) -> str:
    if not re.fullmatch(r'\d+(\.\d{1,9})?', text):
        raise ValueError("expected seconds as text with up to nine decimals: '1700.090909'")
    return text


Box = Annotated[Tuple[float, float, float, float], AfterValidator(_box)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class Interaction(_Strict):
    """One triplet: who does what with what; `object` and `object_class` together or not at all."""

    human: Box
    verb: Name
    object: Optional[Box] = None
    object_class: Optional[Name] = None
    human_track: Count = 0
    object_track: Count = 0

    @model_validator(mode='after')
    def _whole(self) -> 'Interaction':
        if (self.object is None) != (self.object_class is None):
            raise ValueError('object and object_class must be given together or left out together')
        return self


class Frame(_Strict):
    """One annotated frame, named by `stamp`, `frame_id` or both."""

    stamp: Optional[Annotated[str, AfterValidator(_stamp)]] = None
    frame_id: Optional[str] = None
    width: Count = 0
    height: Count = 0
    interactions: List[Interaction]

    @model_validator(mode='after')
    def _named(self) -> 'Frame':
        if self.stamp is None and self.frame_id is None:
            raise ValueError('a frame needs stamp or frame_id')
        return self

    def place(self) -> Place:
        """Return what the frame is called."""
        if self.stamp is None:
            return None, self.frame_id
        seconds, _, decimals = self.stamp.partition('.')
        return (int(seconds), int(decimals.ljust(9, '0'))), self.frame_id


class OwnFile(_Strict):
    """A whole JSON file."""

    format: Literal['hoi_truth']
    version: Literal[1]
    frames: List[Frame]


def is_own(raw: Any) -> bool:
    """Tell the JSON form: it says `"format": "hoi_truth"`."""
    return isinstance(raw, dict) and raw.get('format') == FORMAT


def open_own_json(raw: Dict[str, Any], path: Path) -> AnnotatedFrames:
    """Return the truth in parsed JSON; raises `HoiError` naming the first thing wrong."""
    try:
        frames = OwnFile.model_validate(raw).frames
    except ValidationError as error:
        raise HoiError(f'{path}: {sentence_of(error)}') from error
    return _truth(frames, path)


def open_own_csv(path: Path) -> AnnotatedFrames:
    """
    Return the truth in a CSV file: a row per interaction, columns `COLUMNS`.

    An annotated frame without interaction is a row without verb and boxes. Raises `HoiError`
    naming the first line that is wrong.
    """
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HoiError(f'{path} is not readable CSV ({error}).') from error
    unknown = [name for name in columns if name not in COLUMNS]
    absent = [name for name in COLUMNS[4:9] if name not in columns]
    if unknown or absent or not {'stamp', 'frame_id'} & set(columns):
        raise HoiError(f'{path}, line 1: got the columns {", ".join(map(str, columns)) or "none"};'
                       f' expected stamp or frame_id, {", ".join(COLUMNS[4:9])}, and of the '
                       f'others any ({", ".join(COLUMNS)}).')
    frames: Dict[tuple, Dict[str, Any]] = {}
    for line, row in rows:
        _add_row(frames, path, line, row)
    return _truth([Frame(**values) for values in frames.values()], path)


def _add_row(frames: Dict[tuple, Dict[str, Any]], path: Path, line: int,
             row: Dict[Any, Any]) -> None:
    if None in row or None in row.values():
        raise HoiError(f'{path}, line {line}: got more or fewer values than columns, expected one '
                       'of each column.')
    given = {name: text.strip() for name, text in row.items() if text.strip()}
    head = {name: given[name] for name in COLUMNS[:4] if name in given}
    body = {name: given[name] for name in ('verb', 'object_class', 'human_track', 'object_track')
            if name in given}
    for who in ('human', 'object'):
        sides = [given[f'{who}_{side}'] for side in SIDES if f'{who}_{side}' in given]
        if sides:
            body[who] = sides
    try:
        frame = Frame(**head, interactions=[Interaction(**body)] if body else [])
    except ValidationError as error:
        raise HoiError(f'{path}, line {line}: {sentence_of(error)}') from error
    known = frames.setdefault(frame.place(), {**head, 'interactions': []})
    sizes = [(int(values.get('width', 0)), int(values.get('height', 0)))
             for values in (known, head)]
    if sizes[0] != sizes[1]:
        raise HoiError(f'{path}, line {line}: got the size {sizes[1]}, expected {sizes[0]} as in '
                       'the first row of this frame.')
    known['interactions'] += frame.interactions


def sentence_of(error: ValidationError) -> str:
    """Return the first thing that pydantic found wrong: place, got, expected."""
    first = error.errors()[0]
    place = '.'.join(str(part) for part in first['loc']) or 'the row'
    got = repr(first.get('input'))
    more = f' ({error.error_count() - 1} more)' if error.error_count() > 1 else ''
    got = got if len(got) <= 80 else f'{got[:77]}...'
    return f'{place}: got {got}: {first["msg"].replace("Value error, ", "")}{more}.'


def _truth(frames: List[Frame], path: Path) -> AnnotatedFrames:
    objects = dict.fromkeys(['person'] + [row.object_class for frame in frames
                                          for row in frame.interactions if row.object_class])
    verbs = dict.fromkeys(row.verb for frame in frames for row in frame.interactions)
    words = Vocabulary(tuple(objects), tuple(map(Verb, verbs)))
    label = {name: row for row, name in enumerate(objects)}
    number = {name: row for row, name in enumerate(verbs)}
    index, notes = index_places([frame.place() for frame in frames])

    def scene_at(row: int) -> Scene:
        frame = frames[row]
        found = frame.interactions
        return scene_of_pairs(words, (frame.width, frame.height), Pairs(
            np.array([one.human for one in found]).reshape(-1, 4),
            np.array([one.object or (0.,) * 4 for one in found]).reshape(-1, 4),
            np.array([number[one.verb] for one in found], np.int64),
            np.array([label[one.object_class] if one.object_class else NONE for one in found],
                     np.int64),
            np.array([one.human_track for one in found], np.int64),
            np.array([one.object_track for one in found], np.int64)))
    return AnnotatedFrames(f'{path.name} (annotations by stamp or frame_id)', sha256(path), index,
                           scene_at, notes)
