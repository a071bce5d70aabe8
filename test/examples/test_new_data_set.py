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

"""A new data set: a reader of its rows; docs/extending/data_set.md shows it."""

import csv

from hoi_perception.core.errors import HoiError
import numpy as np
import pytest

pytest.importorskip('hoi_trainer', reason='the trainer is not installed')
# --8<-- [start:imports]
from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_perception.evaluation.datasets.rows import RowReader
from hoi_trainer.datasets.images import open_images
from hoi_trainer.datasets.records import to_dataset

# --8<-- [end:imports]


# --8<-- [start:data_set]
NAMES = HoiNames(objects=('person', 'cup', 'cart'), verbs=('hold', 'push'),
                 phrases=('holding', 'pushing'), human=0,
                 combinations=np.array([[0, 1], [1, 2]]))  # hold cup, push cart


def load_sheet(path, images=None):
    """Return the data set of a CSV with image, width, height, two boxes, verb and object."""
    reader = RowReader('sheet', str(path), NAMES)
    known = {}
    with open(path, encoding='utf-8', newline='') as file:
        for row in csv.DictReader(file):
            if row['image'] not in known:
                known[row['image']] = len(known)
                reader.start_image(row['image'], [int(row['width']), int(row['height'])])
            _add_pair(reader, known[row['image']], row)
    return to_dataset(reader.table(), open_images(images))  # refuses what is wrong, by place


def _add_pair(reader, image, row):
    human, thing = (reader.boxes([list(map(float, row[name].split()))], row['image'], name)
                    for name in ('human_box', 'object_box'))
    verb, label = (np.array([names.index(row[what]) if row[what] in names else -1])
                   for what, names in (('verb', NAMES.verbs), ('object', NAMES.objects)))
    good = reader.in_range(verb, len(NAMES.verbs), 'verb_unknown', f'verb {row["verb"]!r}')
    good &= reader.in_range(label, len(NAMES.objects), 'object_unknown',
                            f'object {row["object"]!r}')
    if human is not None and thing is not None:
        reader.add(image, good, human, thing, verb, label)
# --8<-- [end:data_set]


HEAD = 'image,width,height,human_box,object_box,verb,object\n'
GOOD = ('a.jpg,640,480,10 10 100 300,90 100 130 140,hold,cup\n'
        'a.jpg,640,480,10 10 100 300,200 100 400 300,push,cart\n'
        'b.jpg,320,240,5 5 50 200,40 50 60 70,hold,cup\n')


# --8<-- [start:use]
def test_a_data_set_of_your_own_has_images_pairs_and_classes(tmp_path):
    sheet = tmp_path / 'sheet.csv'
    sheet.write_text(HEAD + GOOD)
    dataset = load_sheet(sheet)
    assert [record.image for record in dataset.records] == ['a.jpg', 'b.jpg']
    assert dataset.class_counts().tolist() == [2, 1]
    np.testing.assert_array_equal(dataset.records[0].object_boxes[1], [200, 100, 400, 300])
# --8<-- [end:use]


@pytest.mark.parametrize(('line', 'words'), [
    ('c.jpg,640,480,10 10 100 300,90 100 130 140,juggle,cup\n', "c.jpg, pair 0: verb 'juggle'"),
    ('c.jpg,640,480,10 10 100 300,90 100 130 140,hold,ball\n', "object 'ball'"),
    ('c.jpg,640,480,10 10 100,90 100 130 140,hold,cup\n', 'human_box'),
    ('c.jpg,640,480,10 10 100 300,130 100 90 140,hold,cup\n', 'ends before it begins'),
    ('c.jpg,640,480,10 10 100 300,700 100 790 140,hold,cup\n', 'lies outside its image')])
def test_what_is_wrong_is_refused_with_its_place(tmp_path, line, words):
    sheet = tmp_path / 'sheet.csv'
    sheet.write_text(HEAD + GOOD + line)
    with pytest.raises(HoiError, match=words):
        load_sheet(sheet)
