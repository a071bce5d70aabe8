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

"""HICO-DET JSON: official counts, boxes from 0, and no object order taken for the other."""

import tarfile

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import read_json
from hoi_perception.evaluation.datasets.hico_names import no_interaction_classes, training_counts
from hoi_perception.evaluation.datasets.object_order import index_in
from hoi_trainer.datasets import hico_names, load_hico, load_split, rare_classes, seen_only
import numpy as np
import pytest
from shared_data import require_shared

FOLDER = 'data/annotations/hicodet'
EDITIONS = {'coco': 'instances_test2015.json',
            'hico': 'instances_test2015_fredzzhang_upstream.json'}


@pytest.fixture(scope='module')
def test_sets():
    return {order: load_hico(require_shared(f'{FOLDER}/{name}'))
            for order, name in EDITIONS.items()}


@pytest.fixture(scope='module')
def hake(tmp_path_factory):
    archive = require_shared(f'{FOLDER}/hake_hico-det-instance-level.tar.gz')
    path = tmp_path_factory.mktemp('hake') / 'hake.json'
    with tarfile.open(archive) as tar:
        member = next(m for m in tar if m.name.endswith('.json'))
        path.write_bytes(tar.extractfile(member).read())
    return load_hico(path)


def test_the_names_have_the_official_counts():
    names = hico_names()
    assert (len(names.combinations), len(names.verbs), len(names.objects)) == (600, 117, 80)
    assert len(names.phrases) == 117 and names.objects[names.human] == 'person'
    assert len(rare_classes()) == 138 and len(no_interaction_classes()) == 80
    assert training_counts().shape == (600,) and (training_counts() > 0).all()
    assert (names.class_table() >= 0).sum() == 600


@pytest.mark.parametrize(('verb', 'phrase'), [
    ('ride', 'riding'), ('sit_on', 'sitting on'), ('control', 'controling'),
    ('hit', 'hiting'), ('no_interaction', 'and')])
def test_phrases_are_spelled_as_in_the_official_prompts(verb, phrase):
    names = hico_names()
    assert names.phrases[names.verbs.index(verb)] == phrase


def test_no_object_has_the_same_index_in_both_orders():
    coco, hico = index_in('coco'), index_in('hico')
    assert sorted(coco) == sorted(hico) == list(range(80))
    assert (coco != hico).all() and (coco[0], hico[0]) == (0, 49)


def test_the_names_are_those_of_the_lists():
    table = read_json(require_shared('data/lists/hico_600_table.json'))
    names = hico_names()
    assert [(names.verbs[v], names.objects[o]) for v, o in names.combinations] == [
        (row['verb'].replace(' ', '_'), row['object']) for row in table]
    assert training_counts().tolist() == [row['train_count'] for row in table]
    assert rare_classes().tolist() == [row['hoi_id'] for row in table if row['rare']]


def test_prompts_of_the_lists_contain_our_phrases():
    prompts = read_json(require_shared('data/lists/hico_lists.json'))['verb_prompts']
    names = hico_names()
    assert [p for p in prompts if 'no interaction' not in p] == [
        f'a photo of a person is {phrase} the object'
        for verb, phrase in zip(names.verbs, names.phrases) if verb != 'no_interaction']


def test_the_test_set_has_the_official_counts(test_sets):
    for data in test_sets.values():
        assert len(data) == 9658
        assert sum(not len(record.verbs) for record in data.records) == 112
        table = read_json(require_shared('data/lists/hico_600_table.json'))
        assert data.class_counts().tolist() == [row['test_count'] for row in table]


def test_both_editions_become_the_same_data(test_sets):
    for one, other in zip(test_sets['coco'].records, test_sets['hico'].records):
        assert (one.image, one.width, one.height) == (other.image, other.width, other.height)
        for field in ('human_boxes', 'object_boxes', 'objects', 'verbs'):
            assert np.array_equal(getattr(one, field), getattr(other, field))


