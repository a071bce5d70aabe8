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
from typing import List, Optional, Protocol, Sequence, Tuple

from hoi_perception.core.errors import VocabularyError
from hoi_perception.core.pairs import bucket_for
from hoi_perception.core.scene import NONE
from hoi_perception.core.vocabulary import MAX_VERBS, parse_verbs, Verb, Vocabulary
from hoi_perception.runtime.bundle import BundleSpec, HeadSpec
import numpy as np
import torch
from torch import Tensor

MAX_ROWS = 640
OBJECT_STEP, SPARE_OBJECTS = 16, 8
NO_INTERACTION = 'no_interaction'


class TextEncoder(Protocol):
    """
    Where the embeddings of a prompt set come from; safe to use from several threads.

    verbs: phrases to (n, D) unit-norm rows. objects: names to the (n + 1, D) embeddings that
    heads read beside the boxes, last row for no object. verb_is_approximate,
    object_is_approximate: the embedding stands in for one that training would have given.
    """

    def verbs(self, phrases: Sequence[str]) -> Tensor:
        """Return the (n, D) unit-norm rows of phrases."""

    def objects(self, names: Sequence[str]) -> Tensor:
        """Return the (n + 1, D) embeddings of names, the last for no object."""

    def verb_is_approximate(self, phrase: str) -> bool:
        """Return whether the row stands in for a trained one."""

    def object_is_approximate(self, name: str) -> bool:
        """Return whether the embedding stands in for a trained one."""


@dataclass(frozen=True)
class PromptSet:
    """
    Everything a frame needs to know about verbs.

    version: from 1, 0 = not activated. phrases: text of each used row. embeddings: (R, D) unit
    norm on the device, R padded to a bucket with zero rows. verb_of_row: (R,) int64, NONE for
    padding. validity: (R, O) bool on the device, O the objects with room for a few
    more, which then change no shape. background: (O, D), zeros where the
    head does not score with a softmax. background_valid: (O,) bool. object_embeddings: (O + 1, D),
    last row for no object; zeros where the head does not read them.
    unknown_objects: object names of the verbs that the vocabulary does not have (their rows never
    fire until such objects are added). approximate: verbs and objects whose embedding is a
    stand-in, because the head was trained with learned text that they were not part of.
    """

    vocabulary: Vocabulary
    version: int
    phrases: Tuple[str, ...]
    embeddings: Tensor
    verb_of_row: np.ndarray
    validity: Tensor
    background: Tensor
    background_valid: Tensor
    object_embeddings: Tensor
    unknown_objects: Tuple[str, ...] = ()
    approximate: Tuple[str, ...] = ()


def article(noun: str) -> str:
    """Return the indefinite article by the first letter: an apple, a cup."""
    return 'an' if noun[:1].lower() in 'aeiou' else 'a'


def fill(template: str, verb: str = '', thing: str = '') -> str:
    """Return the template filled in; without an object it reads 'something'."""
    noun = thing.replace('_', ' ') or 'something'
    text = template.format(verb=verb, object=noun, article=article(noun) if thing else '')
    return ' '.join(text.split())


def object_phrases(objects: Sequence[str]) -> List[str]:
    """Return the phrases whose embeddings tell a head what a box holds, 'nothing' last."""
    return [fill('a photo of {article} {object}', thing=name) for name in objects] + [
        'a photo of nothing']


def _is_background(verb: Verb) -> bool:
    return verb.name.casefold().replace(' ', '_') == NO_INTERACTION


def padded_objects(own: int, known: int = 0) -> int:
    """
    Return how many objects the tensors of a prompt set have room for.

    own: objects of the bundle; a few more that are learnt later fit too. known: all of them now.
    """
    return -(-max(own + SPARE_OBJECTS, known) // OBJECT_STEP) * OBJECT_STEP


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

    def __init__(self, text: TextEncoder, spec: BundleSpec, head: HeadSpec) -> None:
        self._text, self._spec, self._head = text, spec, head
        known = {verb.name: verb.phrase for verb in spec.vocabulary.verbs if verb.phrase}
        self._phrases = {**{name.replace('_', ' '): known[name] for name in known}, **known}
        self._base = spec.core_vocabulary()
        self._swapping = threading.Lock()
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
        padding, known = rows - len(phrases), len(vocabulary.objects)
        room = padded_objects(len(self._base.objects), known) - known
        embeddings = self._text.verbs(phrases)
        device = embeddings.device
        background, background_valid = self._background(vocabulary, embeddings)
        things = self._text.objects(vocabulary.objects) if self._head.reads_objects \
            else embeddings.new_zeros(known + 1, embeddings.shape[1])
        return PromptSet(
            vocabulary, 0, tuple(phrases), _with_zeros(embeddings, padding),
            np.array(verbs + [NONE] * padding, dtype=np.int64),
            torch.from_numpy(np.pad(validity, ((0, padding), (0, room)))).to(device),
            _with_zeros(background, room),
            torch.from_numpy(np.pad(background_valid, (0, room))).to(device),
            torch.cat([_with_zeros(things[:-1], room), things[-1:]]),
            tuple(dict.fromkeys(name for verb in vocabulary.verbs for name in verb.objects or ()
                                if name not in vocabulary.objects)),
            self._approximate(vocabulary, phrases, verbs))

    def _background(self, vocabulary: Vocabulary, like: Tensor) -> Tuple[Tensor, np.ndarray]:
        """Return each object's background phrase, and where no verb of its own says the same."""
        free = np.ones(len(vocabulary.objects), dtype=bool)
        if self._head.activation != 'softmax':
            return like.new_zeros(len(free), like.shape[1]), ~free
        for index, verb in enumerate(vocabulary.verbs):
            if _is_background(verb):
                free &= ~vocabulary.validity[index]
        return self._text.verbs([fill(self._spec.vocabulary.background, '', thing)
                                 for thing in vocabulary.objects]), free

    def _approximate(self, vocabulary: Vocabulary, phrases: Sequence[str],
                     verbs: Sequence[int]) -> Tuple[str, ...]:
        names = [vocabulary.verbs[verb].name for phrase, verb in zip(phrases, verbs)
                 if self._text.verb_is_approximate(phrase)]
        if self._head.reads_objects:
            names += filter(self._text.object_is_approximate, vocabulary.objects)
        return tuple(dict.fromkeys(names))


def _with_zeros(rows: Tensor, count: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(count, rows.shape[1])])


def replace_objects(vocabulary: Vocabulary, objects: Tuple[str, ...]) -> Vocabulary:
    """Return the vocabulary with other objects (which must contain the human at its index)."""
    return Vocabulary(objects, vocabulary.verbs, vocabulary.template, vocabulary.human)


assert MAX_ROWS >= MAX_VERBS
