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
Verb prompts: text in, embeddings out, off the frame path.

A prompt set is prepared in any thread (slow: it encodes text) and activated atomically; a frame
takes the current set once and is computed and published with exactly that one.

`no_interaction`: every object has a background phrase ('a person and a cup') that competes with
the verbs in the softmax and is never a triplet. A vocabulary that lists the verb `no_interaction`
itself gets it as a verb like any other, with the background phrase, in place of the implicit one.
"""

from dataclasses import dataclass, replace
import threading
from typing import Dict, List, Optional, Sequence, Tuple

from hoi_perception.core.errors import VocabularyError
from hoi_perception.core.pairs import bucket_for
from hoi_perception.core.scene import NONE
from hoi_perception.core.vocabulary import MAX_VERBS, parse_verbs, Verb, Vocabulary
from hoi_perception.networks.clip import encode_text
from hoi_perception.runtime.bundle import BundleSpec
import numpy as np
import torch
from torch import nn, Tensor

MAX_ROWS = 640
NO_INTERACTION = 'no_interaction'
_CACHE_LIMIT = 8192


@dataclass(frozen=True)
class PromptSet:
    """
    Everything a frame needs to know about verbs.

    version: from 1, 0 = not activated. phrases: text of each used row. embeddings: (R, D) unit
    norm on the device, R padded to a bucket with zero rows. verb_of_row: (R,) int64, NONE for
    padding. validity: (R, objects) bool on the device. background: (objects, D).
    background_valid: (objects,) bool. unknown_objects: object names of the verbs that the
    vocabulary does not have (their rows never fire until such objects are added).
    """

    vocabulary: Vocabulary
    version: int
    phrases: Tuple[str, ...]
    embeddings: Tensor
    verb_of_row: np.ndarray
    validity: Tensor
    background: Tensor
    background_valid: Tensor
    unknown_objects: Tuple[str, ...] = ()


def article(noun: str) -> str:
    """Return the indefinite article by the first letter: an apple, a cup."""
    return 'an' if noun[:1].lower() in 'aeiou' else 'a'


def fill(template: str, verb: str = '', thing: str = '') -> str:
    """Return the template filled in; without an object it reads 'something'."""
    noun = thing.replace('_', ' ') or 'something'
    text = template.format(verb=verb, object=noun, article=article(noun) if thing else '')
    return ' '.join(text.split())


def _is_background(verb: Verb) -> bool:
    return verb.name.casefold().replace(' ', '_') == NO_INTERACTION


def lay_out_rows(vocabulary: Vocabulary, background: str) -> Tuple[List[str], List[int],
                                                                  np.ndarray]:
    """
    Return phrases, verb index and (rows, objects) validity.

    One row per valid (verb, object) when the template names the object and they fit `MAX_ROWS`,
    else one row per verb.
    """
    valid = vocabulary.validity
    templates = [background if _is_background(v) else vocabulary.template
                 for v in vocabulary.verbs]
    if '{object}' in vocabulary.template and valid.sum() <= MAX_ROWS:
        cells = [(int(verb), int(thing)) for verb, thing in np.argwhere(valid)]
        phrases = [fill(templates[verb], vocabulary.verbs[verb].phrase, vocabulary.objects[thing])
                   for verb, thing in cells]
        validity = np.zeros((len(cells), len(vocabulary.objects)), dtype=bool)
        validity[np.arange(len(cells)), [thing for _, thing in cells]] = True
        return phrases, [verb for verb, _ in cells], validity
    phrases = [fill(template, verb.phrase)
               for template, verb in zip(templates, vocabulary.verbs)]
    return phrases, list(range(len(phrases))), valid.copy()


class PromptStore:
    """The current prompt set and the way to a new one; safe to use from several threads."""

    def __init__(self, clip: nn.Module, spec: BundleSpec) -> None:
        self._clip, self._spec = clip, spec
        self._phrases = {verb.name: verb.phrase for verb in spec.vocabulary.verbs if verb.phrase}
        self._base = spec.core_vocabulary()
        self._cache: Dict[str, Tensor] = {}
        self._encoding, self._swapping = threading.Lock(), threading.Lock()
        self._current = replace(self._compile(self._base), version=1)

    @property
    def current(self) -> PromptSet:
        """The active prompt set; take it once per frame."""
        return self._current

    def prepare(self, verbs: Optional[Sequence[str]] = None, template: Optional[str] = None,
                objects: Optional[Sequence[str]] = None) -> PromptSet:
        """
        Encode a vocabulary; the current one stays active.

        verbs: as users type them; None or `['']` means the bundle's. template: None or '' means
        the bundle's. objects: more object names (from another detector), appended to the bundle's
        so that its labels stay as they are. Raises `VocabularyError` and changes nothing.
        """
        chosen = self._base.verbs if verbs is None or list(verbs) == [''] \
            else parse_verbs(verbs, self._phrases)
        return self._compile(Vocabulary(
            self._extended(objects or ()), chosen, template or self._base.template,
            self._base.human))

    def with_objects(self, names: Sequence[str]) -> PromptSet:
        """Encode the current verbs and template with more objects known."""
        now = self._current.vocabulary
        known = now.objects + tuple(dict.fromkeys(n for n in names if n not in now.objects))
        return self._compile(replace_objects(now, self._extended(known)))

    def activate(self, prompt_set: PromptSet) -> int:
        """Make it current, atomically, and return its version (one more than the last)."""
        with self._swapping:
            version = self._current.version + 1
            self._current = replace(prompt_set, version=version)
        return version

    def _extended(self, names: Sequence[str]) -> Tuple[str, ...]:
        known = self._base.objects
        return known + tuple(dict.fromkeys(name for name in names if name not in known))

    def _compile(self, vocabulary: Vocabulary) -> PromptSet:
        phrases, verbs, validity = lay_out_rows(vocabulary, self._spec.vocabulary.background)
        rows = bucket_for(len(phrases), self._spec.buckets.rows)
        if len(phrases) > rows:
            raise VocabularyError(f"{len(phrases)} prompts are needed, the bundle's largest "
                                  f'bucket holds {rows}: '
                                  'give fewer verbs or objects per verb.')
        padding = rows - len(phrases)
        background = self._encode([fill(self._spec.vocabulary.background, '', thing)
                                   for thing in vocabulary.objects])
        embeddings = self._encode(phrases)
        taken = np.zeros(len(vocabulary.objects), dtype=bool)
        for index, verb in enumerate(vocabulary.verbs):
            if _is_background(verb):
                taken |= vocabulary.validity[index]
        device = background.device
        return PromptSet(
            vocabulary, 0, tuple(phrases),
            torch.cat([embeddings, embeddings.new_zeros(padding, background.shape[1])]),
            np.array(verbs + [NONE] * padding, dtype=np.int64),
            torch.from_numpy(np.pad(validity, ((0, padding), (0, 0)))).to(device),
            background, torch.from_numpy(~taken).to(device),
            tuple(dict.fromkeys(name for verb in vocabulary.verbs for name in verb.objects or ()
                                if name not in vocabulary.objects)))

    def _encode(self, phrases: Sequence[str]) -> Tensor:
        with self._encoding:
            new = [p for p in dict.fromkeys(phrases) if p not in self._cache]
            if len(self._cache) + len(new) > _CACHE_LIMIT:
                self._cache.clear()
                new = list(dict.fromkeys(phrases))
            self._cache.update(zip(new, encode_text(self._clip, new)))
            if not phrases:
                return encode_text(self._clip, [])
            return torch.stack([self._cache[p] for p in phrases])


def replace_objects(vocabulary: Vocabulary, objects: Tuple[str, ...]) -> Vocabulary:
    """Return the vocabulary with other objects (which must contain the human at its index)."""
    return Vocabulary(objects, vocabulary.verbs, vocabulary.template, vocabulary.human)


assert MAX_ROWS >= MAX_VERBS
