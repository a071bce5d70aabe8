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

"""Questions by point, box and phrase, and what is answered to bad ones."""

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import Instances, Mask, MaskKind, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.runtime.query import ask_box, ask_phrase, ask_point, instance_for, is_seen
import numpy as np
import pytest

WORDS = Vocabulary(
    ('person', 'cup', 'wine glass', 'bicycle', 'apple'),
    (Verb('hold', ('cup', 'wine glass'), 'holding'), Verb('ride', None, 'riding'),
     Verb('sit_on', None, 'sitting on'), Verb('carry'), Verb('hug', ('person',), 'hugging'),
     Verb('sit', None, 'sitting'), Verb('walk', None, 'walking')))
# Person 11 holds cup 12 and rides bicycle 13, person 14 hugs person 11 and walks; the person
# without an id may hold the cup.
SCENE = Scene(
    640, 480, WORDS,
    Instances([(100, 50, 200, 350), (180, 150, 220, 190), (60, 200, 300, 400),
               (210, 60, 330, 380), (500, 100, 560, 300), (600, 440, 630, 470)],
              np.full(6, 0.9), [0, 1, 3, 0, 0, 4], [11, 12, 13, 14, 0, 0]),
    Triplets([0, 0, 3, 3, 4, 0], [1, 2, 0, NONE, 1, 3], [0, 1, 4, 6, 0, 3],
             [0.9, 0.8, 0.7, 0.1, 0.6, 0.05], [21, 22, 0, 23, 0, 0]))
LEAST = 0.3


def told(answer):
    """Return the answering triplets as (human, verb name, object)."""
    t = answer.scene.triplets
    return [(int(h), WORDS.verb_names[v], int(o)) for h, v, o in zip(t.human, t.verb, t.object)]


@pytest.mark.parametrize('x, y, expected, words', [
    (110, 60, [(0, 'hold', 1), (0, 'ride', 2), (3, 'hug', 0)],
     'person 11 is holding cup 12 (0.90); person 11 is riding bicycle 13 (0.80); '
     'person 14 is hugging person 11 (0.70).'),
    (190, 160, [(0, 'hold', 1), (4, 'hold', 1)],
     'person 11 is holding cup 12 (0.90); a person is holding cup 12 (0.60).'),
    (70, 390, [(0, 'ride', 2)], 'person 11 is riding bicycle 13 (0.80).'),
    (320, 70, [(3, 'hug', 0), (3, 'walk', NONE)],
     'person 14 is hugging person 11 (0.70); person 14 is walking (0.10).'),
    (615, 450, [], 'nobody is doing anything with an apple.'),
    (10, 10, [], 'nothing is at (10, 10).'),
    (640, 480, [], 'nothing is at (640, 480).')])
def test_a_point_asks_about_the_smallest_instance_there(x, y, expected, words):
    answer = ask_point(SCENE, x, y, LEAST)
    assert told(answer) == expected
    assert answer.words == words
    assert answer.scene.instances is SCENE.instances


def test_an_instance_whose_mask_covers_the_point_goes_first():
    masks = (Mask(MaskKind.INSTANCE, 2, 60, 200, np.ones((200, 240), bool)),
             Mask(MaskKind.INSTANCE, 0, 100, 50, np.zeros((300, 100), bool)),
             Mask(MaskKind.UNION, 0, 0, 0, np.ones((480, 640), bool)))
    scene = Scene(640, 480, WORDS, SCENE.instances, SCENE.triplets, masks)
    answer = ask_point(scene, 150, 300, LEAST)
    assert told(answer) == [(0, 'ride', 2)]
    assert {mask.kind for mask in answer.scene.masks} == {MaskKind.INSTANCE}
    assert told(ask_point(SCENE, 150, 300, LEAST))[0] == (0, 'hold', 1)


def test_masks_of_the_triplets_that_answer_come_along_with_their_new_index():
    masks = [Mask(MaskKind.INSTANCE, 2, 60, 200, np.ones((200, 240), bool))]
    masks += [Mask(kind, owner, 0, 0, np.full((9, 9 + owner), True))
              for owner in range(6) for kind in (MaskKind.UNION, MaskKind.INTERSECTION)]
    scene = Scene(640, 480, WORDS, SCENE.instances, SCENE.triplets, tuple(masks))
    answer = ask_box(scene, (205, 55, 335, 385), LEAST).scene
    told_by = [SCENE.triplets.scores.tolist().index(score) for score in answer.triplets.scores]
    for mask in answer.masks[1:]:
        assert mask.bitmap.shape[1] - 9 == told_by[mask.owner]
    assert len(answer.masks) == 1 + 2 * len(told_by) and told_by == [2, 3]


@pytest.mark.parametrize('prompt, expected', [
    ((20, 20), 1), ((5, 5), 0), ((300, 300), NONE), ((0, 0, 99, 99), 0), ((21, 21, 39, 40), 1),
    ((200, 200, 220, 220), NONE), (1, 1), (0, 0), (3, NONE)])
