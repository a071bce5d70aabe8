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

"""Ground truth from every source, and sentences about what is wrong with it."""

import csv
import json

from bags import demo_bag, ground_truth_message, header
from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.hico_names import hico_names
from hoi_perception.evaluation.datasets.object_order import index_in
from hoi_perception.evaluation.triplet_map import named_triplets
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import DETECTIONS, MASKS
from hoi_perception.replay.truth import open_truth
from hoi_perception.replay.truth.own import COLUMNS
import numpy as np
from pycocotools import mask as coco
import pytest
from shared_data import require_shared

PERSON, BIKE, CUP = [10, 20, 60, 90], [12, 50, 70, 95], [30, 30, 40, 40]


def _read(source, *bags):
    readers = [BagReader(bag) for bag in bags]
    try:
        return open_truth(source, readers)
    finally:
        for reader in readers:
            reader.close()


def _said(scene):
    """Return every triplet as (verb, object, human box, object box)."""
    boxes, found = scene.instances.boxes.tolist(), scene.triplets
    return sorted((*name, boxes[human], None if thing < 0 else boxes[thing])
                  for name, human, thing in zip(named_triplets(scene), found.human.tolist(),
                                                found.object.tolist()))


def _write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


# Topics of the bag


def test_the_bag_brings_its_own_truth(tmp_path):
    truth = _read(None, demo_bag(tmp_path / 'bag', 3))
    scene = truth.scene((100, 200_000_000, 'camera'))
    assert _said(scene) == [('ride', 'bicycle', PERSON, BIKE)]
    assert (scene.width, scene.height) == (128, 96)
    assert truth.scene((100, 1, 'camera')) is None
    assert truth.name == 'topic /ground_truth' and len(truth.digest) == 64


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_truth_of_several_bags_is_one(tmp_path, storage):
    bags = [demo_bag(tmp_path / str(i), 2, storage, period_ns=(i + 1) * 10**8) for i in (1, 2)]
    truth = _read('/ground_truth', *bags)
    keys = [(100, ns, 'camera') for ns in (0, 2 * 10**8, 3 * 10**8, 5)]
    assert truth.coverage(keys) == (3, 1, 0, 0)
    assert 'annotated already' in truth.notes[0] and truth.notes[0].startswith('1 ')


