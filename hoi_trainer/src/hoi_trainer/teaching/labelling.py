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
`hoi-trainer label`: ask a model about every image and keep what can be learnt from.

Every image gives exactly one record, dropped ones with their cause, so that nothing is lost and a
continued run asks about the rest only.
"""

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Protocol, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_trainer.teaching.journal import Journal
from hoi_trainer.teaching.parsing import CAPTION_PROMPT, faulty, PARSE_PROMPT, record_of
from hoi_trainer.teaching.pictures import Pictures
from hoi_trainer.teaching.records import (
    FORMAT,
    read_records,
    record_from,
    summary,
    TeacherRecord,
    VERSION,
)
import numpy as np


class Describer(Protocol):
    """
    A model that answers about images and about text.

    name: what it is, kept in the header of the records.
    """

    name: str

    def about_images(self, images: Sequence[np.ndarray], prompt: str) -> List[str]:
        """Return an answer per (H, W, 3) uint8 RGB image."""
        ...

    def about_texts(self, texts: Sequence[str], prompt: str) -> List[str]:
        """Return an answer per text."""
        ...


@dataclass(frozen=True)
class Labelled:
    """The file of records and what is in it, see `records.summary`."""

    path: Path
    summary: Dict[str, Any]


def label_images(pictures: Pictures, describer: Describer, out: Path, batch_size: int = 8,
                 report: Optional[Callable[[int, int], None]] = None) -> Labelled:
    """
    Ask about every image that the file has no record of yet.

    report: is told how many images are done and how many there are. Raises `HoiError` where the
    file belongs to another model or other images.
    """
    header = {'format': FORMAT, 'version': VERSION, 'source': describer.name,
              'prompts': [CAPTION_PROMPT, PARSE_PROMPT]}
    with Journal(out, header) as journal:
        done = _names(journal.lines, out)
        strange = set(done) - set(pictures.names)
        if strange:
            raise HoiError(f'{out} speaks of image {min(strange)!r}, which is not among the '
                           f'{len(pictures.names)} to be labelled: choose another file.')
        rest = [name for name in pictures.names if name not in set(done)]
        for start in range(0, len(rest), batch_size):
            names = rest[start:start + batch_size]
            records = describe(pictures, names, describer)
            journal.append([record.to_json() for record in records])
            if report:
                report(len(done) + start + len(names), len(pictures.names))
    return Labelled(out, summary(read_records(out)[1]))


def describe(pictures: Pictures, names: Sequence[str], describer: Describer
             ) -> List[TeacherRecord]:
    """Return the records of some images; those that cannot be read are dropped with a cause."""
    found: Dict[str, TeacherRecord] = {}
    readable: List[Tuple[str, np.ndarray]] = []
    for name in names:
        try:
            readable.append((name, pictures.images.read(name)))
        except HoiError:
            found[name] = TeacherRecord(name, '', (), describer.name, 'unreadable_image')
    captions = describer.about_images([image for _, image in readable], CAPTION_PROMPT) \
        if readable else []
    useless = faulty(captions)
    asked = [caption for caption, bad in zip(captions, useless) if not bad]
    answers = iter(describer.about_texts(asked, PARSE_PROMPT) if asked else [])
    for (name, _), caption, bad in zip(readable, captions, useless):
        answer = '' if bad else next(answers)
        found[name] = record_of(name, describer.name, caption, answer)
    return [found[name] for name in names]


def _names(lines: Sequence[str], out: Path) -> List[str]:
    """Return the images of the lines; raises `HoiError` where one is no record or repeated."""
    names = []
    for number, line in enumerate(lines, 2):
        where = f'{out}, line {number}'
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise HoiError(f'{where}, is no JSON ({error}): mend or remove the file.') from error
        names.append(record_from(row, where).image)
    return names