def test_a_point_box_or_class_finds_what_is_there_however_low_its_score(prompt, expected):
    found = Instances([[0, 0, 100, 100], [20, 20, 40, 40]], [0.04, 0.05], [0, 1])
    assert instance_for(found, prompt) == expected
    assert instance_for(Instances.empty(), prompt) == NONE


@pytest.mark.parametrize('prompt', [(), (1, 2, 3), (1, float('nan')), (0, 0, float('inf'), 9)])
def test_what_is_no_point_and_no_box_is_refused(prompt):
    with pytest.raises(HoiError, match='neither a point'):
        instance_for(SCENE.instances, prompt)


@pytest.mark.parametrize('x, y', [(-1, 5), (5, 481), (float('nan'), 5), (5, float('inf'))])
def test_a_point_outside_the_image_is_refused(x, y):
    with pytest.raises(HoiError, match='not in the image of 640 x 480'):
        ask_point(SCENE, x, y, LEAST)


@pytest.mark.parametrize('box, expected', [
    ((205, 55, 335, 385), [(3, 'hug', 0), (3, 'walk', NONE)]),
    ((175, 145, 225, 195), [(0, 'hold', 1), (4, 'hold', 1)]),
    ((400, 10, 420, 30), []), ((0, 0, 640, 480), [(0, 'ride', 2)])])
def test_a_box_asks_about_the_instance_that_fits_it_best(box, expected):
    assert told(ask_box(SCENE, box, LEAST)) == expected


@pytest.mark.parametrize('box', [
    (5, 5, 5, 9), (9, 9, 5, 5), (0, 0, float('nan'), 9), (0, 0, float('inf'), 9)])
def test_a_box_without_area_is_refused(box):
    with pytest.raises(HoiError, match='cannot be used'):
        ask_box(SCENE, box, LEAST)


@pytest.mark.parametrize('phrase, expected', [
    *((phrase, [(0, 'hold', 1), (4, 'hold', 1)]) for phrase in (
        'hold cup', 'who: hold cup', 'Who holds a cup?', 'who is holding the cup', 'HOLD  CUP',
        'person hold cup', 'somebody holding a cup', 'cup', 'a cup', 'hold')),
    ('ride', [(0, 'ride', 2)]), ('riding a bicycle', [(0, 'ride', 2)]),
    ('hug person', [(3, 'hug', 0)]), ('person hugs person', [(3, 'hug', 0)]),
    ('person', [(3, 'hug', 0)]), ('who walks', [(3, 'walk', NONE)]),
    ('hold wine glass', []), ('sits on bicycle', []), ('sit_on', []), ('sit', []),
    ('carries an apple', [])])
def test_phrases_are_understood(phrase, expected):
    assert told(ask_phrase(SCENE, phrase, LEAST)) == expected


@pytest.mark.parametrize('phrase, words', [
    ('hold wine glass', 'nobody is holding a wine glass.'),
    ('sits on bicycle', 'nobody is sitting on a bicycle.'), ('sit', 'nobody is sitting.'),
    ('apple', 'nobody is doing anything with an apple.')])
def test_that_nobody_does_it_is_an_answer(phrase, words):
    assert ask_phrase(SCENE, phrase, LEAST).words == words


@pytest.mark.parametrize('phrase, reason', [
    ('', 'says nothing'), ('  ?! ', 'says nothing'), ('the', 'says nothing'),
    ('who', 'begins with no verb'), ('juggle cup', 'begins with no verb'),
    ('holt cup', "did you mean 'hold'"), ('hold cupp', "did you mean 'cup'"),
    ('hold zebra', "'zebra' in the phrase"), ('hold bicycle', 'not looked for with'),
    ('x' * 300, '300 characters'), ('\x00', 'says nothing')])
def test_a_phrase_that_cannot_be_answered_is_refused_with_a_sentence(phrase, reason):
    with pytest.raises(HoiError) as error:
        ask_phrase(SCENE, phrase, LEAST)
    assert reason in str(error.value)
    assert '\x00' not in str(error.value)


@pytest.mark.parametrize('prompt, seen', [
    ((110, 60), True), ((10, 10), False), ((175, 145, 225, 195), True),
    ((185, 155, 195, 165), False), ('hold cup', True), ('hold wine glass', False),
    ('wine glass', False), ('hold', True), ('sit', True)])
def test_what_a_prompt_means_is_in_the_scene_or_has_to_be_looked_for(prompt, seen):
    assert is_seen(SCENE, prompt) == seen


def test_a_score_counts_only_without_an_id():
    assert told(ask_phrase(SCENE, 'hold', 0.95)) == [(0, 'hold', 1)]
    assert (0, 'carry', 3) in told(ask_point(SCENE, 320, 70, 0.01))


def test_an_empty_scene_is_answered():
    empty = Scene(640, 480, WORDS)
    assert ask_point(empty, 5, 5, LEAST).words.startswith('nothing')
    assert ask_box(empty, (0, 0, 9, 9), LEAST).words.startswith('nothing')
    assert ask_phrase(empty, 'hold cup', LEAST).words == 'nobody is holding a cup.'
