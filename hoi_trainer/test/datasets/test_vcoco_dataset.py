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

"""V-COCO in both forms gives the same kind of pairs, with the official counts."""

import copy
import json

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import read_json
from hoi_perception.evaluation.datasets.vcoco_original import read_vcoco_original
from hoi_trainer.datasets import load_vcoco, vcoco_names
from hoi_trainer.datasets.check import check_data
from hoi_trainer.datasets.vcoco import read_ids, read_vcoco_json, vcoco_actions
import numpy as np
import pytest
from shared_data import golden_case, golden_files, require_shared

FOLDER = 'data/annotations/vcoco'


def test_the_names_have_the_official_counts():
    names = vcoco_names()
    assert (len(names.verbs), len(names.phrases), len(names.objects)) == (24, 24, 80)
    assert len(names.combinations) == 236 and names.objects[names.human] == 'person'
    roles = [f'{action} {role}' for action, others in vcoco_actions() for role in others]
    assert len(vcoco_actions()) == 26 and len(roles) == 25
    assert set(roles) - set(names.verbs) == {'point instr'}


def test_the_names_are_those_of_the_file():
    raw = read_json(require_shared(f'{FOLDER}/instances_vcoco_trainval.json'))
    names = vcoco_names()
    assert names.verbs == tuple(raw['classes']) and names.objects == tuple(raw['objects'][1:])
    assert {tuple(row) for row in names.combinations.tolist()} == {
        (verb, thing - 1) for verb, row in enumerate(raw['action_to_object']) for thing in row}


@pytest.mark.parametrize(('split', 'images', 'empty', 'pairs'), [
    ('train', 2533, 197, 6400), ('val', 2867, 234, 7417), ('trainval', 5400, 431, 13817),
    ('test', 4946, 414, 12402)])
def test_the_instances_form_has_the_official_counts(split, images, empty, pairs):
    path = require_shared(f'{FOLDER}/instances_vcoco_{split}.json')
    data = load_vcoco(path)
    assert len(data) == images
    assert sum(not len(record.verbs) for record in data.records) == empty
    assert data.class_counts().sum() == pairs
    assert check_data(path).problems == ()


def test_names_decide_whatever_the_order_of_the_lists():
    raw = read_json(require_shared(f'{FOLDER}/instances_vcoco_val.json'))
    raw['annotations'], raw['images'] = raw['annotations'][:1], raw['images'][:1]
    turned = copy.deepcopy(raw)
    turned['objects'].reverse()
    turned['annotations'][0]['objects'] = [80 - i for i in raw['annotations'][0]['objects']]
    read = [read_vcoco_json(value, 'x.json') for value in (raw, turned)]
    assert np.array_equal(read[0].objects, read[1].objects)
    assert [vcoco_names().objects[i] for i in read[0].objects] == [
        raw['objects'][i] for i in raw['annotations'][0]['objects']]


@pytest.mark.parametrize(('split', 'bare', 'nothing', 'point'), [
    ('train', 3433, 1700, 8), ('val', 3988, 1986, 13)])
def test_the_original_form_is_checked_without_boxes(split, bare, nothing, point):
    path = require_shared(f'{FOLDER}/original/vcoco_{split}.json')
    found = check_data(path, ids=path.with_suffix('.ids'))
    assert found.clean and {p.kind for p in found.problems} == {'boxes_unchecked', 'no_pairs'}
    assert found.tables[0].notes[0].startswith(
        f'26 actions; not pairs: {bare} people in actions without a role, {nothing} acting')
    assert f'left out: {point} of' in found.tables[0].notes[0]
    other = path.with_name('vcoco_val.ids' if split == 'train' else 'vcoco_train.ids')
    assert 'image_ids' in {p.kind for p in check_data(path, ids=other).problems}
    with pytest.raises(HoiError, match='has no boxes: give the COCO instances'):
        load_vcoco(path)


def test_the_original_form_with_boxes_for_all_gives_the_pairs_of_the_instances_form():
    """Boxes are made up, so that pairs, verbs and images can be compared, and counts are real."""
    raw = read_json(require_shared(f'{FOLDER}/original/vcoco_train.json'))
    instances = load_vcoco(require_shared(f'{FOLDER}/instances_vcoco_train.json'))
    images = sorted(set(raw[0]['image_id']))
    image_of, things = {}, set()
    for action in raw:
        count = len(action['image_id'])
        for i, thing in enumerate(action['role_object_id']):
            things.add(thing)
            image_of[thing] = action['image_id'][i % count]
    coco = {
        'categories': [{'id': i, 'name': name} for i, name in enumerate(vcoco_names().objects)],
        'images': [{'id': i, 'file_name': f'COCO_train2014_{i:012d}.jpg', 'width': 640,
                    'height': 480} for i in images],
        'annotations': [{'id': i, 'image_id': image_of[i], 'category_id': 0,
                         'bbox': [i % 97, i % 89, 10.5, 20]} for i in things if i]}
    table = read_vcoco_original(raw, 'vcoco_train.json', coco)
    assert not table.problems
    assert table.images == tuple(record.image for record in instances.records)
    assert len(table.verbs) == 6400
    verbs = np.concatenate([record.verbs for record in instances.records])
    assert np.bincount(table.verbs).tolist() == np.bincount(verbs).tolist()
    for index, record in enumerate(instances.records):
        assert sorted(table.verbs[table.record == index]) == sorted(record.verbs)


