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
English verbs between the form that is written and the form that is counted, by rules.

A dictionary of English would be a dependency for a few hundred verbs; the rules below are checked
on all verbs of HICO-DET, V-COCO and the synthetic world. Particles and prepositions stay ('sit
on'), because a prompt needs them.
"""

import re
from typing import Dict, FrozenSet

AUXILIARIES = frozenset('be is are was were am been being to has have had'.split())
DETERMINERS = frozenset('a an the his her their its some this that these those my your our one '
                        'two three several another'.split())
_IRREGULAR: Dict[str, str] = {
    form: base for base, forms in {
        'ride': 'rode ridden', 'sit': 'sat', 'hold': 'held', 'throw': 'threw thrown',
        'catch': 'caught', 'drink': 'drank drunk', 'eat': 'ate eaten', 'stand': 'stood',
        'wear': 'wore worn', 'drive': 'drove driven', 'write': 'wrote written', 'run': 'ran',
        'feed': 'fed', 'lead': 'led', 'blow': 'blew blown', 'fly': 'flew flown',
        'swing': 'swung', 'hang': 'hung', 'buy': 'bought', 'make': 'made', 'take': 'took taken',
        'give': 'gave given', 'break': 'broke broken', 'lie': 'lying', 'tie': 'tying',
        'untie': 'untying', 'die': 'dying', 'teach': 'taught', 'speak': 'spoke spoken',
        'carry': 'carries', 'do': 'does did done', 'go': 'goes went', 'dye': 'dyeing'}.items()
    for form in forms.split()}
_SILENT_E: FrozenSet[str] = frozenset(
    'guid divid provid combin examin defin prepar compar explor admir invit unit complet delet '
    'chang arrang exchang bath breath tast wast past salut nurtur typ hos'.split())
"""Stems whose base form ends in e although no rule below tells."""
_DOUBLE = re.compile(r'^(?:[^aeiou]|qu)*[aeiou][^aeiouwxy]$')
_E = re.compile(r'([cvu]|[^z]z|[^s]s|[^aeioulrw]l|[dr]g|[aeiou].*[^aeiou]at|'
                r'[aeiou].*[^aeiou]ur|[aeiou].*[aeiou]g)$')


def gerund(base: str) -> str:
    """Return 'riding' of 'ride', 'sitting on' of 'sit on'."""
    verb, _, rest = base.partition(' ')
    if verb.endswith('ie'):
        verb = f'{verb[:-2]}ying'
    elif verb.endswith('e') and not verb.endswith(('ee', 'oe', 'ye')) and verb != 'be':
        verb = f'{verb[:-1]}ing'
    elif _DOUBLE.match(verb):
        verb = f'{verb}{verb[-1]}ing'
    else:
        verb = f'{verb}ing'
    return f'{verb} {rest}' if rest else verb


def base_form(word: str) -> str:
    """Return 'ride' of 'riding', 'rides' and 'rode'; a base form stays as it is."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith('ing') and re.search('[aeiouy]', word[:-3]):
        return _from_stem(word[:-3])
    if word.endswith('ied') and len(word) > 4:
        return f'{word[:-3]}y'
    if word.endswith('ed') and not word.endswith('eed') and re.search('[aeiouy]', word[:-2]):
        return _from_stem(word[:-2])
    if word.endswith('ies') and len(word) > 4:
        return f'{word[:-3]}y'
    if word.endswith(('sses', 'shes', 'ches', 'xes', 'zzes')):
        return word[:-2]
    if word.endswith('s') and not word.endswith(('ss', 'us', 'is')) and len(word) > 3:
        return word[:-1]
    return word


def _from_stem(stem: str) -> str:
    """Return the base form of what precedes -ing or -ed."""
    twice = len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in 'aeioulsz'
    if twice and _DOUBLE.match(stem[:-1]):
        return stem[:-1]
    if stem in _SILENT_E or _DOUBLE.match(stem) or _E.search(stem):
        return f'{stem}e'
    return stem


def normal_verb(text: str) -> str:
    """Return the base form with its particles: 'Is sitting on' -> 'sit on'."""
    words = [word for word in text.lower().replace('_', ' ').split() if word not in AUXILIARIES]
    return ' '.join([base_form(words[0]), *words[1:]]) if words else ''


def normal_noun(text: str) -> str:
    """Return the noun in lower case without what stands before it: 'The Cup' -> 'cup'."""
    words = text.lower().replace('_', ' ').split()
    while words and words[0] in DETERMINERS:
        words = words[1:]
    return ' '.join(words)
