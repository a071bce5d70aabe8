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

"""The synthetic world: exact, reproducible, long-tailed."""

from collections import Counter
import hashlib
from pathlib import Path

from hoi_trainer.synthetic import COMBINATIONS, generate, load, NO_INTERACTION, OBJECTS, VERBS
from hoi_trainer.synthetic.dataset import make_scene, SPLITS
from hoi_trainer.synthetic.vocabulary import CAPTION_WORDS, FREQUENCIES, PHRASES
import numpy as np
import pytest

FILES = ('images.npy', 'instance_maps.npy', 'scenes.jsonl')


def digest(directory: Path) -> str:
    return hashlib.sha256(b''.join((directory / name).read_bytes() for name in FILES)).hexdigest()


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return load(generate('test', 120, tmp_path_factory.mktemp('world'), size=(240, 180)))


def test_world_is_as_large_as_promised():
    assert len(OBJECTS) == 13 and OBJECTS[0] == 'person'
    assert len(VERBS) - 1 >= 14 and VERBS[NO_INTERACTION] == 'no_interaction'
    assert len(set(COMBINATIONS)) == len(COMBINATIONS) >= 50
    assert all(verb != NO_INTERACTION for verb, _ in COMBINATIONS)
    assert any(OBJECTS[label] == 'person' for _, label in COMBINATIONS)


def test_frequencies_have_a_long_tail():
    assert abs(FREQUENCIES.sum() - 1) < 1e-12
    assert FREQUENCIES[0] / FREQUENCIES[-1] > 50
    assert (np.diff(FREQUENCIES) < 0).all()


def test_same_seed_same_bytes_whatever_the_number_of_workers(tmp_path):
    first = generate('val', 60, tmp_path / 'a', workers=1, size=(160, 120))
    again = generate('val', 60, tmp_path / 'b', workers=2, size=(160, 120))
    assert digest(first) == digest(again)
    other = generate('val', 60, tmp_path / 'c', size=(160, 120), seed=7)
    assert digest(first) != digest(other)


def test_splits_share_no_scene():
    images = {hashlib.sha256(make_scene(split, index, (160, 120))[0].tobytes()).hexdigest()
              for split in SPLITS for index in range(6)}
    assert len(images) == len(SPLITS) * 6


def test_unknown_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match='expected one of train'):
        generate('training', 1, tmp_path)


def test_boxes_are_the_extent_of_the_visible_masks(data):
    for scene, instance_map in zip(data.scenes, data.instance_maps):
        assert instance_map.max() <= len(scene.boxes)
        for i, box in enumerate(scene.boxes):
            rows, columns = np.nonzero(instance_map == i + 1)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_every_triplet_is_a_person_doing_something_possible(data):
    seen = 0
    for scene in data.scenes:
        for human, verb, thing in scene.triplets.tolist():
            assert scene.labels[human] == 0 and human != thing
            assert (verb, int(scene.labels[thing])) in COMBINATIONS
            seen += 1
    assert seen > len(data.scenes)


def test_captions_name_what_happens_in_known_words(data):
    for scene in data.scenes:
        for human, verb, thing in scene.triplets.tolist():
            name = OBJECTS[scene.labels[thing]]
            assert f'{PHRASES[verb]} ' in scene.caption and name in scene.caption
        acting = {}
        for human, verb, thing in scene.triplets.tolist():
            acting.setdefault((human, thing), []).append(verb)
        humans = int((scene.labels == 0).sum())
        assert len(scene.pairs) == humans * (len(scene.labels) - 1)
        for human, thing, caption in scene.pairs:
            assert caption.endswith(OBJECTS[scene.labels[thing]])
            verbs = acting.get((human, thing), ())
            assert all(PHRASES[verb] in caption for verb in verbs)
            if not verbs:
                assert caption.startswith('a person and a')
        words = set(scene.caption.replace(',', '').split())
        assert words <= set(CAPTION_WORDS)


def test_scenes_hold_several_people_things_and_unused_things(data):
    people = Counter(int((scene.labels == 0).sum()) for scene in data.scenes)
    assert set(people) >= {1, 2, 3} and max(people) <= 4
    unused = sum(
        set(range(len(s.labels))) - set(s.triplets[:, 2].tolist()) != set() for s in data.scenes)
    assert unused > len(data.scenes) / 2
    assert len({scene.labels.tobytes() for scene in data.scenes}) > 50


def test_every_instance_can_be_seen(data):
    for scene in data.scenes:
        assert (scene.boxes[:, 2:] - scene.boxes[:, :2] >= 5).all()
        assert (scene.boxes[:, :2] >= 0).all()
        assert (scene.boxes[:, 2] <= scene.width).all()
        assert (scene.boxes[:, 3] <= scene.height).all()
