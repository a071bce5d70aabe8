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

"""Names of the synthetic world: objects, verbs, which go together how often, and captions."""

from typing import Iterable, Sequence, Tuple

import numpy as np

OBJECTS: Tuple[str, ...] = (
    'person', 'bicycle', 'skateboard', 'chair', 'box', 'cart', 'dog', 'ball', 'cup', 'bottle',
    'book', 'umbrella', 'balloon')
PERSON = 0

_PHRASES = {
    'hold': 'holding', 'touch': 'touching', 'lift': 'lifting', 'point_at': 'pointing at',
    'look_at': 'looking at', 'wave_at': 'waving at', 'push': 'pushing', 'pull': 'pulling',
    'kick': 'kicking', 'throw': 'throwing', 'drink_from': 'drinking from', 'ride': 'riding',
    'sit_on': 'sitting on', 'stand_on': 'standing on', 'hug': 'hugging',
    'no_interaction': 'and',
}
VERBS: Tuple[str, ...] = tuple(_PHRASES)
"""Verbs in index order; the last one, `no_interaction`, never occurs in a triplet."""
PHRASES: Tuple[str, ...] = tuple(_PHRASES.values())
"""The form of each verb that goes into a caption or prompt ('riding'), parallel to `VERBS`."""
NO_INTERACTION = VERBS.index('no_interaction')

# The objects of each verb, most frequent first.
_OBJECTS_OF_VERB = {
    'hold': ('cup', 'umbrella', 'book', 'ball', 'bottle', 'balloon', 'box', 'skateboard'),
    'sit_on': ('chair', 'box', 'bicycle', 'cart'),
    'look_at': ('person', 'book', 'dog', 'balloon', 'bicycle', 'cup', 'ball', 'umbrella', 'bottle',
                'box', 'chair', 'cart'),
    'ride': ('bicycle', 'skateboard'),
    'touch': ('dog', 'ball', 'book', 'chair', 'bicycle', 'box', 'cart', 'balloon', 'umbrella'),
    'push': ('cart', 'box', 'chair', 'person', 'bicycle'),
    'kick': ('ball', 'box', 'bottle', 'chair', 'skateboard'),
    'point_at': ('balloon', 'person', 'dog', 'book', 'bottle', 'bicycle', 'umbrella', 'ball',
                 'cart', 'chair'),
    'lift': ('box', 'ball', 'skateboard', 'chair', 'dog', 'balloon'),
    'drink_from': ('bottle', 'cup'),
    'wave_at': ('person', 'dog', 'balloon', 'bicycle'),
    'pull': ('chair', 'cart', 'box', 'dog', 'bicycle'),
    'hug': ('person', 'dog', 'balloon', 'box'),
    'stand_on': ('skateboard', 'box', 'chair', 'cart'),
    'throw': ('ball', 'bottle', 'book', 'balloon'),
}


def _by_frequency() -> Tuple[Tuple[int, int], ...]:
    """Deal the combinations out round by round, so that every object has several common verbs."""
    rounds = max(map(len, _OBJECTS_OF_VERB.values()))
    return tuple(
        (VERBS.index(verb), OBJECTS.index(objects[i]))
        for i in range(rounds) for verb, objects in _OBJECTS_OF_VERB.items() if i < len(objects))


COMBINATIONS: Tuple[Tuple[int, int], ...] = _by_frequency()
"""Valid (verb, object) index pairs, most frequent first; `no_interaction` is not among them."""

_rank = np.arange(len(COMBINATIONS))
FREQUENCIES: np.ndarray = (_rank + 8.0) ** -1.8
"""How often each combination is tried, a shifted Zipf law; sums to 1."""
FREQUENCIES = FREQUENCIES / FREQUENCIES.sum()
FREQUENCIES.setflags(write=False)


def article(name: str) -> str:
    """Return 'a' or 'an'."""
    return 'an' if name[0] in 'aeiou' else 'a'


def pair_caption(verbs: Sequence[int], label: int) -> str:
    """Return 'a person holding and looking at a cup', or 'a person and a cup' without verbs."""
    name = OBJECTS[label]
    words = ' and '.join(PHRASES[v] for v in verbs) or 'and'
    return f'a person {words} {article(name)} {name}'


def scene_caption(interactions: Iterable[Tuple[int, int]], labels: Sequence[int]) -> str:
    """
    Say all that happens in an image.

    interactions: (verb, object label) in order; labels: of all instances, named if nothing
    happens.
    """
    phrases = [pair_caption([verb], label) for verb, label in interactions]
    if not phrases:
        phrases = [f'{article(OBJECTS[i])} {OBJECTS[i]}' for i in labels] or ['nothing']
    return ', '.join(dict.fromkeys(phrases))


CAPTION_WORDS: Tuple[str, ...] = tuple(sorted(
    {word for phrase in PHRASES for word in phrase.split()}
    | set(OBJECTS) | {'a', 'an', 'and', 'nothing'}))
"""Every word a caption can contain: 'zero-shot' about this world means unseen by the head."""
