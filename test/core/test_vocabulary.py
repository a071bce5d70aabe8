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

from hoi_perception.core import parse_verbs, Verb, Vocabulary, VocabularyError
from hoi_perception.core.vocabulary import MAX_VERBS
import numpy as np
import pytest


def test_a_verb_alone_goes_with_every_object():
    assert parse_verbs(['ride']) == (Verb('ride'),)
    vocabulary = Vocabulary(('person', 'bicycle'), parse_verbs(['ride']))
    assert vocabulary.validity.all()


def test_objects_after_a_colon_restrict_the_verb():
    verb, = parse_verbs(['push: cart,  shopping   bag'])
    assert verb.objects == ('cart', 'shopping bag')
    vocabulary = Vocabulary(('person', 'bicycle', 'cart'), (verb,))
    assert vocabulary.validity.tolist() == [[False, False, True]]


def test_known_prompt_forms_are_kept_and_others_fall_back_to_the_name():
    known, new = parse_verbs(['ride', 'sit_on'], {'ride': 'riding'})
    assert (known.phrase, new.phrase) == ('riding', 'sit on')


@pytest.mark.parametrize('entries, said', [
    ([], 'empty'),
    ([''], 'is empty'),
    (['  '], 'is empty'),
    (['ride', ''], 'is empty'),
    (['push:'], 'is empty'),
    (['push: cart,,bag'], 'is empty'),
    (['ride', 'Ride'], 'twice'),
    (['a\nb'], 'U+000A'),
    (['a\tb'], 'U+0009'),
    (['zero\u200bwidth'], 'U+200B'),
    (['x' * 65], '65 characters'),
    ([f'verb {i}' for i in range(10000)], '10000 verbs'),
    ([f'verb {i}' for i in range(MAX_VERBS + 1)], f'at most {MAX_VERBS}'),
    ('ride', 'list of strings'),
    ([7], 'int'),
])
def test_bad_lists_are_refused_with_a_sentence(entries, said):
    with pytest.raises(VocabularyError, match='.') as caught:
        parse_verbs(entries)
    assert said in str(caught.value)


@pytest.mark.parametrize('template', [
    'a photo', '{verb', '{verb} {colour}', '{verb[0]} {0}', '{verb.__class__} {object.x}',
    '{verb}' + 'x' * 300])
def test_bad_templates_are_refused(template):
    with pytest.raises(VocabularyError):
        Vocabulary(('person',), (), template)


def test_the_validity_table_cannot_be_written():
    vocabulary = Vocabulary(('person',), parse_verbs(['ride']))
    with pytest.raises(ValueError, match='read-only'):
        vocabulary.validity[:] = False


def test_the_human_must_be_one_of_the_objects():
    with pytest.raises(VocabularyError, match='outside the 1 objects'):
        Vocabulary(('person',), (), human=1)


def test_equal_vocabularies_compare_equal():
    first, second = (Vocabulary(('person', 'cup'), parse_verbs(['hold: cup'])) for _ in range(2))
    assert first == second
    assert np.array_equal(first.validity, second.validity)
