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

"""Prompts: what text is encoded, and that a change is whole or not at all."""

import threading

from bundles import tiny_bundle, tiny_spec
from hoi_perception.core.errors import VocabularyError
from hoi_perception.core.scene import NONE
from hoi_perception.networks.clip import encode_text
from hoi_perception.runtime.bundle import HeadSpec, VerbSpec, VocabularySpec
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.prompts import PromptStore
from hoi_perception.runtime.text import ClipText
import pytest
import torch


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    bundle = tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')
    return load_clip(bundle, torch.device('cpu'))[0]


@pytest.fixture
def store(clip):
    return PromptStore(ClipText(clip), tiny_spec(), HeadSpec())


def test_the_bundles_vocabulary_is_version_one_with_a_row_per_valid_pair(store):
    now = store.current
    assert now.version == 1
    assert now.phrases == (
        'a photo of a person riding a bicycle', 'a photo of a person holding a cup',
        'a photo of a person holding an umbrella', 'a photo of a person pushing a person',
        'a photo of a person pushing a bicycle')
    assert now.embeddings.shape == (32, 16)
    assert now.verb_of_row[:6].tolist() == [0, 1, 1, 2, 2, NONE]
    assert not now.validity[5:].any() and now.validity[:5].sum() == 5


def test_rows_hold_the_embeddings_of_their_phrases(store, clip):
    now = store.current
    torch.testing.assert_close(now.embeddings[:5], encode_text(clip, now.phrases))
    torch.testing.assert_close(now.background[3:4], encode_text(
        clip, ['a photo of a person and an umbrella']))


@pytest.mark.parametrize(('verbs', 'template', 'phrases'), [
    (['ride: bicycle'], 'someone {verb} {article} {object}', ['someone riding a bicycle']),
    (['sit_on: cup'], None, ['a photo of a person sit on a cup']),
    (['ride', 'hold'], 'a person {verb}', ['a person riding', 'a person holding']),
    (['ride: bicycle'], '', ['a photo of a person riding a bicycle'])])
def test_prompts_follow_verbs_and_template(store, verbs, template, phrases):
    assert list(store.prepare(verbs, template).phrases) == phrases


def test_too_many_pairs_fall_back_to_one_row_per_verb(store):
    verbs = [f'verb{i}' for i in range(200)]  # 200 x 4 objects > 640
    prompts = store.prepare(verbs)
    assert prompts.phrases[7] == 'a photo of a person verb7 something'
    assert prompts.embeddings.shape[0] == 640 and prompts.validity[:200, :4].all()


@pytest.mark.parametrize(('count', 'rows'), [(8, 32), (9, 128), (32, 128), (33, 640), (160, 640)])
def test_rows_are_padded_to_the_smallest_bucket(store, count, rows):
    assert store.prepare([f'v{i}' for i in range(count)]).embeddings.shape[0] == rows


@pytest.mark.parametrize(('verbs', 'template'), [
    ([], None), (['ride', ''], None), (['ride', 'Ride'], None), (['a\x00b'], None), ([7], None),
    (['v'] * 10000, None), ('ride', None), (['ride'], 'no verb in it'), (['ride'], '{colour}'),
    (['ride: '], None)])
def test_a_bad_request_is_refused_and_nothing_changes(store, verbs, template):
    before = store.current
    with pytest.raises(VocabularyError):
        store.prepare(verbs, template)
    assert store.current is before


def test_preparing_changes_nothing_and_activating_counts_up(store):
    before = store.current
    prompts = store.prepare(['ride'])
    assert store.current is before
    assert [store.activate(prompts), store.current.version] == [2, 2]
    assert store.current.vocabulary.verb_names == ('ride',)
    assert store.activate(store.prepare([''])) == 3
    assert store.current.vocabulary == before.vocabulary


def test_objects_nobody_detects_are_reported_and_work_once_they_are_known(store):
    prompts = store.prepare(['push: cart, bicycle'])
    assert prompts.unknown_objects == ('cart',) and len(prompts.phrases) == 1
    store.activate(prompts)
    extended = store.with_objects(['cart', 'cup', 'cart'])
    assert extended.vocabulary.objects == ('person', 'bicycle', 'cup', 'umbrella', 'cart')
    assert extended.unknown_objects == ()
    assert extended.phrases[1] == 'a photo of a person pushing a cart'


@pytest.mark.parametrize(('count', 'room'), [(4, 16), (16, 16), (17, 32), (96, 96)])
def test_objects_are_padded_so_that_a_few_more_change_no_shape(store, count, room):
    prompts = store.prepare(objects=[f'thing {i}' for i in range(count - 4)])
    assert prompts.validity.shape == (32, room) and len(prompts.background) == room
    assert not prompts.validity[:, count:].any() and not prompts.background_valid[count:].any()
    assert prompts.background_valid[:count].all() and not prompts.background[count:].any()
    assert prompts.object_embeddings.shape == (room + 1, 16)


def test_an_explicit_no_interaction_replaces_the_implicit_background(clip):
    verbs = (VerbSpec(name='ride', objects=('bicycle',)),
             VerbSpec(name='no_interaction', objects=('bicycle',)))
    spec = tiny_spec(vocabulary=VocabularySpec(objects=('person', 'bicycle', 'cup'), verbs=verbs))
    now = PromptStore(ClipText(clip), spec, HeadSpec()).current
    assert now.phrases[1] == 'a photo of a person and a bicycle'
    assert now.background_valid[:3].tolist() == [True, False, True]


def test_versions_are_unique_when_threads_activate_at_once(store):
    prompts, versions = store.prepare(['ride']), []
    threads = [threading.Thread(target=lambda: versions.append(store.activate(prompts)))
               for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == list(range(2, 18)) and store.current.version == 17
