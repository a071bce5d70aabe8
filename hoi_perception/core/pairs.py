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

"""Which instances may interact: selection, enumeration and the pair budget."""

from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np


class Pairs(NamedTuple):
    """
    Candidate pairs of one image.

    human, object: (P,) int64 indices into the instances, best prior first. dropped: pairs beyond
    the budget that were left out.
    """

    human: np.ndarray
    object: np.ndarray
    dropped: int


def _side(scores: np.ndarray, members: np.ndarray, threshold: float, least: int,
          most: int) -> np.ndarray:
    ranked = members[np.argsort(-scores[members], kind='stable')]
    passing = int((scores[ranked] >= threshold).sum())
    return ranked[:min(most, max(least, passing))]


def select_instances(scores: np.ndarray, labels: np.ndarray, human: int, threshold: float,
                     least: int, most_humans: int, most_objects: int) -> np.ndarray:
    """
    Return the indices of the instances that take part, humans first, each side best first.

    scores: (n,) in 0..1. labels: (n,) classes. Per side (human / not human) the instances at or
    above `threshold` are kept; at least `least` regardless of their score, at most `most_humans`
    / `most_objects`. Selection of UPT, PViC, DEFR and LAIN (official code), with the thresholds as
    arguments.
    """
    is_human = labels == human
    return np.concatenate([
        _side(scores, np.flatnonzero(is_human), threshold, least, most_humans),
        _side(scores, np.flatnonzero(~is_human), threshold, least, most_objects)])


def enumerate_pairs(is_human: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return all ordered pairs (x, y): x is human, y is any other instance, humans included."""
    human, thing = np.nonzero(is_human[:, None] & ~np.eye(len(is_human), dtype=bool))
    return human, thing


def candidate_pairs(scores: np.ndarray, is_human: np.ndarray, budget: int,
                    is_object: Optional[np.ndarray] = None) -> Pairs:
    """
    Enumerate the pairs and keep the `budget` ones of highest score product.

    is_object: (n,) bool, which instances may be the object of a pair; None = all.
    """
    human, thing = enumerate_pairs(is_human)
    if is_object is not None:
        wanted = is_object[thing]
        human, thing = human[wanted], thing[wanted]
    order = np.argsort(-scores[human] * scores[thing], kind='stable')[:budget]
    return Pairs(human[order], thing[order], len(human) - len(order))


def bucket_for(count: int, buckets: Sequence[int]) -> int:
    """Return the smallest bucket that holds `count`, or the largest bucket there is."""
    for size in sorted(buckets):
        if count <= size:
            return size
    return max(buckets)
