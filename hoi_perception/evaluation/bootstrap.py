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
How far a mean AP may be off by chance: percentile bootstrap over frames, or blocks of them.

A replicate draws as many frames as there are, with replacement, and takes the AP of what was
matched in them (`Judged.weighted_ap`). The interval holds the middle `level` of the replicates
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Consecutive frames of
a video are alike, so there whole blocks are drawn, from every sequence apart and around its end
(circular block bootstrap: Politis and Romano 1992). Two runs over the same frames are compared by
drawing the same frames for both (paired bootstrap: Koehn, EMNLP 2004).

A class whose truth is in none of the drawn frames is left out of that replicate's mean. What
differs between bags, cameras or scenes that were not recorded is not in the interval.
"""

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.judged import Judged, mean_ap
import numpy as np

REPLICATES, LEVEL = 1000, 0.95
BLOCK_PER_CORRELATION, LEAST_BLOCKS = 4, 8
"""A block is this many correlation times long; a sequence is cut into at least so many."""


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its interval; NaN where it could not be computed."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class BootstrapResult:
    """
    Mean AP and AP of every class with their intervals.

    full: the mean. ap, low, high: (C,); NaN in `low` and `high` of a class without truth. level:
    share of the replicates within. replicates, block: how many draws, of blocks of how many
    frames. samples: (replicates, C) AP of every draw, NaN where it holds no truth of the class.
    """

    full: Estimate
    ap: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float
    replicates: int
    block: int
    samples: np.ndarray


@dataclass(frozen=True)
class PairedResult:
    """
    What a second run changed: second minus first, over the same frames.

    full: of the mean AP. chance: how often a change at least as clear would be seen if there were
    none: twice the smaller share of replicates on either side of no change, (k + 1) / (B + 1)
    each. difference, low, high, chances: the same of every class, (C,).
    """

    full: Estimate
    chance: float
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    chances: np.ndarray
    level: float
    replicates: int
    block: int

    @property
    def more_than_noise(self) -> bool:
        """Tell whether the interval of the mean's change leaves out zero."""
        return self.full.low > 0 or self.full.high < 0


