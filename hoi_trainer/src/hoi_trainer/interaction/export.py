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

"""A trained head as a bundle describes it."""

import math
from pathlib import Path
from typing import Dict, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.runtime.bundle import HeadSpec
from hoi_trainer.training.weights import read_weights
from torch import Tensor

EXPONENTS = {'lain': 1.0, 'rmlr': 1.0, 'cl_hoi': 1.0, 'seg2hoi': 0.0}
"""
Of the detector's scores, as in training, where none were fitted; by the kinds that can be read.

Seg2HOI's own class scores stand for the detector's.
"""


def read_head(path: Path) -> Tuple[HeadSpec, Dict[str, Tensor]]:
    """
    Return the description and the state, in half precision, of what `hoi-trainer fit` wrote.

    Exponents and threshold are those of `hoi-trainer fit-exponents`, where it was called. Image
    classifiers are read by `image_classification.export`. Raises `BundleError` for other files.
    """
    config, state = read_weights(path)
    kind = config.get('kind')
    if kind not in EXPONENTS:
        raise BundleError(f'{path} holds {kind!r}, expected a head written by `hoi-trainer fit` '
                          f'with one of configs/synthetic/{{{",".join(EXPONENTS)}}}.yaml.')
    human, thing = config.get('exponents', [EXPONENTS[kind]] * 2)
    own_scale = kind == 'seg2hoi'
    return HeadSpec(
        kind=kind, config=config['config'], activation='sigmoid',
        temperature=None if own_scale else math.exp(float(state['logit_scale'])),
        human_exponent=human, object_exponent=thing,
        triplet_threshold=config.get('threshold')), {
            name: value.half() if value.is_floating_point() else value
            for name, value in state.items()}
