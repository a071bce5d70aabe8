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

"""Scenes written in a line each."""

from hoi_perception.core.scene import Instances, Mask, MaskKind, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
import numpy as np

SIZE = (100, 80)


def scene(instances=(), triplets=(), masks=(), size=SIZE):
    """
    Return a scene.

    instances: (class, box) or (class, box, track id). triplets: (human, verb, object or None) and
    then score (1) and id (0). masks: (instance, x, y, width, height), filled.
    """
    objects = tuple(dict.fromkeys(['person', *(row[0] for row in instances)]))
    verbs = tuple(dict.fromkeys(row[1] for row in triplets))
    rows = [(*row, 0)[:3] for row in instances]
    full = [(*row, *(1.0, 0)[len(row) - 3:]) for row in triplets]
    return Scene(
        *size, Vocabulary(objects, tuple(map(Verb, verbs))),
        Instances(np.array([row[1] for row in rows], float).reshape(-1, 4), np.ones(len(rows)),
                  [objects.index(row[0]) for row in rows], [row[2] for row in rows]),
        Triplets([row[0] for row in full], [NONE if row[2] is None else row[2] for row in full],
                 [verbs.index(row[1]) for row in full], [row[3] for row in full],
                 [row[4] for row in full]),
        tuple(Mask(MaskKind.INSTANCE, owner, x, y, np.ones((h, w), bool))
              for owner, x, y, w, h in masks))
