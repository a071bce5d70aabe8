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

"""Words in and out of their base form, answers of models, and teachers without one."""

import json
from pathlib import Path

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets import names as names_module
from hoi_trainer.datasets.synthetic import load_synthetic
from hoi_trainer.synthetic import generate
from hoi_trainer.synthetic.vocabulary import NO_INTERACTION, PHRASES, VERBS
from hoi_trainer.teaching.parsing import fault, interactions_in, LONGEST, parse_answer
from hoi_trainer.teaching.records import TeacherRecord
from hoi_trainer.teaching.teachers import (
    AnnotatedLabels,
    CaptionFile,
    NoisyCaptioner,
    RecordFile,
)
from hoi_trainer.teaching.words import base_form, gerund, normal_noun, normal_verb
import pytest

HICO = json.loads((Path(names_module.__file__).parent / 'hico_det_names.json').read_text())


@pytest.fixture(name='dataset', scope='module')
def _dataset(tmp_path_factory):
    directory = tmp_path_factory.mktemp('said')
    generate('train', 24, directory / 'train', 1)
    return load_synthetic(directory / 'train')


def test_verbs_of_hico_and_of_the_synthetic_world_survive_their_gerund():
    for verb in [*HICO['verbs'], *VERBS[:NO_INTERACTION]]:
        base = verb.replace('_', ' ')
        if base != 'no interaction':
            assert normal_verb(base) == base
            assert normal_verb(gerund(base)) == base, gerund(base)
    assert [gerund(normal_verb(phrase)) for phrase in PHRASES[:NO_INTERACTION]] == list(
        PHRASES[:NO_INTERACTION])


@pytest.mark.parametrize('form, base', [
    ('rode', 'ride'), ('rides', 'ride'), ('Is Riding', 'ride'), ('carries', 'carry'),
    ('carried', 'carry'), ('brushes', 'brush'), ('kicked', 'kick'), ('stopped', 'stop'),
    ('swing', 'swing'), ('press', 'press'), ('to be sitting on', 'sit on'), ('decorating',
                                                                             'decorate'),
    ('juggling', 'juggle'), ('waving at', 'wave at'), ('feed', 'feed'), ('is', '')])
def test_forms_of_a_verb_count_as_one(form, base):
    assert normal_verb(form) == base


def test_words_before_a_noun_do_not_count():
    assert normal_noun('The  Tennis_Racket') == 'tennis racket' and normal_noun('a') == ''
    assert base_form('bring') == 'bring'


@pytest.mark.parametrize('answer, pairs', [
    ('*Swing, Baseball Bat.', [('swing', 'baseball bat')]),
    ('- riding, the bicycle\n- Holding, a cup\n- rides, bicycle', [('ride', 'bicycle'),
                                                                   ('hold', 'cup')]),
    ('1. man, sit on, chair; 2) Woman, Hugging, man', [('sit on', 'chair'), ('hug', 'person')]),
    ('(wash, car)', [('wash', 'car')]), ('none, none', []), ('riding a bicycle', []),
    ('a very long story of a verb, cup', []), ('123, 456', []), ('', []),
    ('interaction, object', [])])
def test_answers_become_pairs_of_verb_and_object(answer, pairs):
    assert [(each.verb, each.object) for each in parse_answer(answer)] == pairs


@pytest.mark.parametrize('text, cause', [
    ('A man is riding a bicycle.', ''), ('', 'empty'), ('  .. 12 \n', 'empty'),
    ('a' * (LONGEST + 1), 'too_long'), ('Мужчина едет на велосипеде', 'other_language'),
    ('男の人が自転車に乗っています', 'other_language'), ('رجل يركب دراجة', 'other_language'),
    ('Un homme est sur le vélo avec une femme', 'other_language'),
    ('Una mujer que lleva el vaso en la mano', 'other_language'),
    ('A café owner in a van holds the cup', ''), ('riding, bicycle', '')])
def test_texts_that_cannot_be_used_have_a_cause(text, cause):
    assert fault(text) == cause


