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
Matching over a whole set at once: rows are grouped by sorting, nothing loops over images.

A detection looks only at the ground truth of its own group (image and class, or image alone).
All overlaps are computed as one flat array of candidates.
"""

from typing import NamedTuple

import numpy as np

NONE = -1
"""No ground truth in the detection's group."""


class Candidates(NamedTuple):
    """Rows (K,) of detections, ascending, and of ground truth, in its own order per detection."""

    detection: np.ndarray
    truth: np.ndarray


class Best(NamedTuple):
    """Per detection (n,): row of the ground truth it overlaps most (or NONE), and the overlap."""

    truth: np.ndarray
    overlap: np.ndarray


def same_group(detections: np.ndarray, truth: np.ndarray) -> Candidates:
    """Return every (detection, truth) of equal group number; both (n,) and (m,) integers."""
    order = np.argsort(truth, kind='stable')
    grouped = truth[order]
    first = np.searchsorted(grouped, detections, 'left')
    count = np.searchsorted(grouped, detections, 'right') - first
    rows = np.repeat(np.arange(len(detections)), count)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    return Candidates(rows, order[np.repeat(first, count) + within])


def box_overlap(first: np.ndarray, second: np.ndarray, last_pixel: bool = False) -> np.ndarray:
    """
    Return the IoU of boxes (K, 4) and (K, 4) row by row, in the boxes' own precision.

    last_pixel: boxes name their last pixel, so sides are one longer. A box without area or turned
    inside out overlaps nothing.
    """
    one = first.dtype.type(1 if last_pixel else 0)
    low, high = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    inter = np.clip(high - low + one, 0, None).prod(1)
    areas = [(boxes[:, 2:] - boxes[:, :2] + one).prod(1) for boxes in (first, second)]
    overlap: np.ndarray = np.divide(inter, areas[0] + areas[1] - inter, where=inter > 0,
                                    out=np.zeros_like(inter))
    return overlap


def best_truth(candidates: Candidates, overlap: np.ndarray, detections: int) -> Best:
    """Return what each detection overlaps most by (K,) overlaps; the first of equals wins."""
    best = Best(np.full(detections, NONE, np.int64), np.zeros(detections, overlap.dtype))
    if not len(overlap):
        return best
    starts = np.flatnonzero(np.diff(candidates.detection, prepend=-1))
    top = np.maximum.reduceat(overlap, starts)
    rows = candidates.detection[starts]
    best.overlap[rows] = top
    equal = np.flatnonzero(overlap == np.repeat(top, np.diff(np.append(starts, len(overlap)))))
    owner = candidates.detection[equal]
    first = equal[np.flatnonzero(np.diff(owner, prepend=-1))]
    best.truth[candidates.detection[first]] = candidates.truth[first]
    return best


def first_claims(truth: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """
    Return which rows are right, (n,) bool: the first matching row of each ground truth.

    truth: (n,) row or number of the ground truth each detection would take, detections sorted
    best first. matches: (n,) bool, whether they overlap enough. A later row gets no second best.
    """
    right = np.zeros(len(truth), dtype=bool)
    rows = np.flatnonzero(matches)
    right[rows[np.unique(truth[rows], return_index=True)[1]]] = True
    return right
