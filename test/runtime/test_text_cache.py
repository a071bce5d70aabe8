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

"""Text embeddings on disk: used again, never trusted blindly, never in the way."""

import os

from bundles import tiny_bundle
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.pipeline import HoiPipeline
from hoi_perception.runtime.text import KeepText, text_encoder
from hoi_perception.runtime.text_cache import TextCache
import pytest
import torch

CPU = torch.device('cpu')
WORDS = ['riding', 'holding a cup', 'こんにちは']


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')


def cache(directory, encoder=('weights',), said=None):
    return TextCache(directory, encoder, CPU, [].append if said is None else said.append)


def rows(count=len(WORDS)):
    return dict(zip(WORDS, torch.randn(count, 16)))


def files(directory):
    return sorted(path for path in directory.rglob('*') if path.is_file())


def test_a_restart_gets_the_same_rows_bit_by_bit(tmp_path):
    stored = rows()
    cache(tmp_path).store(stored)
    loaded = cache(tmp_path).load([*WORDS, 'never seen'])
    assert set(loaded) == set(WORDS)
    assert all(torch.equal(loaded[word], stored[word]) for word in WORDS)


def test_other_weights_never_see_these_rows(tmp_path):
    cache(tmp_path).store(rows())
    assert cache(tmp_path, ('other weights',)).load(WORDS) == {}


@pytest.mark.parametrize('damage', [
    lambda whole: b'', lambda whole: whole[:20], lambda whole: whole[:-4],
    lambda whole: whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]],
    ids=['empty', 'only part of the digest', 'cut', 'one bit'])
def test_a_damaged_file_is_named_once_encoded_again_and_mended(tmp_path, damage):
    said = []
    cache(tmp_path).store(rows())
    for path in files(tmp_path)[:2]:
        path.write_bytes(damage(path.read_bytes()))
    watched = cache(tmp_path, said=said)
    assert len(watched.load(WORDS)) == len(watched.load(WORDS)) == 1
    assert len(said) == 1 and '2 of 3' in said[0] and str(tmp_path) in said[0]
    watched.store(rows())
    assert len(watched.load(WORDS)) == 3


def test_a_directory_that_cannot_be_written_is_said_once_and_still_read(tmp_path):
    said = []
    (tmp_path / 'file').write_text('in the way')
    blocked = cache(tmp_path / 'file', said=said)
    blocked.store(rows())
    blocked.store(rows())
    assert blocked.load(WORDS) == {}
    assert len(said) == 1 and 'XDG_CACHE_HOME' in said[0]


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_a_read_only_directory_is_read(tmp_path):
    cache(tmp_path).store(rows())
    directory = files(tmp_path)[0].parent
    directory.chmod(0o500)
    assert len(cache(tmp_path).load(WORDS)) == 3
    directory.chmod(0o700)


def test_a_write_that_was_killed_leaves_nothing_that_is_read(tmp_path):
    cache(tmp_path).store(rows())
    whole = files(tmp_path)[0]
    whole.rename(whole.with_suffix('.123'))  # the name before the file is complete
    assert len(cache(tmp_path).load(WORDS)) == 2


def test_the_oldest_files_go_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr('hoi_perception.runtime.text_cache._LIMIT', 8)
    full = cache(tmp_path)
    for index in range(10):
        full.store({f'phrase {index}': torch.ones(4)})
    assert len(files(tmp_path)) == 8
    for age, path in enumerate(files(tmp_path)):
        os.utime(path, (1000 - age, 1000 - age))
    youngest = files(tmp_path)[:4]
    cache(tmp_path)
    assert files(tmp_path) == youngest


def test_a_phrase_on_disk_is_not_encoded_again(bundle, tmp_path):
    keep = KeepText(tmp_path, pytest.fail)
    clip = load_clip(bundle, CPU)[0]
    first = text_encoder(bundle, 'defr', clip, keep).verbs(WORDS)
    torch.nn.init.zeros_(clip.token_embedding.weight)  # from here on encoding gives nonsense
    again = text_encoder(bundle, 'defr', clip, keep)
    assert torch.equal(again.verbs(WORDS[::-1]), first.flip(0))
    assert not torch.allclose(again.verbs(['something new']), first[:1])


def test_a_pipeline_keeps_its_text_only_where_it_is_told(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'user'))
    HoiPipeline(bundle, 'cpu')
    assert files(tmp_path) == []
    first = HoiPipeline(bundle, 'cpu', keep_text=KeepText(tmp_path / 'here', pytest.fail))
    assert files(tmp_path / 'here')
    second = HoiPipeline(bundle, 'cpu', keep_text=KeepText(tmp_path / 'here', pytest.fail))
    assert torch.equal(first.prompts.current.embeddings, second.prompts.current.embeddings)
