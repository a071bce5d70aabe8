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

"""The rules by which the zero-shot settings of the synthetic world were fixed."""

from typing import List

from hoi_perception.evaluation.datasets.names import HoiNames
import numpy as np

SHARE = 0.2
UNSEEN_VERBS = 3
RARE_FIRST_RULE = (
    'by rising number of training pairs (ties: lower class first) a class becomes unseen if its '
    'verb and its object both stay in some seen class, until a fifth of the classes are unseen')
VERB_RULE = (
    'verbs sorted by falling number of training pairs (ties: lower index first) are cut into '
    'three equal parts; the middle verb of each part is unseen, with all its classes')


def rare_first(names: HoiNames, counts: np.ndarray) -> np.ndarray:
    """
    Return the unseen classes of `RARE_FIRST_RULE`, ascending int64.

    counts: (C,) training pairs per class.
    """
    left = np.ones(len(counts), bool)
    for index in np.argsort(counts, kind='stable'):
        if (~left).sum() == round(SHARE * len(counts)):
            break
        verb, thing = names.combinations[index]
        others = names.combinations[left & (np.arange(len(counts)) != index)]
        left[index] = not ((others[:, 0] == verb).any() and (others[:, 1] == thing).any())
    return np.flatnonzero(~left)


def unseen_verbs(names: HoiNames, counts: np.ndarray) -> np.ndarray:
    """
    Return the unseen classes of `VERB_RULE`, ascending int64.

    counts: (C,) training pairs per class.
    """
    per_verb = np.bincount(names.combinations[:, 0], counts, len(names.verbs))
    ranked = np.argsort(-per_verb, kind='stable')
    middle: List[int] = [int(part[len(part) // 2])
                         for part in np.array_split(ranked, UNSEEN_VERBS)]
    return np.flatnonzero(np.isin(names.combinations[:, 0], middle))