def test_captions_are_read_without_a_model():
    text = 'A man is riding a red bicycle and a woman sitting on the chair, holding a cup of tea.'
    assert [(each.verb, each.object) for each in interactions_in(text)] == [
        ('ride', 'red bicycle'), ('sit on', 'chair'), ('hold', 'cup')]
    assert interactions_in('A king and a ring in the morning.') == ()


def test_a_captioner_without_faults_says_what_is_annotated_but_not_where(dataset):
    exact, noisy = AnnotatedLabels().label(dataset), NoisyCaptioner(0, 0).label(dataset)
    assert len(exact) == len(noisy) == len(dataset)
    for left, right in zip(exact, noisy):
        assert {(each.verb, each.object) for each in left.interactions} == {
            (each.verb, each.object) for each in right.interactions}
        assert left.caption == right.caption
        assert all(each.human_box and each.object_box for each in left.interactions)
        assert not any(each.human_box or each.object_box for each in right.interactions)


def test_a_noisy_captioner_errs_at_its_rates_and_always_alike(dataset):
    def said(drop, false, seed=0):
        return [{(each.verb, each.object) for each in record.interactions}
                for record in NoisyCaptioner(drop, false, seed).label(dataset)]
    truth = said(0, 0)
    assert said(0.5, 0.3) == said(0.5, 0.3) != said(0.5, 0.3, 1)
    assert not any(said(1, 0))
    dropped = sum(len(a - b) for a, b in zip(truth, said(0.5, 0)))
    false = sum(len(b - a) for a, b in zip(truth, said(0, 0.5)))
    total = sum(map(len, truth))
    assert 0.25 * total < dropped < 0.75 * total and 0.2 * total < false < 0.75 * total
    assert all(a <= b for a, b in zip(truth, said(0, 0.5)))
    with pytest.raises(HoiError, match='chances in 0..1'):
        NoisyCaptioner(1.5)


def _file(records: list, path: Path) -> Path:
    header = {'format': 'hoi_teacher_labels', 'version': 1, 'source': 'x'}
    path.write_text('\n'.join([json.dumps(header), *(each.to_json() for each in records), '']))
    return path


def test_files_of_records_come_in_the_order_of_the_images(dataset, tmp_path):
    records = AnnotatedLabels().label(dataset)
    path = _file(list(records[:5:-1]), tmp_path / 'labels.jsonl')
    found = RecordFile(str(path)).label(dataset)
    assert found[6:] == records[6:] and {each.dropped for each in found[:6]} == {'empty'}


def test_files_of_captions_are_read_by_rules(dataset, tmp_path):
    path = tmp_path / 'captions.json'
    path.write_text(json.dumps({'0': 'a person riding a bicycle', '2': ''}))
    found = CaptionFile(str(path)).label(dataset)
    assert found[0].interactions[0].verb == 'ride'
    assert [each.dropped for each in found[1:3]] == ['empty', 'empty']


@pytest.mark.parametrize('content, words', [
    ('', 'header'), ('[]\n', 'header'), ('{"a": \n', 'line 1, is no JSON'),
    ('HEADER\n{"image": "0"}', 'line 2'),
    ('HEADER\n' + json.dumps({'image': '0', 'caption': '', 'source': 'x', 'interactions': [
        {'verb': 'ride', 'object': 'bicycle', 'confidence': 3}]}), 'confidence must lie'),
    ('HEADER\n' + TeacherRecord('far away', '', (), 'x').to_json(), 'do not belong together')])
def test_files_that_are_no_records_of_these_images_end_in_a_sentence(content, words, dataset,
                                                                      tmp_path):
    path = tmp_path / 'labels.jsonl'
    header = '{"format": "hoi_teacher_labels", "version": 1}'
    path.write_text(content.replace('HEADER', header))
    with pytest.raises(HoiError, match=words):
        RecordFile(str(path)).label(dataset)
    with pytest.raises(HoiError, match='cannot be read|must be a mapping'):
        CaptionFile(str(path)).label(dataset)
