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

"""Names: objects a detector knows, verbs the interaction head scores, and which go together."""

from dataclasses import dataclass, field
from typing import Mapping, Optional, Sequence, Tuple
import unicodedata

from hoi_perception.core.errors import VocabularyError
import numpy as np

MAX_VERBS = 640
"""Largest verb bucket (ARCHITECTURE: 32/128/640); more cannot be scored in one frame."""
MAX_NAME_LENGTH = 64
DEFAULT_TEMPLATE = 'a photo of a person {verb} {article} {object}'


@dataclass(frozen=True)
class Verb:
    """
    One verb as it is typed, shown and published.

    `objects` restricts it to these object names (None = any object). `phrase` is the form that
    goes into the prompt template ('riding'); by default the name itself.
    """

    name: str
    objects: Optional[Tuple[str, ...]] = None
    phrase: str = ''

    def __post_init__(self) -> None:
        if not self.phrase:
            object.__setattr__(self, 'phrase', self.name.replace('_', ' '))


@dataclass(frozen=True)
class Vocabulary:
    """
    Objects, verbs and the prompt template, all immutable; a change makes a new vocabulary.

    human: index of the object that acts ('person').
    """

    objects: Tuple[str, ...]
    verbs: Tuple[Verb, ...]
    template: str = DEFAULT_TEMPLATE
    human: int = 0
    _validity: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.human < len(self.objects):
            raise VocabularyError(
                f'human index {self.human} is outside the {len(self.objects)} objects.')
        check_template(self.template)
        validity = np.ones((len(self.verbs), len(self.objects)), dtype=bool)
        index = {name: i for i, name in enumerate(self.objects)}
        for row, verb in enumerate(self.verbs):
            if verb.objects is not None:
                validity[row] = False
                known = [index[name] for name in verb.objects if name in index]
                validity[row, known] = True
        validity.setflags(write=False)
        object.__setattr__(self, '_validity', validity)

    @property
    def validity(self) -> np.ndarray:
        """Which verb may go with which object: (verbs, objects) bool, read only."""
        return self._validity

    @property
    def verb_names(self) -> Tuple[str, ...]:
        """Return the verbs' names in scoring order."""
        return tuple(verb.name for verb in self.verbs)


def check_template(template: str) -> None:
    """Raise `VocabularyError` unless the template is a sentence with a `{verb}` in it."""
    try:
        sentence = template.format(verb='ride', object='bicycle', article='a')
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise VocabularyError(
            f'prompt template {template!r} cannot be filled in ({error}): use only {{verb}}, '
            '{article} and {object}, as in '
            f'{DEFAULT_TEMPLATE!r}.') from error
    if '{verb}' not in template:
        raise VocabularyError(
            f'prompt template {template!r} has no {{verb}}: every verb would get the same prompt.')
    if len(sentence) > 256:
        raise VocabularyError('prompt template is longer than 256 characters: shorten it.')


def _clean_name(raw: str, what: str, entry: str) -> str:
    name = ' '.join(part for part in raw.split(' ') if part)
    if not name:
        raise VocabularyError(f'{what} in {entry!r} is empty: give a name or remove the entry.')
    if len(name) > MAX_NAME_LENGTH:
        raise VocabularyError(
            f'{what} {name[:20]!r}... has {len(name)} characters, at most {MAX_NAME_LENGTH} '
            'are accepted.')
    for character in name:
        if unicodedata.category(character)[0] == 'C':
            raise VocabularyError(
                f'{what} {name!r} contains the control or invisible character '
                f'U+{ord(character):04X}: remove it.')
    return name


def same_name(name: str) -> str:
    """Return what 'Wine_glass' and 'wine glass', the same name to people, have in common."""
    return name.casefold().replace('_', ' ').strip()


def parse_verbs(entries: Sequence[str],
                phrases: Optional[Mapping[str, str]] = None) -> Tuple[Verb, ...]:
    """
    Read verbs as users type them: `'ride'` or `'push: cart, stroller'`.

    phrases: known prompt forms by verb name (`{'ride': 'riding'}`), usually the bundle's.
    Raises `VocabularyError` with one sentence on empty, repeated, over-long, unprintable or too
    many entries; nothing is corrected silently except spaces around names.
    """
    if isinstance(entries, (str, bytes)):
        raise VocabularyError(
            f"verbs must be a list of strings, got one string {entries!r}: write ['...'].")
    if not entries:
        raise VocabularyError("the list of verbs is empty: give at least one, or [''] to reset.")
    if len(entries) > MAX_VERBS:
        raise VocabularyError(f'{len(entries)} verbs given, at most {MAX_VERBS} can be scored.')
    verbs, seen = [], set()
    for entry in entries:
        if not isinstance(entry, str):
            raise VocabularyError(
                f'verb {entry!r} is a {type(entry).__name__}, expected a string.')
        head, colon, tail = entry.partition(':')
        name = _clean_name(head, 'verb', entry)
        if name.casefold() in seen:
            raise VocabularyError(f'verb {name!r} is given twice: remove one.')
        seen.add(name.casefold())
        objects = None
        if colon:
            objects = tuple(_clean_name(part, 'object', entry) for part in tail.split(','))
        verbs.append(Verb(name, objects, (phrases or {}).get(name, '')))
    return tuple(verbs)
