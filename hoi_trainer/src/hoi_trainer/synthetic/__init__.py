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
A rendered world of people doing things, with exact boxes, masks, triplets and captions.

Everything is drawn from a seed, bit for bit. Results on it say nothing about real photographs.
"""

from hoi_trainer.synthetic.dataset import generate, load, SceneRecord, SyntheticSet
from hoi_trainer.synthetic.vocabulary import COMBINATIONS, NO_INTERACTION, OBJECTS, VERBS

__all__ = ['COMBINATIONS', 'NO_INTERACTION', 'OBJECTS', 'SceneRecord', 'SyntheticSet', 'VERBS',
           'generate', 'load']
