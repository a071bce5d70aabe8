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
Scores of interactions over time: exponential smoothing, and hysteresis in score and time.

Everything that is followed lies in parallel arrays, one row per <human track, verb, object
track>; a frame costs the same few array operations however many there are.
"""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Optional, Tuple

from hoi_perception.core.errors import HoiError
import numpy as np

_FORGOTTEN = 0.01
"""An interaction that is not believed is no longer followed below this score."""


@dataclass(frozen=True)
class Hysteresis:
    """
    When an interaction is believed to begin and to be over.

    It begins when its smoothed score has been at least `on` for `on_s` seconds, and ends when
    that has been below `off` for `off_s` seconds. smoothing_s: time constant of the smoothing, 0 =
    none. max_age_s: an interaction whose human or object is out of sight keeps its score that
    long, then it ends.
    """

    on: float = 0.2
    off: float = 0.1
    on_s: float = 0.3
    off_s: float = 0.5
    smoothing_s: float = 0.2
    max_age_s: float = 1.0

    def __post_init__(self) -> None:
        if self.off > self.on:
            raise HoiError(f'interactions would end below {self.off} but begin from {self.on}: '
                           'the score at which they end must not be above that at which they '
                           'begin.')


@dataclass(frozen=True)
class Followed:
    """
    Interactions as parallel arrays of length M, sorted by key.

    keys: (M, 3) human track, verb, object track (0 = no object). labels: class of the object, or
    `NONE`. scores: smoothed. ids: 0 = not believed. risen_ns, high_ns: stamps since which the
    score has been at least `off` and `on`, 0 = it is below. held_ns: stamp of the last frame with
    the score at least `off`. seen_ns: stamp of the last frame that showed human and object.

    An interaction lasts from `risen_ns` to `held_ns`.
    """

    keys: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    ids: np.ndarray
    risen_ns: np.ndarray
    high_ns: np.ndarray
    held_ns: np.ndarray
    seen_ns: np.ndarray

    @staticmethod
    def none() -> 'Followed':
        """Return no interactions."""
        return Followed(np.zeros((0, 3), np.int64), np.zeros(0, np.int64), np.zeros(0),
                        *(np.zeros(0, np.int64) for _ in range(5)))

    def take(self, rows: np.ndarray) -> 'Followed':
        """Return the interactions of these rows, (m,) indices or (n,) bool."""
        return Followed(*(getattr(self, field.name)[rows] for field in fields(self)))

    def __len__(self) -> int:
        return len(self.ids)


class Change(NamedTuple):
    """What a frame changed; triplet_ids: (T,) int64 interaction of each triplet, 0 = none."""

    started: Followed
    ended: Followed
    triplet_ids: np.ndarray


class Interactions:
    """The interactions of one camera; ids count from 1 and are never given twice."""

    def __init__(self) -> None:
        self._next_id = 1
        self._now_ns: Optional[int] = None
        self._all = Followed.none()

    def reset(self) -> Followed:
        """Forget everything; return the interactions that were believed."""
        ended = self._all.take(self._all.ids > 0)
        self._now_ns, self._all = None, Followed.none()
        return ended

    def rename(self, verb_of: np.ndarray) -> Followed:
        """
        Give the verbs new numbers; return the believed interactions whose verb is no more.

        verb_of: (verbs,) new index of each old verb, -1 = gone.
        """
        verbs = verb_of[self._all.keys[:, 1]]
        gone = self._all.take((verbs < 0) & (self._all.ids > 0))
        keys = self._all.keys.copy()
        keys[:, 1] = verbs
        self._all = replace(self._all, keys=keys).take(verbs >= 0)
        return gone

    def update(self, keys: np.ndarray, labels: np.ndarray, scores: np.ndarray,
               visible: np.ndarray, now_ns: int, rule: Hysteresis) -> Change:
        """
        Take in the triplets of a frame.

        keys: (T, 3) human track, verb, object track (0 = no object). labels: (T,) class of the
        object. scores: (T,). visible: tracks in this frame; a pair in sight without a triplet has
        the score 0, a pair out of sight keeps the score it had. now_ns: stamp, not before the
        last one.
        """
        seconds = 0.0 if self._now_ns is None else 1e-9 * (now_ns - self._now_ns)
        self._now_ns = now_ns
        now, row_of, observed = _merged(self._all, keys, labels, scores)
        in_sight = np.isin(now.keys[:, 0], visible) & (
            (now.keys[:, 2] == 0) | np.isin(now.keys[:, 2], visible))
        weight = 1.0 if rule.smoothing_s <= 0 else -np.expm1(-seconds / rule.smoothing_s)
        smooth = np.where(in_sight, now.scores + weight * (observed - now.scores), now.scores)
        believed, high = now.ids > 0, smooth >= rule.on
        low = smooth < rule.off
        now = replace(
            now, scores=smooth,
            # While an interaction is believed, a dip does not move its beginning.
            risen_ns=np.where(believed | ~low & (now.risen_ns > 0), now.risen_ns,
                              np.where(low, 0, now_ns)),
            high_ns=np.where(high, np.where(now.high_ns > 0, now.high_ns, now_ns), 0),
            held_ns=np.where(in_sight & ~low, now_ns, now.held_ns),
            seen_ns=np.where(in_sight, now_ns, now.seen_ns))
        lost = now_ns - now.seen_ns > 1e9 * rule.max_age_s
        starting = (~believed & in_sight & high
                    & (now_ns - now.high_ns >= 1e9 * rule.on_s))
        now = self._named(now, starting)
        ending = believed & (lost | low & (now_ns - now.held_ns >= 1e9 * rule.off_s))
        change = Change(now.take(starting), now.take(ending),
                        np.where(ending, 0, now.ids)[row_of])
        self._all = now.take(~lost & ~ending & ((now.ids > 0) | (smooth >= _FORGOTTEN)))
        return change

    def _named(self, now: Followed, starting: np.ndarray) -> Followed:
        ids, count = now.ids.copy(), int(starting.sum())
        ids[starting] = self._next_id + np.arange(count)
        self._next_id += count
        return replace(now, ids=ids)


def _merged(old: Followed, keys: np.ndarray, labels: np.ndarray, scores: np.ndarray
            ) -> Tuple[Followed, np.ndarray, np.ndarray]:
    """Return old and new keys as one, the row of each new key in it, and the scores observed."""
    known = len(old)
    merged, inverse = np.unique(np.concatenate([old.keys, keys]), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)  # NumPy 2.0.0 gives it a second axis

    def spread(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        result = np.zeros(len(merged), dtype)
        result[inverse[:known]] = values
        return result
    rest = {field.name: spread(getattr(old, field.name), getattr(old, field.name).dtype)
            for field in fields(old) if field.name != 'keys'}
    rest['labels'][inverse[known:]] = labels
    observed = np.zeros(len(merged))
    np.maximum.at(observed, inverse[known:], scores)
    return Followed(merged, **rest), inverse[known:], observed
