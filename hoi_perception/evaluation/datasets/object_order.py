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
Which order the object indices of a HICO-DET file follow: found out, never assumed.

Two editions of the same file circulate: objects in COCO's order (person is 0) and in HICO's
alphabetical order (person is 49). Boxes and HOI classes are equal, so mixing them up raises no
error anywhere; every object is simply another one. No object has the same index in both orders
and every HOI class has one object, so each (HOI class, object index) row speaks for one order.
"""

from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.hico_names import hico_names
import numpy as np

ORDERS = ('coco', 'hico')


class Votes(NamedTuple):
    """How many rows of one source agree with each order, out of how many."""

    coco: int
    hico: int
    rows: int

    def most(self) -> Optional[str]:
        """Return the order that more than half of the rows agree with."""
        return next((order for order in ORDERS if 2 * getattr(self, order) > self.rows), None)


def objects_in(order: str) -> Tuple[str, ...]:
    """Return the 80 object names in an order: 'coco' or 'hico'."""
    objects = hico_names().objects
    return objects if order == 'coco' else tuple(sorted(objects))


def index_in(order: str) -> np.ndarray:
    """Return the index that each object of `hico_names()` has in an order, (80,) int64."""
    listed = objects_in(order)
    return np.array([listed.index(name) for name in hico_names().objects], np.int64)


def votes_of_rows(classes: np.ndarray, objects: np.ndarray) -> Votes:
    """Count agreement of rows; classes: (R,) in 0..599, objects: (R,) indices of the file."""
    known = hico_names().combinations[classes, 1]
    coco, hico = (int((index_in(order)[known] == objects).sum()) for order in ORDERS)
    return Votes(coco, hico, len(classes))


def votes_of_names(listed: Sequence[str]) -> Votes:
    """Count agreement of a list of object names, written with blanks or underscores."""
    plain = [str(name).replace(' ', '_') for name in listed]
    coco, hico = (sum(a == b for a, b in zip(plain, objects_in(order))) for order in ORDERS)
    return Votes(coco, hico, max(len(plain), len(hico_names().objects)))


def describe_votes(evidence: Dict[str, Votes]) -> str:
    """Say what each source speaks for."""
    return '; '.join(f'{source}: coco {v.coco}, hico {v.hico} of {v.rows}'
                     for source, v in evidence.items() if v.rows) or 'no rows and no lists'


def decide(evidence: Dict[str, Votes], file: str, chosen: Optional[str] = None) -> str:
    """
    Return 'coco' or 'hico'.

    evidence: votes by source, the annotated rows first. chosen: the caller's order; it settles
    what lists leave open or contradict, but not against the annotated rows. Raises `HoiError`
    where sources contradict each other, where there is no evidence, or where `chosen` is wrong.
    """
    if chosen is not None and chosen not in ORDERS:
        raise HoiError(f'object order {chosen!r} is unknown: choose coco (person is 0) or hico '
                       '(alphabetical, person is 49).')
    rows = next(iter(evidence.values()))
    if chosen is not None:
        if rows.rows and rows.most() != chosen:
            raise HoiError(f'{file}: object order {chosen!r} was asked for, but HOI classes and '
                           f'object indices speak against it ({describe_votes(evidence)}).')
        return chosen
    found = {votes.most() for votes in evidence.values() if votes.rows}
    if len(found) == 1 and None not in found:
        return str(found.pop())
    reason = 'its parts contradict each other' if found else 'nothing in it tells'
    raise HoiError(
        f'{file}: the order of its object indices cannot be decided, {reason} '
        f'({describe_votes(evidence)}); state it if you know it (coco: person is 0, hico: '
        'alphabetical, person is 49), otherwise fetch the file again.')
