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

"""HICO-DET evaluation one image at a time, computed at the end."""

from typing import List, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.hico_det import evaluate, judge, Protocol
from hoi_perception.evaluation.judged import Judged
from hoi_perception.evaluation.pairs import BoxPairs, indices
from hoi_perception.evaluation.results import (
    DEFAULT,
    KNOWN_OBJECT,
    MapResult,
    NO_SUBSETS,
    Subsets,
)
import numpy as np

_ROW = np.dtype([('humans', np.float32, 4), ('objects', np.float32, 4), ('classes', np.int32),
                 ('scores', np.float32)])


def _packed(pairs: BoxPairs) -> np.ndarray:
    rows = np.empty(len(pairs), _ROW)
    for name in _ROW.names or ():
        rows[name] = getattr(pairs, name)
    return rows


def _unpacked(chunks: List[np.ndarray]) -> BoxPairs:
    rows = np.concatenate(chunks) if chunks else np.empty(0, _ROW)
    images = np.repeat(np.arange(len(chunks)), [len(chunk) for chunk in chunks])
    return BoxPairs(rows['humans'], rows['objects'], rows['classes'], rows['scores'], images)


class HicoDetEvaluator:
    """
    Streaming form of `hico_det.evaluate`: add images in the set's order, ask any time.

    classes: number C of HOI classes. Keeps 40 bytes per pair (boxes, scores: single precision).
    """

    def __init__(self, protocol: Protocol, classes: int,
                 subsets: Subsets = NO_SUBSETS) -> None:
        self.protocol, self.classes, self.subsets = protocol, classes, subsets
        self._found: List[np.ndarray] = []
        self._truth: List[np.ndarray] = []
        self._known: List[Optional[np.ndarray]] = []

    def __len__(self) -> int:
        """Return the number of images so far."""
        return len(self._found)

    def add(self, detections: BoxPairs, truth: BoxPairs,
            known: Optional[np.ndarray] = None) -> None:
        """
        Add one image; `images` of the pairs is not looked at.

        known: (C,) bool, the classes that count on this image under the known-object setting
        (a row of `hico_det.known_object`); needed only for that setting. Raises `HoiError`.
        """
        for name, part in (('detections', detections), ('truth', truth)):
            indices(f'{name}.classes', part.classes, len(part), self.classes)
        self._found.append(_packed(detections))
        self._truth.append(_packed(truth))
        self._known.append(None if known is None else np.asarray(known, dtype=bool))

    def result(self, setting: str = DEFAULT) -> MapResult:
        """Return the result over the images so far; raises `HoiError`."""
        known = None
        if setting == KNOWN_OBJECT:
            rows = [row for row in self._known if row is not None]
            if len(rows) < len(self):
                raise HoiError(f'The known-object setting needs `known` for every image, but '
                               f'{len(self) - len(rows)} of {len(self)} came without: see '
                               'hico_det.known_object().')
            known = np.array(rows, dtype=bool).reshape(len(self), self.classes)
        elif setting != DEFAULT:
            raise HoiError(f'Setting {setting!r} is not known, expected {DEFAULT!r} or '
                           f'{KNOWN_OBJECT!r}.')
        return evaluate(self.protocol, _unpacked(self._found), _unpacked(self._truth),
                        self.classes, len(self), known, subsets=self.subsets)

    def judged(self) -> Judged:
        """Return the verdicts of the default setting over the images so far."""
        return judge(self.protocol, _unpacked(self._found), _unpacked(self._truth), self.classes,
                     len(self))
