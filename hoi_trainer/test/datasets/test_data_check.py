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

"""`hoi-trainer data check` names every problem, tells errors from oddities and says so by code."""

import cv2
from hoi_perception.core.errors import HoiError
from hoi_trainer.cli import main
from hoi_trainer.datasets import load_hico, load_vcoco
from hoi_trainer.datasets.check import check_data
import numpy as np
import pytest
from shared_data import require_shared


def change(raw, record, **fields):
    raw['annotation'][record].update(fields)


def one_box(raw, box):
    raw['annotation'][1]['boxes_h'] = [box]


ERRORS = {
    'not a number': (lambda r: one_box(r, [1, 1, float('nan'), 9]), 'box_not_finite'),
    'infinite': (lambda r: one_box(r, [1, 1, float('inf'), 9]), 'box_not_finite'),
    'inside out': (lambda r: one_box(r, [20, 1, 10, 9]), 'box_inside_out'),
    'zero size': (lambda r: one_box(r, [20, 1, 19, 9]), 'box_empty'),
    'off the image': (lambda r: one_box(r, [90, 1, 99, 9]), 'box_off_image'),
    'three numbers': (lambda r: one_box(r, [1, 1, 5]), 'box_malformed'),
    'text': (lambda r: one_box(r, [1, 1, 5, '9']), 'box_malformed'),
    'no boxes': (lambda r: r['annotation'][1].pop('boxes_o'), 'box_malformed'),
    'fewer boxes than pairs': (lambda r: change(r, 0, boxes_h=[[1, 1, 9, 9]]), 'pair_count'),
    'verb too large': (lambda r: change(r, 1, verb=[117]), 'verb_out_of_range'),
    'object too large': (lambda r: change(r, 1, object=[80]), 'object_out_of_range'),
    'class too large': (lambda r: change(r, 1, hoi=[600]), 'hoi_out_of_range'),
    'class negative': (lambda r: change(r, 1, hoi=[-1]), 'hoi_out_of_range'),
    'class fractional': (lambda r: change(r, 1, hoi=[1.5]), 'index_malformed'),
    'class huge': (lambda r: change(r, 1, hoi=[10 ** 30]), 'index_malformed'),
    'class true': (lambda r: change(r, 1, hoi=[True]), 'index_malformed'),
    'another object': (lambda r: change(r, 1, object=[3]), 'object_order_mismatch'),
    'another verb': (lambda r: change(r, 1, verb=[3]), 'verb_mismatch'),
    'other verbs': (lambda r: r['verbs'].reverse(), 'verb_list'),
    'no record': (lambda r: r['annotation'].__setitem__(1, None), 'box_malformed'),
    'image twice': (lambda r: r['filenames'].__setitem__(2, 'b.jpg'), 'image_duplicate'),
    'no name': (lambda r: r['filenames'].__setitem__(1, 7), 'name_malformed'),
    'size of one': (lambda r: r['size'].__setitem__(1, [64]), 'size_invalid'),
    'negative size': (lambda r: r['size'].__setitem__(1, [-64, 48]), 'size_invalid'),
    'half a size': (lambda r: r['size'].__setitem__(1, [64, 0]), 'size_invalid'),
    'wrong list of empty images': (lambda r: r.update(empty=[]), 'empty_list')}
WARNINGS = {
    'one object misnamed': (lambda r: r['objects'].__setitem__(7, 'lorry'), 'list_mismatch'),
    'one class misnumbered': (lambda r: r['correspondence'][9].__setitem__(2, 5), 'list_mismatch'),
    'an object too many': (lambda r: r['objects'].append('lorry'), 'list_mismatch'),
    'no list of classes': (lambda r: r.update(correspondence=7), 'list_mismatch'),
    'box sticks out': (lambda r: one_box(r, [0, 1, 70, 9]), 'box_outside'),
    'pair twice': (lambda r: change(r, 1, **{key: value * 2 for key, value in r['annotation'][
        1].items()}), 'pair_duplicate')}


@pytest.mark.parametrize('order', ['coco', 'hico'])
def test_a_right_file_is_clean_and_the_object_order_is_said(hico_json, write, order, capsys):
    path = write(hico_json(order))
    assert check_data(path).problems == ()
    assert main(['data', 'check', str(path)]) == 0
    said = capsys.readouterr().out
    assert f'object order: {order} (annotated pairs' in said
    assert '3 images, 1 without pairs' in said and '0 errors, 0 warnings' in said


@pytest.mark.parametrize('name', ERRORS)
def test_an_error_is_named_and_forbids_loading(hico_json, write, name, capsys):
    breaks, kind = ERRORS[name]
    raw = hico_json()
    breaks(raw)
    path = write(raw)
    found = check_data(path)
    assert kind in {p.kind for p in found.problems} and not found.clean
    assert all(p.file == str(path) and p.what and p.got and p.expected for p in found.problems)
    with pytest.raises(HoiError, match='hoi-trainer data check'):
        load_hico(path)
    assert main(['data', 'check', str(path)]) == 2
    assert f'error [{kind}] {path}: ' in capsys.readouterr().out


@pytest.mark.parametrize('name', WARNINGS)
def test_an_oddity_is_named_and_accepted(hico_json, write, name, capsys):
    breaks, kind = WARNINGS[name]
    raw = hico_json()
    breaks(raw)
    path = write(raw)
    assert [(p.kind, p.severity) for p in check_data(path).problems] == [(kind, 'warning')]
    assert len(load_hico(path)) == 3
    assert main(['data', 'check', str(path)]) == 0
    assert f'1 warning {kind}' in capsys.readouterr().out


