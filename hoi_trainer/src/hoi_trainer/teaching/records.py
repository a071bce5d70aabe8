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

"""
What a teacher says about an image, in one form whoever the teacher is.

A file of records is JSON lines: a header that says who spoke, then one record per image. Verbs are
base forms in the teacher's own words ('ride', 'sit on'), objects are lower-case nouns.
"""

from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Protocol, Tuple

from hoi_perception.core.errors import HoiError
from hoi_trainer.datasets.records import HoiDataset

FORMAT, VERSION = 'hoi_teacher_labels', 1
CAUSES = ('unreadable_image', 'empty', 'too_long', 'other_language', 'not_parsable')
"""Why an image has no interactions to learn from, in the order in which they are looked for."""

Box = Tuple[float, float, float, float]


@dataclass(frozen=True)
class TaughtInteraction:
    """
    A verb and an object that the teacher saw together.

    confidence: 0..1. human_box, object_box: xyxy in pixels of the image, None where the teacher
    does not say where.
    """

    verb: str
    object: str
    confidence: float = 1.0
    human_box: Optional[Box] = None
    object_box: Optional[Box] = None


@dataclass(frozen=True)
class TeacherRecord:
    """
    What is taught about one image.

    image: name in its data set. source: who says so. dropped: one of `CAUSES` where nothing can
    be learnt from what was said, else ''.
    """

    image: str
    caption: str
    interactions: Tuple[TaughtInteraction, ...]
    source: str
    dropped: str = ''

    def to_json(self) -> str:
        """Return the record as one line without its end."""
        return json.dumps(asdict(self), ensure_ascii=False)


class TeacherLabels(Protocol):
    """Where labels come from; every two-stage head can be trained on them."""

    def label(self, dataset: HoiDataset) -> Tuple[TeacherRecord, ...]:
        """Return one record per image of the data set, in its order. Raises `HoiError`."""
        ...


def record_from(row: Any, where: str) -> TeacherRecord:
    """Read one line of a file of records; `HoiError` names `where` and what is wrong."""
    try:
        fields = dict(row)
        spoken = tuple(_interaction(entry) for entry in fields.pop('interactions'))
        record = TeacherRecord(interactions=spoken, **fields)
        if not all(isinstance(text, str) for text in (record.image, record.caption,
                                                      record.source, record.dropped)):
            raise TypeError('image, caption, source and dropped must be text')
        if record.dropped and (record.dropped not in CAUSES or spoken):
            raise ValueError(f'dropped is {record.dropped!r}, expected one of {", ".join(CAUSES)} '
                             'and no interactions')
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HoiError(f'{where} is no record of a teacher: {error}.') from error
    return record


def _interaction(entry: Dict[str, Any]) -> TaughtInteraction:
    boxes = {name: tuple(map(float, entry[name])) for name in ('human_box', 'object_box')
             if entry.get(name) is not None}
    found = TaughtInteraction(**{**entry, **boxes})
    if not (found.verb and isinstance(found.verb, str) and isinstance(found.object, str)):
        raise ValueError('an interaction needs the text of a verb and of an object')
    if not 0 <= found.confidence <= 1 or any(len(box) != 4 for box in boxes.values()):
        raise ValueError('confidence must lie in 0..1 and boxes have four numbers')
    return found


def read_records(path: Path) -> Tuple[Dict[str, Any], List[TeacherRecord]]:
    """Return header and records of a file; raises `HoiError` with the number of a bad line."""
    try:
        lines = Path(path).read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HoiError(f'{path} cannot be read ({error}): give a file written by '
                       '`hoi-trainer label`.') from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise HoiError(f'{path}, line {number}, is no JSON ({error}).') from error
    header = rows[0] if rows and isinstance(rows[0], dict) else {}
    if (header.get('format'), header.get('version')) != (FORMAT, VERSION):
        raise HoiError(f'{path} does not begin with a header of format {FORMAT}, version '
                       f'{VERSION}: give a file written by `hoi-trainer label`.')
    return header, [record_from(row, f'{path}, line {number}')
                    for number, row in enumerate(rows[1:], 2)]


def summary(records: List[TeacherRecord]) -> Dict[str, Any]:
    """Return how many images were labelled and dropped, by cause, and what was said."""
    causes = [record.dropped for record in records]
    said = [(each.verb, each.object) for record in records for each in record.interactions]
    return {'images': len(records), 'labelled': causes.count(''),
            'dropped': {cause: causes.count(cause) for cause in CAUSES},
            'interactions': len(said), 'verbs': len({verb for verb, _ in said}),
            'objects': len({thing for _, thing in said})}
