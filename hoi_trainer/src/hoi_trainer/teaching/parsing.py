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
From what a language model writes to verbs and objects, or to the reason why there are none.

Source: the specification's two prompts and the raw form `*Swing, Baseball Bat.` that the second
one is answered with.
"""

import re
from typing import List, Optional, Sequence, Tuple

from hoi_trainer.teaching.records import TaughtInteraction, TeacherRecord
from hoi_trainer.teaching.words import base_form, normal_noun, normal_verb

CAPTION_PROMPT = 'What are the persons doing in the image?'
PARSE_PROMPT = ('Briefly list human-object interactions in a triplet of interaction, object from '
                'the sentence.')
LONGEST = 4000
"""Characters of an answer; a longer one is a model that repeats itself."""
VERB_WORDS, OBJECT_WORDS = 3, 4
PEOPLE = frozenset('person people man men woman women boy girl child children human kid rider '
                   'player he she they someone somebody'.split())
NOTHING = frozenset('none nothing no n/a na interaction object verb'.split())
_FOREIGN = frozenset(
    'der die das und ist ein eine einen mit auf dem den nicht von zu le la les des est une dans '
    'sur avec et qui il elle el los las una con en que del por está un uno lo gli che di è sono '
    'het een met op van os um uma com em não é jest się'.split())
_ENGLISH = frozenset('the a an is are and with on in of at to his her their from by while who '
                     'no not for into near next has it this that there'.split())
_WORD = re.compile(r"[a-z][a-z'/-]*$")
_FRONT = re.compile(r'^[\s*\-•·<(\["\']*(?:\d+[.):]\s*)?[\s*\-•·<(\["\']*')
_END = ' \t.;:!?*>)]"\''
_IN_CAPTION = re.compile(
    r"\b([a-z]+ing)((?: (?:on|at|in|from|with|to|up|down|off|over|into|out of))?) "
    r"(?:a|an|the|his|her|their|its|some|another|two|three) ((?:[a-z'-]+ ){0,2}?[a-z'-]+?)"
    r"(?= (?:and|while|with|on|in|at|near|next|by|of|from|to)\b|[,.;!?]|$)")


def fault(text: str) -> str:
    """Return why an answer cannot be used, one of `records.CAUSES`, '' where it can."""
    if len(text) > LONGEST:
        return 'too_long'
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return 'empty'
    if sum(character > '\u024f' for character in letters) > len(letters) / 5:
        return 'other_language'  # not written in Latin letters
    words = re.findall(r'[^\W\d_]+', text.lower())
    foreign = sum(word in _FOREIGN for word in words)
    english = sum(word in _ENGLISH for word in words)
    return 'other_language' if foreign > max(english, 1) else ''


def parse_answer(text: str) -> Tuple[TaughtInteraction, ...]:
    """
    Return the interactions listed in an answer to `PARSE_PROMPT`, each once, in order.

    A line, or what stands between bullets and semicolons, is one interaction: what precedes the
    first comma is the verb. A person named first is left out. Other lines are skipped.
    """
    found = [_entry(line) for line in re.split(r'[\n;*•]+', text)]
    return tuple(dict.fromkeys(entry for entry in found if entry is not None))


def _entry(line: str) -> Optional[TaughtInteraction]:
    parts = [part.strip(_END) for part in _FRONT.sub('', line).split(',')]
    if len(parts) > 2 and normal_noun(parts[0]) in PEOPLE:
        parts = parts[1:]
    if len(parts) < 2:
        return None
    verb, thing = normal_verb(parts[0]), normal_noun(parts[1])
    fits = all(1 <= len(name.split()) <= most and all(map(_WORD.match, name.split()))
               for name, most in ((verb, VERB_WORDS), (thing, OBJECT_WORDS)))
    if not fits or {verb.split()[0], thing} & NOTHING or verb in PEOPLE:
        return None
    return TaughtInteraction(verb, 'person' if thing in PEOPLE else thing)


def interactions_in(caption: str) -> Tuple[TaughtInteraction, ...]:
    """
    Return what a caption says in the form 'riding a bicycle', without a language model.

    It finds verbs in -ing with an object after an article or possessive, and nothing else.
    """
    found = (TaughtInteraction(
        normal_verb(verb + particle),
        'person' if normal_noun(thing) in PEOPLE else normal_noun(thing))
        for verb, particle, thing in _IN_CAPTION.findall(caption.lower())
        if base_form(verb) != verb)
    return tuple(dict.fromkeys(found))


def record_of(image: str, source: str, caption: str,
              answer: Optional[str] = None) -> TeacherRecord:
    """
    Return the record of an image from its caption and the answer about the caption.

    answer: None where the caption itself is to be read. A faulty text is not kept.
    """
    cause = fault(caption) or (fault(answer) if answer is not None else '')
    if cause:
        kept = '' if fault(caption) else caption
        return TeacherRecord(image, kept, (), source, cause)
    found = interactions_in(caption) if answer is None else parse_answer(answer)
    return TeacherRecord(image, caption, found, source, '' if found else 'not_parsable')


def faulty(captions: Sequence[str]) -> List[bool]:
    """Tell which captions need no second question."""
    return [bool(fault(caption)) for caption in captions]
