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

"""The official .mat layout, with everything MATLAB squeezes."""

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import read_json
from hoi_trainer.datasets import hico_names, load_hico
from hoi_trainer.datasets.check import check_data
from hoi_trainer.datasets.hico_mat import read_mat
import numpy as np
import pytest
from scipy.io import loadmat, savemat
from shared_data import require_shared

NOTHING = np.zeros((0, 0))


def structs(rows):
    """Return a 1 x n MATLAB struct array."""
    array = np.zeros((1, len(rows)), [(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        for name, value in row.items():
            array[name][0, i] = value
    return array


def boxes(*rows, kind=float):
    """Return structs in HICO-DET's field order x1, x2, y1, y2 from rows x1, y1, x2, y2."""
    return structs([{'x1': kind(x1), 'x2': kind(x2), 'y1': kind(y1), 'y2': kind(y2)}
                    for x1, y1, x2, y2 in rows]) if rows else NOTHING


def hoi(number, humans, things, connection, invisible=0.0):
    return {'id': float(number), 'bboxhuman': humans, 'bboxobject': things,
            'connection': np.array(connection, float) if connection else NOTHING,
            'invis': invisible}


def image(name, size, entries):
    width, height = size
    return {'filename': name, 'size': structs([{
        'width': float(width), 'height': float(height), 'depth': 3.0}]),
            'hoi': structs(entries) if entries else NOTHING}


def actions():
    names = hico_names()
    return structs([{'nname': names.objects[o], 'vname': names.verbs[v],
                     'vname_ing': names.phrases[v]} for v, o in names.combinations]).T


TRAIN = [
    image('one.jpg', (100, 80), [hoi(1, boxes((1, 1, 50, 60)), boxes((2, 3, 4, 5)), [[1, 1]])]),
    image('many.jpg', (100, 80), [
        hoi(5, boxes((1, 1, 50, 60), (11, 12, 40, 50), kind=np.uint8),
            boxes((60, 10, 90, 30), kind=np.uint8), [[1, 1], [2, 1]]),
        hoi(10, NOTHING, NOTHING, [], 1.0),
        hoi(600, boxes((3, 4, 5, 6)), boxes((1, 1, 100, 80), (7, 8, 9, 10)), [[1, 2]])]),
    image('empty.jpg', (64, 48), []),
    image('unseen.jpg', (64, 48), [hoi(10, NOTHING, NOTHING, [], 1.0)])]


def written(path, train=TRAIN, test=TRAIN[:1], **more):
    savemat(path, {'bbox_train': structs(train), 'bbox_test': structs(test),
                   'list_action': actions(), **more})
    return path


@pytest.fixture
def mat(tmp_path):
    return written(tmp_path / 'anno_bbox.mat')


def test_every_shape_that_matlab_squeezes_is_read(mat):
    data = load_hico(mat, 'train')
    names = data.names
    got = [(r.image, r.width, r.height,
            [(names.verbs[v], names.objects[o]) for v, o in zip(r.verbs, r.objects)],
            r.human_boxes.tolist(), r.object_boxes.tolist()) for r in data.records]
    assert got == [
        ('one.jpg', 100, 80, [('board', 'airplane')], [[0, 0, 50, 60]], [[1, 2, 4, 5]]),
        ('many.jpg', 100, 80,
         [('inspect', 'airplane'), ('inspect', 'airplane'), ('no_interaction', 'zebra')],
         [[0, 0, 50, 60], [10, 11, 40, 50], [2, 3, 5, 6]],
         [[59, 9, 90, 30], [59, 9, 90, 30], [6, 7, 9, 10]]),
        ('empty.jpg', 64, 48, [], [], []), ('unseen.jpg', 64, 48, [], [], [])]
    assert len(load_hico(mat, 'test')) == 1


def test_the_check_reads_both_splits_and_counts_invisible_entries(mat):
    found = check_data(mat)
    assert found.clean and not found.problems
    assert [len(table.record) for table in found.tables] == [4, 1]
    assert any('2 entries marked invisible' in line for line in found.summary())


def test_real_annotations_are_the_same_from_either_file(tmp_path, write):
    raw = read_json(require_shared('data/annotations/hicodet/instances_test2015.json'))
    raw = {**raw, **{key: raw[key][:300] for key in ('annotation', 'filenames', 'size')},
           'empty': [i for i in raw['empty'] if i < 300]}
    images = [image(name, size, [hoi(number + 1, boxes(human), boxes(thing), [[1, 1]])
                                 for number, human, thing in zip(
                                     row['hoi'], row['boxes_h'], row['boxes_o'])])
              for name, size, row in zip(raw['filenames'], raw['size'], raw['annotation'])]
    data = load_hico(written(tmp_path / 'anno_bbox.mat', test=images), 'test')
    other = load_hico(write(raw))
    assert len(data) == len(other) == 300
    for one, two in zip(data.records, other.records):
        assert (one.image, one.width, one.height) == (two.image, two.width, two.height)
        for field in ('human_boxes', 'object_boxes', 'objects', 'verbs'):
            assert np.array_equal(getattr(one, field), getattr(two, field))


@pytest.mark.parametrize('split', [None, 'val'])
def test_the_split_must_be_named(mat, split):
    with pytest.raises(HoiError, match='choose train or test'):
        load_hico(mat, split)


BOX = boxes((1, 1, 5, 5))


@pytest.mark.parametrize(('entry', 'kind', 'severity'), [
    (hoi(601, BOX, BOX, [[1, 1]]), 'hoi_out_of_range', 'error'),
    (hoi(0, BOX, BOX, [[1, 1]]), 'hoi_out_of_range', 'error'),
    (hoi(1.5, BOX, BOX, [[1, 1]]), 'hoi_out_of_range', 'error'),
    (hoi(1, BOX, BOX, [[1, 2]]), 'connection_out_of_range', 'error'),
    (hoi(1, BOX, BOX, [[0, 1]]), 'connection_out_of_range', 'error'),
    (hoi(1, BOX, BOX, [[1, 1, 1]]), 'connection_malformed', 'error'),
    (hoi(1, BOX, BOX, []), 'connection_missing', 'warning'),
    (hoi(1, boxes((1, 1, np.nan, 5)), BOX, [[1, 1]]), 'box_not_finite', 'error'),
    (hoi(1, structs([{'x1': 1.0}]), BOX, [[1, 1]]), 'box_malformed', 'error'),
    (hoi(1, boxes((9, 1, 5, 5)), BOX, [[1, 1]]), 'box_inside_out', 'error'),
    (hoi(1, boxes((1, 1, 5, 500)), BOX, [[1, 1]]), 'box_outside', 'warning'),
])
def test_a_broken_entry_is_named(tmp_path, entry, kind, severity):
    found = check_data(written(tmp_path / 'a.mat', test=[image('x.jpg', (9, 9), [entry])]))
    assert [(p.kind, p.severity) for p in found.problems] == [(kind, severity)]
    assert 'x.jpg' in found.problems[0].record
    assert found.clean == (severity == 'warning')


def test_another_class_list_is_refused(tmp_path):
    listed = actions()
    listed['vname'][3, 0] = 'swim'
    path = written(tmp_path / 'a.mat', list_action=listed)
    with pytest.raises(HoiError, match=r"HOI class 4: list_action: got \('airplane', 'swim'\)"):
        load_hico(path, 'train')


def test_the_official_class_list_is_ours():
    raw = loadmat(require_shared('data/annotations/hicodet/anno_hico_classification.mat'),
                  struct_as_record=False, squeeze_me=True, variable_names=['list_action'])
    assert read_mat({'bbox_test': [], **raw}, 'test', 'anno.mat').problems == ()


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'cannot be read as a MATLAB file'), (b'no mat' * 99, 'cannot be read as a MATLAB file'),
    (b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM' + b'\x89HDF\r\n' * 99, r'7\.3 \(HDF5\)')])
def test_broken_files_are_refused(tmp_path, content, said):
    path = tmp_path / 'anno_bbox.mat'
    path.write_bytes(content)
    with pytest.raises(HoiError, match=said):
        check_data(path)


def test_a_cut_file_and_one_without_boxes_are_refused(tmp_path, mat):
    mat.write_bytes(mat.read_bytes()[:-500])
    with pytest.raises(HoiError, match='cannot be read as a MATLAB file|holds'):
        load_hico(mat, 'train')
    savemat(tmp_path / 'anno.mat', {'list_action': actions()})
    with pytest.raises(HoiError, match='labels without boxes'):
        check_data(tmp_path / 'anno.mat')
