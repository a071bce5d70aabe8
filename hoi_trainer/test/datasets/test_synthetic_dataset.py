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

"""The synthetic world as pairs: the same boxes, verbs and pixels as `synthetic.load` gives."""

import json
import pickle

from hoi_perception.core.errors import HoiError
from hoi_trainer.datasets import load_synthetic, synthetic_names
from hoi_trainer.datasets.check import check_data
from hoi_trainer.synthetic import COMBINATIONS, generate, load, OBJECTS, VERBS
import numpy as np
import pytest


@pytest.fixture(scope='module')
def split(tmp_path_factory):
    return generate('val', 12, tmp_path_factory.mktemp('world'), size=(160, 120))


@pytest.fixture
def copied(split, tmp_path):
    for path in split.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_no_interaction_is_no_verb_here():
    names = synthetic_names()
    assert (names.objects, names.verbs) == (OBJECTS, VERBS[:-1])
    assert names.phrases[names.verbs.index('ride')] == 'riding'
    assert [tuple(row) for row in names.combinations.tolist()] == list(COMBINATIONS)


def test_pairs_are_the_triplets_of_the_scenes(split):
    data, scenes = load_synthetic(split), load(split)
    assert len(data) == 12 and data.class_counts().sum() > 0
    for index, (record, scene) in enumerate(zip(data.records, scenes.scenes)):
        human, verb, thing = scene.triplets.T
        assert (record.image, record.width, record.height) == (str(index), 160, 120)
        assert np.array_equal(record.human_boxes, scene.boxes[human])
        assert np.array_equal(record.object_boxes, scene.boxes[thing])
        assert np.array_equal(record.objects, scene.labels[thing])
        assert np.array_equal(record.verbs, verb)
        assert np.array_equal(data.image(index), scenes.images[index])


def test_a_data_set_goes_to_other_processes_without_its_pixels(split):
    data = load_synthetic(split)
    sent = pickle.dumps(data)
    assert len(sent) < 20_000 and np.array_equal(pickle.loads(sent).image(3), data.image(3))  # noqa: S301


def test_a_fresh_split_is_clean(split):
    assert check_data(split).problems == ()


def scene(**changes):
    return {'width': 160, 'height': 120, 'boxes': [[0, 0, 50, 90], [40, 30, 60, 60]],
            'labels': [0, 8], 'triplets': [[0, 0, 1]], **changes}


@pytest.mark.parametrize(('line', 'kind'), [
    ('{"width": 1', 'record_malformed'), ('[]', 'record_malformed'),
    ('{}', 'index_malformed'),
    (scene(triplets=[[0, 0, 2]]), 'instance_out_of_range'),
    (scene(triplets=[[-1, 0, 1]]), 'instance_out_of_range'),
    (scene(triplets=[[0, 15, 1]]), 'verb_out_of_range'),
    (scene(triplets=[[0, 0]]), 'index_malformed'),
    (scene(triplets=[[0, 0, 'cup']]), 'index_malformed'),
    (scene(triplets=[[1, 0, 0]]), 'human_is_none'),
    (scene(labels=[0, 13]), 'object_out_of_range'),
    (scene(labels=[0]), 'pair_count'),
    (scene(boxes=[[0, 0, 50, 90], [40, 30, 60]]), 'box_malformed'),
    (scene(boxes=[[0, 0, 50, 90], [60, 30, 40, 60]]), 'box_inside_out'),
    (scene(width=320), 'image_size')])
def test_a_broken_scene_is_named(copied, line, kind):
    path = copied / 'scenes.jsonl'
    lines = path.read_text().splitlines()
    lines[5] = line if isinstance(line, str) else json.dumps(line)
    path.write_text('\n'.join(lines))
    found = check_data(copied)
    assert not found.clean
    assert {p.record.split(',')[0] for p in found.problems} == {'5'}
    assert kind in {p.kind for p in found.problems}
    if kind != 'image_size':
        with pytest.raises(HoiError, match='hoi-trainer data check'):
            load_synthetic(copied)


def test_missing_and_broken_arrays_are_named(copied):
    images = copied / 'images.npy'
    np.save(images, np.zeros((12, 120, 160), np.uint8))
    assert 'expected uint8 of shape' in str(check_data(copied).problems[0])
    images.write_bytes(b'no array')
    found = check_data(copied)
    assert {p.kind for p in found.problems} == {'image_unreadable'} and not found.clean
    with pytest.raises(HoiError, match='cannot be opened as an array'):
        load_synthetic(copied).image(0)


def test_a_directory_without_scenes_is_refused(tmp_path):
    with pytest.raises(HoiError, match='make a split with `hoi-trainer synth`'):
        load_synthetic(tmp_path)
