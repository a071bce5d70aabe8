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

"""A trained image classifier as an interaction head of a bundle."""

import math
from pathlib import Path
from typing import Dict, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.runtime.bundle import HeadSpec, VocabularySpec
from hoi_perception.runtime.prompts import lay_out_rows
from hoi_trainer.image_classification.network import KIND
from hoi_trainer.training.weights import read_weights
import torch
from torch import Tensor

TOWER = 'backbone.trunk.'
"""Where the state of a classifier has its image tower."""


def defr_head(path: Path, vocabulary: VocabularySpec,
              clip_config: dict) -> Tuple[HeadSpec, Dict[str, Dict[str, Tensor]]]:
    """
    Return the head's description and its two states by the end of their file's name.

    The whole tower is kept, in half precision: fine-tuning changes every weight. vocabulary,
    clip_config: of the bundle. Raises `BundleError` where they do not fit.
    """
    config, state = read_weights(path)
    if config.get('kind') != KIND:
        raise BundleError(f'{path} holds {config.get("kind")!r}, expected an image classifier '
                          'written by `hoi-trainer fit -c configs/synthetic/defr.yaml`.')
    side, own = clip_config['vision_cfg']['image_size'], config['backbone']['image_size']
    if config['backbone']['kind'] != 'bundle' or own not in (None, side):
        raise BundleError(f"{path} is no fine-tuned copy of the bundle's CLIP at {side} pixels: a "
                          'bundle has one size of images and one architecture for its heads.')
    phrases, _, _ = lay_out_rows(
        Vocabulary(vocabulary.objects, tuple(Verb(verb.name, verb.objects, verb.phrase)
                                             for verb in vocabulary.verbs),
                   vocabulary.template, vocabulary.objects.index(vocabulary.human)),
        vocabulary.background)
    missing = [phrase for phrase in phrases if phrase not in config['phrases']]
    if missing:
        raise BundleError(f'{path} was not trained with {missing[0]!r}, which is in the '
                          f'vocabulary of the bundle, nor with {len(missing) - 1} others.')
    order = [config['phrases'].index(phrase) for phrase in phrases]
    human, thing = config['exponents']
    spec = HeadSpec(kind='defr', text='rows', activation='sigmoid', human_exponent=human,
                    temperature=math.exp(float(state['classifier.log_scale'])),
                    object_exponent=thing, triplet_threshold=config.get('threshold'))
    tower = {f'trunk.{name[len(TOWER):]}': value.half() for name, value in state.items()
             if name.startswith(TOWER)}
    rows = state['classifier.weight'][torch.tensor(order)]
    return spec, {'.safetensors': tower, '.text.safetensors': {'rows': rows.half()}}
