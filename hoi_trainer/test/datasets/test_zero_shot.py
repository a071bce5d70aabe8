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

"""Zero-shot settings: the official lists, the written rules, and nothing unseen in training."""

from dataclasses import replace
import json
from pathlib import Path

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.files import read_json
import hoi_trainer.datasets
from hoi_trainer.datasets import (
    hico_names,
    HoiDataset,
    HoiRecord,
    load_hico,
    load_split,
    rare_classes,
    seen_only,
    SPLIT_NAMES,
    synthetic_names,
    ZeroShotSplit,
)
from hoi_trainer.datasets.synthetic_splits import (
    rare_first,
    RARE_FIRST_RULE,
    unseen_verbs,
    VERB_RULE,
)
import numpy as np
import pytest
from shared_data import require_shared

OFFICIAL = {'rf_uc': 'rare_first', 'nf_uc': 'non_rare_first', 'uo': 'unseen_object',
            'uv': 'unseen_verb', **{f'uc{i}': f'uc{i}' for i in range(5)}}
SYNTHETIC = {'synthetic_rf_uc': (rare_first, RARE_FIRST_RULE),
             'synthetic_uv': (unseen_verbs, VERB_RULE)}


def absent(name, names, column):
    """Return how many verbs (0) or objects (1) are in no seen combination."""
    seen = names.combinations[load_split(name).seen(), column]
    return (len(names.verbs), len(names.objects))[column] - len(np.unique(seen))


@pytest.mark.parametrize(('name', 'size', 'rare', 'verbs', 'objects'), [
    ('rf_uc', 120, 120, 0, 0), ('nf_uc', 120, 0, 0, 0), ('uo', 100, 20, 5, 12),
    ('uv', 84, 18, 20, 0), ('uc0', 120, 25, 9, 0), ('uc1', 120, 36, 10, 0),
    ('uc2', 120, 28, 10, 0), ('uc3', 120, 28, 9, 0), ('uc4', 120, 37, 10, 0)])
def test_official_settings_have_their_sizes(name, size, rare, verbs, objects):
    split = load_split(name)
    assert (len(split.unseen), len(split.seen()), split.classes) == (size, 600 - size, 600)
    assert len(np.intersect1d(split.unseen, rare_classes())) == rare
    assert absent(name, hico_names(), 0) == verbs
    assert absent(name, hico_names(), 1) == objects


@pytest.mark.parametrize('name', OFFICIAL)
def test_official_settings_are_those_of_the_lists(name):
    lists = read_json(require_shared('data/lists/hico_zero_shot_unseen_hoi_idx.json'))
    assert load_split(name).unseen.tolist() == sorted(lists[OFFICIAL[name]])


@pytest.mark.parametrize('name', SYNTHETIC)
def test_settings_of_the_synthetic_world_follow_their_written_rule(name):
    folder = Path(hoi_trainer.datasets.__file__).parent / 'zero_shot_splits'
    raw = json.loads((folder / f'{name}.json').read_text())
    rule, words = SYNTHETIC[name]
    counts = np.array(raw['train_counts'])
    assert raw['unseen'] == rule(synthetic_names(), counts).tolist()
    assert (raw['rule'], load_split(name).rule, counts.sum()) == (words, words, 16320)


@pytest.mark.parametrize(('name', 'size', 'verbs'), [
    ('synthetic_rf_uc', 17, 0), ('synthetic_uv', 14, 3)])
def test_settings_of_the_synthetic_world_leave_every_part_seen(name, size, verbs):
    names = synthetic_names()
    split = load_split(name)
    assert (len(split.unseen), split.classes) == (size, len(names.combinations))
    assert (absent(name, names, 0), absent(name, names, 1)) == (verbs, 0)
    unseen = np.unique(names.combinations[split.unseen, 0])
    if verbs:
        assert np.isin(names.combinations[split.seen(), 0], unseen).sum() == 0
        assert {names.verbs[v] for v in unseen} == {'sit_on', 'lift', 'hug'}


def test_the_rarest_class_stays_seen_where_its_verb_or_object_would_vanish():
    names = replace(synthetic_names(), objects=('person', 'cup'), verbs=('hold', 'kick'),
                    combinations=np.array([[0, 0], [0, 1], [1, 0], [1, 0], [0, 1]]))
    assert rare_first(names, np.array([5, 5, 1, 5, 5])).tolist() == [2]
    names = replace(names, combinations=np.array([[0, 0], [0, 1], [1, 0], [0, 0], [0, 1]]))
    assert rare_first(names, np.array([5, 5, 1, 5, 5])).tolist() == [0]


@pytest.mark.parametrize('name', SPLIT_NAMES)
def test_every_setting_describes_itself(name):
    split = load_split(name)
    assert split.name == name and split.describe().startswith(f'zero-shot setting {name}')
    if name != 'full':
        assert f'{len(split.unseen)} of {split.classes} classes unseen' in split.describe()
        assert split.rule in split.describe()
        assert (np.diff(split.unseen) > 0).all()


def test_unknown_settings_and_sizes_are_refused():
    with pytest.raises(HoiError, match="'uc5': choose one of full, rf_uc"):
        load_split('uc5')
    with pytest.raises(HoiError, match='is for 600 HOI classes, the data set has 84'):
        seen_only(HoiDataset(synthetic_names(), ()), load_split('rf_uc'))
    with pytest.raises(HoiError, match='all'):
        load_split('full').seen()


def dataset():
    """Three images: classes 0 and 1, class 0 alone, and nothing."""
    names = synthetic_names()

    def record(name, *classes):
        rows = names.combinations[list(classes)].reshape(-1, 2)
        boxes = np.arange(4 * len(rows), dtype=np.float32).reshape(-1, 4)
        return HoiRecord(name, 9, 9, boxes, boxes + 1, rows[:, 1], rows[:, 0])
    return HoiDataset(names, (record('both', 0, 1), record('first', 0), record('none')))


def test_training_loses_unseen_pairs_and_then_images_without_any():
    split = ZeroShotSplit('mine', np.array([0]), 84)
    seen = seen_only(dataset(), split)
    assert [record.image for record in seen.records] == ['both']
    record = seen.records[0]
    assert record.human_boxes.tolist() == [[4, 5, 6, 7]]
    assert record.object_boxes.tolist() == [[5, 6, 7, 8]]
    assert seen.class_counts()[:3].tolist() == [0, 1, 0]


def test_the_full_setting_drops_only_images_without_pairs():
    full = seen_only(dataset(), load_split('full'))
    assert [record.image for record in full.records] == ['both', 'first']


@pytest.fixture(scope='module')
def hico():
    return load_hico(require_shared('data/annotations/hicodet/instances_test2015.json'))


@pytest.mark.parametrize('name', OFFICIAL)
def test_no_unseen_pair_is_left_and_every_seen_one_is(hico, name):
    split = load_split(name)
    counts = seen_only(hico, split).class_counts()
    assert counts[split.unseen].sum() == 0
    assert np.array_equal(counts[split.seen()], hico.class_counts()[split.seen()])