def test_every_problem_of_a_file_is_named_unless_a_limit_is_asked_for(hico_json, write, capsys):
    raw = hico_json()
    change(raw, 0, boxes_h=[[9, 9, 1, 1]] * 2)
    change(raw, 1, boxes_o=[[9, 9, 1, 1]])
    path = write(raw)
    assert main(['data', 'check', str(path)]) == 2
    said = capsys.readouterr().out
    for place in ('a.jpg, pair 0', 'a.jpg, pair 1', 'b.jpg, pair 0'):
        assert f'error [box_inside_out] {path}: {place}: ' in said
    assert 'human box ends before it begins: got [9.0, 9.0, 1.0, 1.0], expected x1 <= x2' in said
    assert '3 errors box_inside_out' in said and 'not usable: 3 errors, 0 warnings' in said
    assert main(['data', 'check', str(path), '--limit', '1']) == 2
    said = capsys.readouterr().out
    assert said.count('error [box_inside_out]') == 1
    assert '... and 2 more [box_inside_out]' in said


def test_images_are_looked_for_and_measured(hico_json, write, tmp_path, capsys):
    path, photos = write(hico_json()), tmp_path / 'photos'
    (photos / 'test2015').mkdir(parents=True)
    for name, (width, height) in (('a.jpg', (120, 100)), ('b.jpg', (48, 64))):
        cv2.imwrite(str(photos / 'test2015' / name), np.full((height, width, 3), 200, np.uint8))
    found = check_data(path, photos)
    assert [(p.kind, p.record, p.got, p.expected) for p in found.problems if p.got] == [
        ('image_size', 'b.jpg', '48 x 64', '64 x 48'),
        ('image_unreadable', 'c.jpg', found.problems[1].got, 'an image file')]
    data = load_hico(path, images=photos)
    assert data.image(0).shape == (100, 120, 3) and (data.image(0) == 200).all()
    with pytest.raises(HoiError, match='is 48 x 64 pixels, but its boxes'):
        data.image(1)
    with pytest.raises(HoiError, match="'c.jpg' is neither in"):
        data.image(2)
    (photos / 'c.jpg').write_bytes(b'\xff\xd8 no photo')
    assert [p.kind for p in check_data(path, photos).problems] == [
        'image_size', 'image_unreadable']
    with pytest.raises(HoiError, match='cannot be decoded'):
        data.image(2)
    assert main(['data', 'check', str(path), '--images', str(photos)]) == 2
    assert main(['data', 'check', str(path), '--images', str(path)]) == 2
    assert 'not a directory of images' in capsys.readouterr().err


def test_pixels_are_as_stored_whatever_the_camera_orientation_says(hico_json, write, tmp_path):
    from PIL import Image
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (120, 100), (10, 20, 200)).save(tmp_path / 'a.jpg', exif=exif)
    data = load_hico(write(hico_json()), images=tmp_path)
    assert data.image(0).shape == (100, 120, 3) and data.image(0)[0, 0, 2] > 150


def test_without_images_pixels_are_refused(hico_json, write):
    with pytest.raises(HoiError, match='without a directory of images'):
        load_hico(write(hico_json())).image(0)


@pytest.mark.parametrize('content', [
    b'', b'{', b'\x93NUMPY', b'3', b'[]', b'{}', b'{"a": {}}', b'[{"file_name": "a"}]', b'null',
    b'[' * 100_000, b'{"annotation": 1, "filenames": 2}', b'{"annotations": 1, "classes": [], '
    b'"objects": []}', b'{"annotation": [], "filenames": [], "size": []}'])
def test_what_is_no_data_set_is_refused_with_a_sentence(tmp_path, content, capsys):
    path = tmp_path / 'x.json'
    path.write_bytes(content)
    assert main(['data', 'check', str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith('hoi-trainer: ') and str(path) in said and 'Traceback' not in said


def test_a_directory_of_annotations_is_refused_by_naming_what_it_holds(hico_json, write):
    path = write(hico_json(), 'instances_test2015.json')
    with pytest.raises(HoiError, match='annotation file, one of instances_test2015.json'):
        check_data(path.parent)


@pytest.mark.parametrize('name', ['', 'nowhere.json', 'nowhere.mat'])
def test_a_missing_path_is_refused(tmp_path, name, capsys):
    assert main(['data', 'check', str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.startswith('hoi-trainer: ')


@pytest.mark.parametrize(('annotation', 'folder', 'pattern'), [
    ('hicodet/instances_test2015.json', 'hico', '*test*'),
    ('vcoco/instances_vcoco_test.json', 'vcoco', '*val2014*')])
def test_real_photos_fit_their_annotation(annotation, folder, pattern):
    """A few photos are at hand; all others are missing and nothing else is wrong."""
    photos = require_shared(f'data/photos/{folder}')
    names = {path.name for path in photos.glob(pattern)}
    found = check_data(require_shared(f'data/annotations/{annotation}'), photos)
    assert names and names <= set(found.tables[0].images)
    assert {p.record for p in found.problems} == set(found.tables[0].images) - names
    assert {p.kind for p in found.problems} == {'image_unreadable'}


def test_sizes_that_the_annotation_lacks_come_from_the_images(write, tmp_path):
    path = write({'classes': ['hold obj'], 'objects': ['cup'], 'annotations': [
        {'file_name': 'a.png', 'boxes_h': [[0, 0, 30, 40]], 'boxes_o': [[5, 5, 70, 9]],
         'actions': [0], 'objects': [0]}]})
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((48, 64, 3), np.uint8))
    record = load_vcoco(path, images=tmp_path).records[0]
    assert (record.width, record.height) == (64, 48)
    assert (load_vcoco(path).records[0].width, check_data(path).problems) == (0, ())
    assert [p.kind for p in check_data(path, tmp_path).problems] == ['box_outside']