def correlation_time(values: np.ndarray, lengths: Sequence[int]) -> float:
    """
    Return over how many frames a series resembles itself, from 1 (not at all).

    values: (F,) one number per frame, NaN = unknown (counts as the mean). lengths: frames of each
    sequence, one after the other. 1 + 2 sum of the autocorrelations, summed as long as two
    neighbouring ones are positive together (Geyer 1992, initial positive sequence).
    """
    known = ~np.isnan(values)
    if not known.any():
        return 1.0
    centred = np.where(known, values - values[known].mean(), 0.0)
    longest = max(lengths, default=0)
    covariance = np.zeros(longest)
    start = 0
    for length in lengths:
        part = np.fft.rfft(centred[start:start + length], 2 * length)
        covariance[:length] += np.fft.irfft(np.abs(part) ** 2, 2 * length)[:length]
        start += length
    if covariance[:1].sum() <= 1e-12 * len(values):
        return 1.0
    pairs = np.append(covariance, 0.0)[:2 * ((longest + 1) // 2)].reshape(-1, 2).sum(1)
    negative = np.flatnonzero(pairs <= 0)
    kept = pairs[:negative[0] if len(negative) else len(pairs)]
    return float(max(1.0, 2 * kept.sum() / covariance[0] - 1))


def block_length(judged: Judged, lengths: Optional[Sequence[int]] = None) -> int:
    """
    Return how many frames to draw together: 4 correlation times of the frames' agreement.

    lengths: see `bootstrap`.
    """
    return block_length_of(judged.agreement, [judged.frames] if lengths is None else lengths)


def block_length_of(values: np.ndarray, lengths: Sequence[int]) -> int:
    """
    Return how many frames to draw together for a mean of values (F,), one per frame.

    1 where neighbours are no more alike than others; at most an eighth of the longest sequence.
    """
    time = correlation_time(values, lengths)
    if time < 1.5:
        return 1
    return int(max(1, min(np.ceil(BLOCK_PER_CORRELATION * time),
                          max(lengths) // LEAST_BLOCKS)))


def draw(generator: np.random.Generator, lengths: Sequence[int], block: int) -> np.ndarray:
    """Return how often each frame is drawn, (F,) int64; sums to the length in each sequence."""
    counts: List[np.ndarray] = []
    for length in lengths:
        starts = generator.integers(max(length, 1), size=-(-length // block))
        drawn = (starts[:, None] + np.arange(block)).ravel()[:length] % max(length, 1)
        counts.append(np.bincount(drawn, minlength=length))
    return np.concatenate(counts) if counts else np.zeros(0, np.int64)


def bootstrap(judged: Judged, lengths: Optional[Sequence[int]] = None,
              block: Optional[int] = None, replicates: int = REPLICATES, level: float = LEVEL,
              seed: int = 0) -> BootstrapResult:
    """
    Return the intervals of a run.

    lengths: number of frames of each sequence (bag), which lie one after the other; default: one.
    block: frames drawn together, 1 for photos; default: `block_length`. The same seed gives the
    same result. Raises `HoiError`.
    """
    lengths, block = _checked([judged], lengths, block, replicates, level)
    generator = np.random.default_rng(seed)
    aps = np.array([judged.weighted_ap(draw(generator, lengths, block))
                    for _ in range(replicates)]).reshape(replicates, judged.classes)
    means = np.array([mean_ap(ap) for ap in aps])
    low, high = _interval(np.where(judged.positives > 0, aps, np.nan), level)
    return BootstrapResult(
        Estimate(mean_ap(judged.ap), *map(float, _interval(means, level))), judged.ap,
        low, high, level, replicates, block, aps)


def compare(first: Judged, second: Judged, lengths: Optional[Sequence[int]] = None,
            block: Optional[int] = None, replicates: int = REPLICATES, level: float = LEVEL,
            seed: int = 0) -> PairedResult:
    """
    Return what the second run changed, with its interval: both judged on the same frames.

    The other arguments are those of `bootstrap`. Raises `HoiError`, also where the two were not
    judged by the same truth.
    """
    lengths, block = _checked([first, second], lengths, block, replicates, level)
    generator = np.random.default_rng(seed)
    changes = np.empty((replicates, first.classes))
    means = np.empty(replicates)
    for row in range(replicates):
        weights = draw(generator, lengths, block)
        aps = [judged.weighted_ap(weights) for judged in (first, second)]
        changes[row] = aps[1] - aps[0]
        means[row] = mean_ap(aps[1]) - mean_ap(aps[0])
    changes[:, first.positives == 0] = np.nan
    low, high = _interval(changes, level)
    full = mean_ap(second.ap) - mean_ap(first.ap)
    return PairedResult(Estimate(full, *map(float, _interval(means, level))),
                        float(_chance(means[:, None])[0]), second.ap - first.ap, low, high,
                        _chance(changes), level, replicates, block)


def _checked(runs: Sequence[Judged], lengths: Optional[Sequence[int]], block: Optional[int],
             replicates: int, level: float) -> Tuple[List[int], int]:
    """Return the lengths of the sequences and of a block."""
    frames = runs[0].frames
    lengths = [frames] if lengths is None else list(lengths)
    if sum(lengths) != frames or min(lengths, default=0) < 0:
        raise HoiError(f'the sequences have {lengths} frames, {sum(lengths)} in all, expected '
                       f'the {frames} that were judged.')
    for other in runs[1:]:
        if (other.frames, other.classes) != (frames, runs[0].classes) or not np.array_equal(
                _truth(other), _truth(runs[0])):
            raise HoiError(f'the runs were judged on {frames} and {other.frames} frames, '
                           f'{len(runs[0].true_labels)} and {len(other.true_labels)} true '
                           'triplets: a paired comparison needs the same frames and truth.')
    if block is None:
        block = max(block_length(run, lengths) for run in runs)
    if block < 1 or replicates < 1 or not 0 < level < 1:
        raise HoiError(f'block {block}, replicates {replicates} and level {level} were asked for: '
                       'expected at least 1, at least 1, and between 0 and 1.')
    return lengths, block


def _truth(judged: Judged) -> np.ndarray:
    """Return frame and class of every true entry as one number, sorted."""
    return np.sort(judged.true_images * max(judged.classes, 1) + judged.true_labels)


def _interval(values: np.ndarray, level: float) -> np.ndarray:
    """Return the (2, ...) quantiles over the first axis that hold `level`; NaN left out."""
    edges = [(1 - level) / 2, (1 + level) / 2]
    empty = np.isnan(values).all(0)
    return np.where(empty, np.nan, np.nanquantile(np.where(empty, 0.0, values), edges, axis=0))


def _chance(changes: np.ndarray) -> np.ndarray:
    """Return twice the smaller share of replicates on either side of 0, at most 1, (C,)."""
    known = (~np.isnan(changes)).sum(0)
    sides = [((changes <= 0).sum(0) + 1) / (known + 1), ((changes >= 0).sum(0) + 1) / (known + 1)]
    return np.where(known > 0, np.minimum(1.0, 2 * np.minimum(*sides)), np.nan)