def test_only_the_first_corner_of_a_box_moves(test_sets):
    record = test_sets['coco'].records[0]
    assert record.human_boxes.dtype == np.float32 and record.objects.dtype == np.int64
    raw = read_json(require_shared(f'{FOLDER}/{EDITIONS["coco"]}'))['annotation'][0]
    assert np.array_equal(record.human_boxes, np.array(raw['boxes_h']) - [1, 1, 0, 0])
    assert np.array_equal(record.object_boxes, np.array(raw['boxes_o']) - [1, 1, 0, 0])
    assert test_sets['coco'].names.objects[record.objects[0]] == 'bench'


def test_hake_counts_hoi_classes_from_one(hake):
    table = read_json(require_shared('data/lists/hico_600_table.json'))
    assert len(hake) == 38118
    assert hake.class_counts().tolist() == [row['train_count_hake'] for row in table]
    assert np.flatnonzero(hake.class_counts() < 10).tolist() == rare_classes().tolist()
    assert sum(not record.width for record in hake.records) == 485


def test_training_images_of_rare_first_are_as_many_as_lain_has(hake):
    assert len(seen_only(hake, load_split('rf_uc'))) == 37528


def test_a_true_order_may_be_stated_and_a_false_one_is_refused(hico_json, write):
    path = write(hico_json('hico'))
    assert load_hico(path, object_order='hico').class_counts().sum() == 3
    with pytest.raises(HoiError, match="'coco' was asked for.*hico 3 of 3"):
        load_hico(path, object_order='coco')
    with pytest.raises(HoiError, match='alphabetical'):
        load_hico(path, object_order='alphabetical')


@pytest.mark.parametrize('order', ['coco', 'hico'])
@pytest.mark.parametrize('gone', [(), ('objects',), ('correspondence',),
                                  ('objects', 'correspondence')])
def test_annotated_pairs_alone_tell_the_order(hico_json, write, order, gone):
    raw = {key: value for key, value in hico_json(order).items() if key not in gone}
    data = load_hico(write(raw))
    assert [data.names.objects[i] for r in data.records for i in r.objects] == [
        'airplane', 'airplane', 'zebra']


def test_an_order_without_evidence_is_refused_unless_it_is_stated(hico_json, write):
    raw = hico_json()
    for row in raw['annotation']:
        row.update({key: [] for key in row})
    raw.update(empty=[0, 1, 2])
    del raw['objects'], raw['correspondence']
    with pytest.raises(HoiError, match='nothing in it tells'):
        load_hico(write(raw))
    assert len(load_hico(write(raw), object_order='hico')) == 3


@pytest.mark.parametrize('source', ['objects', 'correspondence'])
def test_contradicting_evidence_is_refused_unless_the_pairs_agree_with_the_caller(
        hico_json, write, source):
    path = write({**hico_json('coco'), source: hico_json('hico')[source]})
    with pytest.raises(HoiError, match=f'contradict each other.*list {source}: coco 0, hico'):
        load_hico(path)
    assert len(load_hico(path, object_order='coco')) == 3
    with pytest.raises(HoiError, match="'hico' was asked for"):
        load_hico(path, object_order='hico')


def test_half_of_the_pairs_in_the_other_order_is_no_order(hico_json, write):
    raw = hico_json()
    del raw['objects'], raw['correspondence']
    raw['annotation'][0]['object'] = hico_json('hico')['annotation'][0]['object']
    raw['annotation'][1]['object'] = [7]
    with pytest.raises(HoiError, match='pair 0: object is not that of HOI class 599|contradict'):
        load_hico(write(raw))


def test_a_single_pair_with_another_object_is_named(hico_json, write):
    raw = hico_json()
    raw['annotation'][1]['object'] = [5]
    with pytest.raises(HoiError, match=r'b.jpg, pair 0: object.*class 599: got 5, expected 22'):
        load_hico(write(raw))


@pytest.mark.parametrize('raw', [[], {}, {'annotation': [], 'filenames': ['a'], 'size': []}, 3])
def test_other_json_is_refused(write, raw):
    with pytest.raises(HoiError, match='no HICO-DET|one length'):
        load_hico(write(raw))