@pytest.mark.parametrize('path', golden_files('vcoco_eval/*_vcoco.json'))
def test_the_original_form_is_read_with_its_boxes(path, tmp_path):
    raw = read_json(golden_case(path))
    name = path.stem.replace('_vcoco', '')
    coco = read_json(path.with_name(f'{name}_coco.json'))
    for category, known in zip(coco['categories'][1:], vcoco_names().objects[1:]):
        category['name'] = known     # made-up names in the case
    place = tmp_path / 'coco.json'
    place.write_text(json.dumps(coco))
    data = load_vcoco(path, coco=place, ids=path.with_name(f'{name}_ids.txt'))
    wanted = [(action['image_id'][i % len(action['image_id'])], action['ann_id'][
        i % len(action['image_id'])], thing) for action in raw if action['action_name'] != 'point'
        for i, thing in enumerate(action['role_object_id'])
        if i >= len(action['image_id']) and thing and action['label'][i % len(action['image_id'])]]
    boxes = {a['id']: [a['bbox'][0], a['bbox'][1], a['bbox'][0] + a['bbox'][2],
                       a['bbox'][1] + a['bbox'][3]] for a in coco['annotations']}
    files = {image['id']: image['file_name'] for image in coco['images']}
    assert len(data) == len(read_ids(path.with_name(f'{name}_ids.txt')))
    got = sorted((record.image, *human, *thing) for record in data.records for human, thing in zip(
        record.human_boxes.tolist(), record.object_boxes.tolist()))
    assert np.allclose([row[1:] for row in got], [row[1:] for row in sorted(
        (files[image], *map(float, np.float32(boxes[person] + boxes[thing])))
        for image, person, thing in wanted)])


@pytest.mark.parametrize(('change', 'kind'), [
    (lambda raw: raw[0]['label'].pop(), 'pair_count'),
    (lambda raw: raw[0].update(label=[2] * len(raw[0]['label'])), 'label_invalid'),
    (lambda raw: raw[3].update(action_name='swim'), 'action_unknown'),
    (lambda raw: raw[3].update(role_name=['agent']), 'action_unknown'),
    (lambda raw: raw.pop(), 'action_missing'),
    (lambda raw: raw[2].update(ann_id=raw[2]['ann_id'][::-1]), 'people_differ'),
    (lambda raw: raw[2].update(ann_id='all'), 'index_malformed')])
def test_a_broken_original_is_named(write, change, kind):
    raw = [{'action_name': action, 'role_name': ['agent', *roles], 'image_id': [5, 6],
            'ann_id': [50, 60], 'label': [1, 0], 'role_object_id': [50, 60] + [0, 0] * len(roles)}
           for action, roles in vcoco_actions()]
    assert check_data(write(raw)).clean
    change(raw)
    found = check_data(write(raw))
    assert not found.clean and kind in {p.kind for p in found.problems}


@pytest.mark.parametrize(('change', 'kind'), [
    (lambda raw: raw['annotations'][0]['actions'].pop(), 'pair_count'),
    (lambda raw: raw['annotations'][0]['actions'].__setitem__(0, 24), 'verb_out_of_range'),
    (lambda raw: raw['annotations'][0]['objects'].__setitem__(0, 81), 'object_out_of_range'),
    (lambda raw: raw['annotations'][0]['objects'].__setitem__(0, 0), 'name_unknown'),
    (lambda raw: raw['classes'].__setitem__(3, 'swim obj'), 'name_unknown'),
    (lambda raw: raw['annotations'][0]['boxes_h'].__setitem__(0, [9, 9, 3, 12]), 'box_inside_out'),
    (lambda raw: raw['annotations'][0]['boxes_h'].__setitem__(0, [9, 9, 9, 12]), 'box_empty'),
    (lambda raw: raw['annotations'][0].pop('file_name'), 'name_malformed'),
    (lambda raw: raw['images'].reverse(), 'image_ids')])
def test_a_broken_instances_file_is_named(write, change, kind):
    names = vcoco_names()
    raw = {'classes': list(names.verbs), 'objects': ['background', *names.objects],
           'images': [9, 10], 'annotations': [
               {'file_name': 'COCO_train2014_000000000009.jpg', 'boxes_h': [[1, 2, 30, 40]] * 2,
                'boxes_o': [[5, 5, 9.5, 9]] * 2, 'actions': [0, 3], 'objects': [74, 74]},
               {'file_name': 'COCO_train2014_000000000010.jpg', 'boxes_h': [], 'boxes_o': [],
                'actions': [], 'objects': []}]}
    assert check_data(write(raw)).problems == ()
    change(raw)
    found = check_data(write(raw))
    assert not found.clean and kind in {p.kind for p in found.problems}