def test_a_bag_without_truth_has_none(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write('/hoi/detections', DETECTIONS, 1, ground_truth_message(writer, 1, 0))
    assert _read(None, tmp_path / 'bag') is None
    assert _read('/hoi/detections', tmp_path / 'bag').scene((1, 0, 'camera')) is not None


def _masks(writer, owner):
    bitmap = np.zeros((5, 4), np.uint8, order='F')
    bitmap[1:, :2] = 1
    data = np.frombuffer(coco.encode(bitmap)['counts'], np.uint8)
    return writer.message(MASKS, header=header(writer, 1, 0), frame_seq=0, width=128, height=96,
                          masks=[writer.message('hoi_msgs/msg/Mask', kind=0, owner=owner, x=11,
                                                y=22, width=4, height=5, encoding=0, data=data)])


@pytest.mark.parametrize(('topic', 'beside'), [
    ('/ground_truth', '/ground_truth_masks'), ('/ground_truth', '/ground_truth/masks'),
    ('/ground_truth/detections', '/ground_truth/masks')])
def test_masks_come_from_the_topic_beside(tmp_path, topic, beside):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write(topic, DETECTIONS, 1, ground_truth_message(writer, 1, 0))
        writer.write(beside, MASKS, 1, _masks(writer, 1))
    mask = _read(None, tmp_path / 'bag').scene((1, 0, 'camera')).mask_of(1)
    assert (mask.x, mask.y, mask.bitmap.shape, mask.bitmap.sum()) == (11, 22, (5, 4), 8)


def test_masks_of_instances_that_are_not_there_are_refused(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write('/ground_truth', DETECTIONS, 1, ground_truth_message(writer, 1, 0))
        writer.write('/ground_truth_masks', MASKS, 1, _masks(writer, 7))
    with pytest.raises(HoiError, match='number 7, expected one of the 2'):
        _read(None, tmp_path / 'bag').scene((1, 0, 'camera'))


def test_triplets_of_instances_that_are_not_there_are_refused(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        message = ground_truth_message(writer, 1, 5)
        message.triplets[0].object = 2
        writer.write('/ground_truth', DETECTIONS, 1, message)
    with pytest.raises(HoiError, match='1.000000005: triplet 0 names instances 0 and 2'):
        _read(None, tmp_path / 'bag')


@pytest.mark.parametrize(('source', 'sentence'), [
    ('/nothing', 'neither a file nor a topic of the bags; .*: /ground_truth'),
    ('/camera/image/compressed', 'is of sensor_msgs/msg/CompressedImage, expected hoi_msgs')])
def test_what_is_no_truth_is_refused(tmp_path, source, sentence):
    with pytest.raises(HoiError, match=sentence):
        _read(source, demo_bag(tmp_path / 'bag', 1))


# Our own JSON and CSV

OWN = {'format': 'hoi_truth', 'version': 1, 'frames': [
    {'stamp': '100.2', 'width': 128, 'height': 96, 'interactions': [
        {'human': PERSON, 'verb': 'ride', 'object_class': 'bicycle', 'object': BIKE,
         'human_track': 4, 'object_track': 5},
        {'human': PERSON, 'verb': 'hold', 'object_class': 'cup', 'object': CUP,
         'human_track': 4}]},
    {'frame_id': 'a.jpg', 'interactions': [{'human': PERSON, 'verb': 'walk'}]},
    {'stamp': '100', 'frame_id': 'left', 'interactions': []}]}


def _rows(frames):
    for frame in frames:
        head = {key: value for key, value in frame.items() if key != 'interactions'}
        for one in frame['interactions'] or [{}]:
            row = {**head, **{key: value for key, value in one.items()
                              if key not in ('human', 'object')}}
            for who in ('human', 'object'):
                row.update(zip((f'{who}_{side}' for side in ('x1', 'y1', 'x2', 'y2')),
                               one.get(who, ())))
            yield row


def _own(path, form):
    if form == 'json':
        return _write(path / 'truth.json', OWN)
    with (path / 'truth.csv').open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(_rows(OWN['frames']))
    return str(path / 'truth.csv')


@pytest.mark.parametrize('form', ['json', 'csv'])
def test_frames_are_found_by_stamp_by_frame_id_or_by_both(tmp_path, form):
    truth = _read(_own(tmp_path, form))
    ride = truth.scene((100, 200_000_000, 'any camera'))
    assert _said(ride) == [('hold', 'cup', PERSON, CUP), ('ride', 'bicycle', PERSON, BIKE)]
    assert sorted(ride.instances.track_ids.tolist()) == [0, 4, 5] and ride.width == 128
    assert _said(truth.scene((7, 7, 'a.jpg'))) == [('walk', '', PERSON, None)]
    assert len(truth.scene((100, 0, 'left')).triplets) == 0
    assert truth.scene((100, 0, 'right')) is None


@pytest.mark.parametrize('form', ['json', 'csv'])
def test_frames_and_annotations_that_do_not_meet_are_counted(tmp_path, form):
    truth = _read(_own(tmp_path, form))
    found = truth.coverage([(1, 0, 'a.jpg'), (2, 0, 'a.jpg'), (3, 0, 'b.jpg')])
    assert found == (2, 1, 2, 1)
    assert len(found.sentences()) == 3 and 'no annotation' in found.sentences()[0]
    assert truth.coverage([(0, 0, 'a.jpg')])._replace(unused=0).sentences() == []


def test_a_frame_that_is_annotated_twice_keeps_the_first_and_is_told(tmp_path):
    raw = {**OWN, 'frames': [OWN['frames'][1], {**OWN['frames'][1], 'interactions': []}]}
    truth = _read(_write(tmp_path / 't.json', raw))
    assert len(truth.scene((0, 0, 'a.jpg')).triplets) == 1 and '1 annotations' in truth.notes[0]


def _changed(**changes):
    return {**OWN, 'frames': [{**OWN['frames'][1], **changes}]}


def _interaction(**changes):
    return _changed(interactions=[{'human': PERSON, 'verb': 'walk', **changes}])


@pytest.mark.parametrize(('content', 'sentence'), [
    ('{', 'not readable JSON'),
    ([1], 'has no form known here: got JSON with list'),
    ({'foo': 1}, 'got JSON with foo, expected HICO-DET JSON'),
    ({**OWN, 'version': 2}, 'version: got 2'),
    ({'format': 'hoi_truth', 'version': 1}, 'frames: got .*Field required'),
    (_changed(frame_id=None), r'frames.0: got .*a frame needs stamp or frame_id'),
    (_changed(stamp=1.5), 'frames.0.stamp: got 1.5'),
    (_changed(stamp='yesterday'), "frames.0.stamp: got 'yesterday': expected seconds as text"),
    (_changed(colour='red'), "frames.0.colour: got 'red'"),
    (_interaction(human=[1, 2, 3]), r'frames.0.interactions.0.human'),
    (_interaction(human=[5, 5, 5, 9]), r'human: got .5, 5, 5, 9.*x1 < x2'),
    (_interaction(human=[0, 0, 'a', 9]), r"human.2: got 'a'"),
    (_interaction(verb=''), 'interactions.0.verb'),
    (_interaction(object=CUP), 'object and object_class must be given together'),
    (_interaction(human_track=-1), 'human_track: got -1')])
def test_malformed_json_is_told_with_its_place(tmp_path, content, sentence):
    path = _write(tmp_path / 'truth.json', content)
    with pytest.raises(HoiError, match=sentence) as caught:
        _read(path)
    assert 'truth.json' in str(caught.value)


HEAD = 'frame_id,human_x1,human_y1,human_x2,human_y2,verb'


@pytest.mark.parametrize(('text', 'sentence'), [
    ('', 'line 1: got the columns none'),
    ('frame_id,verb\n', 'line 1: got the columns frame_id, verb; expected stamp or frame_id'),
    (f'{HEAD},color\n', 'color; expected'),
    (f'{HEAD}\na.jpg,1,2,3,4\n', 'line 2: got more or fewer values'),
    (f'{HEAD}\na.jpg,1,2,3,4,sit,7\n', 'line 2: got more or fewer values'),
    (f'{HEAD}\na.jpg,1,2,3,4,sit\na.jpg,1,2,x,4,sit\n', "line 3: human.2: got 'x'"),
    (f'{HEAD}\na.jpg,1,2,3,,sit\n', 'line 2: human'),
    (f'{HEAD}\na.jpg,1,2,3,4,\n', 'line 2: verb'),
    (f'{HEAD}\n,1,2,3,4,sit\n', 'line 2: .*a frame needs stamp or frame_id'),
    (f'{HEAD},width\na,1,2,3,4,sit,8\na,1,2,3,4,sit,9\n', 'line 3: got the size')])
def test_malformed_csv_is_told_with_its_line(tmp_path, text, sentence):
    with pytest.raises(HoiError, match=sentence):
        _read(_write(tmp_path / 'truth.csv', text))


# HICO-DET and V-COCO


def _hico(order):
    names, index = hico_names(), index_in(order)
    verbs = [names.verbs.index(verb) for verb in ('ride', 'hold')]
    bicycle = names.objects.index('bicycle')
    classes = [int(names.class_table()[verb, bicycle]) for verb in verbs]
    pairs = {'boxes_h': [PERSON, PERSON], 'boxes_o': [BIKE, BIKE], 'hoi': classes,
             'object': [int(index[bicycle])] * 2, 'verb': verbs}
    return {'filenames': ['a.jpg', 'b.jpg', 'c.jpg'], 'size': [[128, 96], [64, 48], [128, 96]],
            'annotation': [pairs, dict.fromkeys(pairs, []), dict(pairs)]}


@pytest.mark.parametrize('order', ['coco', 'hico'])
def test_hico_det_says_the_same_in_either_order_of_objects(tmp_path, order):
    truth = _read(_write(tmp_path / 'hico.json', _hico(order)))
    scene = truth.scene((5, 5, 'a.jpg'))
    human, bike = [9, 19, 60, 90], [11, 49, 70, 95]
    assert _said(scene) == [('hold', 'bicycle', human, bike), ('ride', 'bicycle', human, bike)]
    assert len(scene.instances) == 2 and (scene.width, scene.height) == (128, 96)
    assert len(truth.scene((0, 0, 'b.jpg')).triplets) == 0 and truth.vcoco is None


@pytest.mark.parametrize(('change', 'sentence'), [
    ({'boxes_h': [PERSON]}, 'a.jpg.*differ in length'),
    ({'object': [60, 60]}, 'order of its object indices cannot be decided'),
    ({'boxes_o': [BIKE, 'box']}, 'a.jpg: boxes_o')])
def test_malformed_hico_det_is_told_with_its_place(tmp_path, change, sentence):
    raw = _hico('coco')
    raw['annotation'][0].update(change)
    with pytest.raises(HoiError, match=sentence):
        _read(_write(tmp_path / 'hico.json', raw))


def test_the_two_editions_of_hico_det_are_the_same_truth():
    names = [require_shared(f'data/annotations/hicodet/instances_test2015{suffix}.json')
             for suffix in ('', '_fredzzhang_upstream')]
    first, second = (_read(str(name)) for name in names)
    assert len(first.places) == len(second.places) == 9658
    for image in range(1, 9658, 1500):
        key = (0, 0, f'HICO_test2015_{image:08d}.jpg')
        assert _said(first.scene(key)) == _said(second.scene(key))
    assert first.digest != second.digest


VCOCO = {'objects': ['background', 'person', 'bicycle'], 'classes': ['ride instr', 'hold obj'],
         'annotations': [{'file_name': 'a.jpg', 'boxes_h': [PERSON], 'boxes_o': [BIKE],
                          'actions': [0], 'objects': [2]}]}


def test_v_coco_in_the_instances_form(tmp_path):
    truth = _read(_write(tmp_path / 'vcoco.json', VCOCO))
    assert _said(truth.scene((0, 0, 'a.jpg'))) == [('ride instr', 'bicycle', PERSON, BIKE)]
    assert truth.vcoco is not None and 'not that of the official files' in truth.notes[0]


def _original():
    """Person 11 rides bicycle 12; person 13 stands."""
    from hoi_perception.evaluation.datasets.vcoco_names import vcoco_actions
    actions = []
    for name, roles in vcoco_actions():
        acts = {'ride': [1, 0], 'stand': [0, 1]}.get(name, [0, 0])
        things = [[12 if name == 'ride' else 0, 0] for _ in roles]
        actions.append({'action_name': name, 'role_name': ['agent', *roles], 'image_id': [3, 3],
                        'ann_id': [11, 13], 'label': acts,
                        'role_object_id': [11, 13, *sum(things, [])]})
    boxes = {11: PERSON, 12: BIKE, 13: [70, 0, 90, 50]}
    coco_file = {
        'images': [{'id': 3, 'file_name': 'a.jpg', 'width': 128, 'height': 96}],
        'categories': [{'id': 1, 'name': 'person'}, {'id': 2, 'name': 'bicycle'}],
        'annotations': [{'id': key, 'image_id': 3, 'category_id': 2 if key == 12 else 1,
                         'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': 100.0}
                        for key, (x1, y1, x2, y2) in boxes.items()]}
    return actions, coco_file


@pytest.mark.parametrize('folder', ['data', '.'])
def test_v_coco_in_its_original_form_finds_its_boxes(tmp_path, folder):
    actions, boxes = _original()
    (tmp_path / 'data').mkdir()
    path = _write(tmp_path / 'data' / 'vcoco_val.json', actions)
    with pytest.raises(HoiError, match='put instances_vcoco_all_2014.json beside it'):
        _read(path)
    _write(tmp_path / folder / 'instances_vcoco_all_2014.json', boxes)
    truth = _read(path)
    assert _said(truth.scene((0, 0, 'a.jpg'))) == [('ride instr', 'bicycle', PERSON, BIKE)]
    assert (truth.vcoco.labels == 1).sum() == 2 and truth.notes == ()


def test_a_coco_file_without_interactions_is_told(tmp_path):
    with pytest.raises(HoiError, match='without hoi_annotation and hoi_categories'):
        _read(_write(tmp_path / 'coco.json', _original()[1]))
