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

"""Small annotation files that are right, for tests to break."""

import json

from hoi_perception.evaluation.datasets.hico_names import hico_names
from hoi_perception.evaluation.datasets.object_order import index_in, objects_in
import pytest

# (HOI class, human box, object box) as HICO-DET writes them: from 1, inclusive.
PAIRS = [[(0, [1, 1, 50, 80], [20, 30, 90, 100]), (4, [1, 1, 50, 80], [20, 30, 90, 100])],
         [(599, [10, 10, 20, 20], [5, 6, 7, 8])], []]


def instances(order='coco'):
    """Return the parsed JSON of three images with 2, 1 and 0 pairs."""
    combinations, index = hico_names().combinations, index_in(order)
    annotation = [{
        'boxes_h': [human for _, human, _ in pairs], 'boxes_o': [thing for _, _, thing in pairs],
        'hoi': [hoi for hoi, _, _ in pairs],
        'object': [int(index[combinations[hoi, 1]]) for hoi, _, _ in pairs],
        'verb': [int(combinations[hoi, 0]) for hoi, _, _ in pairs]} for pairs in PAIRS]
    return {'annotation': annotation, 'filenames': ['a.jpg', 'b.jpg', 'c.jpg'],
            'size': [[120, 100], [64, 48], [64, 48]], 'empty': [2],
            'objects': list(objects_in(order)), 'verbs': list(hico_names().verbs),
            'correspondence': [[i, int(index[thing]), int(verb)]
                               for i, (verb, thing) in enumerate(combinations)]}


@pytest.fixture
def hico_json():
    """Return the maker of a small HICO-DET JSON in either object order."""
    return instances


@pytest.fixture
def write(tmp_path):
    """Return a function that writes parsed JSON and gives its path."""
    def written(raw, name='data.json'):
        path = tmp_path / name
        path.write_text(json.dumps(raw))
        return path
    return written
