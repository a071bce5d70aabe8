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

"""Differences between two replays over the frames they share, with paired intervals."""

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.bootstrap import block_length_of, compare, draw, LEVEL, REPLICATES
from hoi_perception.evaluation.judged import Judged
from hoi_perception.evaluation.triplet_map import ClassName
from hoi_perception.replay.records import FrameRecord
from hoi_perception.replay.report.page import plain
from hoi_perception.replay.report.timing import stage_names
from hoi_perception.replay.report.verdicts import PROTOCOL, Verdicts
import numpy as np

ROUNDING = 1e-9
"""Sums of the same numbers in another order differ by less."""


@dataclass(frozen=True)
class Difference:
    """
    What a measure was and is: second minus first.

    low, high: 95 % interval of the difference. count, of: over what. chance: how often so clear a
    change comes from no change, None where that was not computed. unit: '' for shares of 0..1.
    """

    name: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    count: int
    of: str
    protocol: str
    unit: str = ''
    chance: Optional[float] = None

    @property
    def more_than_noise(self) -> bool:
        """Tell whether the interval leaves out zero."""
        return self.low > ROUNDING or self.high < -ROUNDING

    def as_dict(self) -> Dict[str, Any]:
        """Return the fields and the verdict."""
        return {**plain(self), 'more_than_noise': self.more_than_noise}

    def sentence(self) -> str:
        """Return the difference in words, with its verdict."""
        digits = 2 if self.unit else 4
        unit = f' {self.unit}' if self.unit else ''
        verdict = 'more than noise' if self.more_than_noise else 'not more than noise'
        return (f'{self.name}: {self.first:.{digits}f} -> {self.second:.{digits}f}{unit}, change '
                f'{self.difference:+.{digits}f} (95 % {self.low:+.{digits}f} to '
                f'{self.high:+.{digits}f}): {verdict} ({self.count} {self.of}, {self.protocol})')


@dataclass(frozen=True)
class Accuracies:
    """
    Differences of the mean AP and of each class; full None = not measured, and `why`.

    agreement: change of each frame's agreement with the truth, by its index in the first replay.
    """

    full: Optional[Difference]
    classes: Tuple[Difference, ...] = ()
    agreement: Dict[int, float] = field(default_factory=dict)
    why: str = ''


def accuracy_differences(verdicts: Tuple[Optional[Verdicts], Optional[Verdicts]],
                         pairs: Mapping[int, int]) -> Accuracies:
    """Return the paired differences over frames both judged; pairs: indices, first to second."""
    one, two = verdicts
    if one is None or two is None:
        which = ' and '.join(name for name, found in (('first', one), ('second', two))
                             if found is None)
        return Accuracies(None, why=f'the {which} was not judged against ground truth')
    place = {index: row for row, index in enumerate(two.frames.tolist())}
    rows = np.array([(row, place[pairs[index]]) for row, index in enumerate(one.frames.tolist())
                     if pairs.get(index) in place], np.int64).reshape(-1, 2)
    names = _shared_classes(one, two, rows)
    if not names:
        return Accuracies(None, why='no frame with true triplets was judged in both')
    bag = np.repeat(np.arange(len(one.lengths)), one.lengths)[rows[:, 0]]
    lengths = [len(list(group)) for _, group in groupby(bag.tolist())]
    before, after = restricted(one, rows[:, 0], names), restricted(two, rows[:, 1], names)
    try:
        found = compare(before, after, lengths)
    except HoiError as error:
        return Accuracies(None, why=str(error))
    over = len(rows), 'frames', PROTOCOL
    full = Difference('triplet mAP', float(before.ap.mean()), float(after.ap.mean()),
                      found.full.value, found.full.low, found.full.high, *over,
                      chance=found.chance)
    classes = tuple(
        Difference(' '.join(name).strip(), float(before.ap[c]), float(after.ap[c]),
                   float(found.difference[c]), float(found.low[c]), float(found.high[c]), *over,
                   chance=float(found.chances[c])) for c, name in enumerate(names))
    change = two.agreement[rows[:, 1]] - one.agreement[rows[:, 0]]
    return Accuracies(full, classes, {
        int(one.frames[row]): float(value) for row, value in zip(rows[:, 0], change)
        if np.isfinite(value)})


def _shared_classes(one: Verdicts, two: Verdicts, rows: np.ndarray) -> List[ClassName]:
    """Return the classes of both that are true in these frames of the first."""
    there = np.isin(one.judged.true_images, rows[:, 0])
    true = {one.classes[label] for label in np.unique(one.judged.true_labels[there]).tolist()}
    return sorted(true & set(two.classes))


def restricted(verdicts: Verdicts, rows: np.ndarray, names: Sequence[ClassName]) -> Judged:
    """Return the verdicts on these frames (rows) and classes only, both numbered anew."""
    label = np.full(len(verdicts.classes), -1)
    label[[verdicts.classes.index(name) for name in names]] = np.arange(len(names))
    image = np.full(len(verdicts.frames), -1)
    image[rows] = np.arange(len(rows))
    judged = verdicts.judged
    keep = (label[judged.labels] >= 0) & (image[judged.images] >= 0)
    true = (label[judged.true_labels] >= 0) & (image[judged.true_images] >= 0)
    return Judged(len(names), len(rows), label[judged.labels[keep]], image[judged.images[keep]],
                  judged.scores[keep], judged.right[keep], label[judged.true_labels[true]],
                  image[judged.true_images[true]])


def latency_differences(first: Sequence[FrameRecord], second: Sequence[FrameRecord],
                        pairs: Mapping[int, int]) -> Tuple[Difference, ...]:
    """Return the differences of the mean of the whole frame and of each stage, in ms."""
    others = {record.index: record for record in second}
    both = [(a, others[pairs[a.index]]) for a in first if a.index in pairs]
    both = [(a, b) for a, b in both if a.outcome == b.outcome == 'answered']
    if not both:
        return ()
    lengths = [len(list(group)) for _, group in groupby(
        both, key=lambda pair: (pair[0].bag, pair[0].topic))]
    found = [_mean_difference('whole frame, mean', np.array([(a.total, b.total)
                                                             for a, b in both]), lengths)]
    for name in stage_names([record for pair in both for record in pair]):
        if all(name in a.stages and name in b.stages for a, b in both):
            found.append(_mean_difference(f'{name}, mean', np.array(
                [(a.stages[name], b.stages[name]) for a, b in both]), lengths))
    return tuple(found)


def _mean_difference(name: str, values: np.ndarray, lengths: Sequence[int]) -> Difference:
    """Return the difference of means of values (F, 2), paired, by blocks of frames."""
    changes = values[:, 1] - values[:, 0]
    block = block_length_of(changes, lengths)
    generator = np.random.default_rng(0)
    means = [draw(generator, lengths, block) @ changes / len(changes) for _ in range(REPLICATES)]
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    before, after = values.mean(0).tolist()
    return Difference(name, before, after, after - before, float(low), float(high), len(values),
                      'frames', 'as each replay measured it', 'ms')
