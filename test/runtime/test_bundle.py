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

"""The bundle: what is accepted, what is refused, and that it never appears by halves."""

import shutil

from bundles import tiny_bundle, tiny_spec
from hoi_perception.core.errors import BundleError
from hoi_perception.runtime import bundle as bundle_module
from hoi_perception.runtime.bundle import Bundle, MANIFEST, write_bundle
from hoi_perception.runtime.pipeline import HoiPipeline
import pytest
from safetensors.torch import load_file, save_file
import torch
import yaml


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').path


@pytest.fixture
def directory(original, tmp_path):
    return shutil.copytree(original, tmp_path / 'tiny')


def test_a_written_bundle_opens_with_every_file_named(original):
    bundle = Bundle.open(original)
    assert set(bundle.spec.files) == {'CARD.md', 'clip.safetensors', 'detector.safetensors'}
    assert bundle.model_id.startswith('tiny_random@')
    state = bundle.tensors('clip.safetensors')
    assert all(v.dtype == torch.float32 for v in state.values() if v.is_floating_point())


def _edit(path, change):
    content = yaml.safe_load((path / MANIFEST).read_text())
    change(content)
    (path / MANIFEST).write_text(yaml.safe_dump(content))


def _rewrite(path, text):
    (path / MANIFEST).write_text(text)


@pytest.mark.parametrize(('damage', 'words'), [
    (lambda d: (d / MANIFEST).unlink(), 'not a model bundle'),
    (lambda d: (d / 'clip.safetensors').unlink(), 'missing'),
    (lambda d: (d / 'CARD.md').write_text('another'), 'was changed'),
    (lambda d: (d / 'extra.pt').write_bytes(b''), 'pickle'),
    (lambda d: (d / 'engines').mkdir() or (d / 'engines' / 'x.PKL').touch(), 'pickle'),
    (lambda d: _rewrite(d, '{'), 'YAML'),
    (lambda d: _rewrite(d, '!!python/object/apply:os.system [true]'), 'YAML'),
    (lambda d: _rewrite(d, '- 1'), 'expected a mapping'),
    (lambda d: (d / MANIFEST).write_bytes(b'\xff\xfe\x00'), 'YAML'),
    (lambda d: _edit(d, lambda c: c.update(schema_version=2)), 'schema_version 2'),
    (lambda d: _edit(d, lambda c: c.update(colour='red')), 'colour'),
    (lambda d: _edit(d, lambda c: c.pop('licence')), 'licence'),
    (lambda d: _edit(d, lambda c: c['thresholds'].update(instance=3)), 'thresholds.instance'),
    (lambda d: _edit(d, lambda c: c['vocabulary'].update(human='robot')), 'robot'),
    (lambda d: _edit(d, lambda c: c['files'].pop('clip.safetensors')), 'clip.safetensors'),
    (lambda d: _edit(d, lambda c: c['files'].update({'../x': 'y'})), 'outside'),
    (lambda d: _edit(d, lambda c: c.update(heads={})), 'heads')])
def test_a_damaged_bundle_is_refused_with_one_sentence(damage, words, directory):
    damage(directory)
    with pytest.raises(BundleError, match=words) as raised:
        Bundle.open(directory)
    assert '\n' not in str(raised.value)


def _hide(directory, change):
    """Damage the weights and record their new hash, as a faulty exporter would."""
    path = directory / 'detector.safetensors'
    state = load_file(path)
    change(state)
    save_file(state, path)
    digest = bundle_module.sha256(path)
    _edit(directory, lambda c: c['files'].update({'detector.safetensors': digest}))


@pytest.mark.parametrize(('damage', 'words'), [
    (lambda d: _hide(d, lambda s: s['classify.bias'].fill_(torch.nan)), 'NaN'),
    (lambda d: _hide(d, lambda s: s.pop('classify.bias')), 'does not fit'),
    (lambda d: _hide(d, lambda s: s.update({'classify.bias': torch.zeros(9)})), 'does not fit'),
    (lambda d: _edit(d, lambda c: c['detector']['config'].update(nonsense=1)), 'nonsense'),
    (lambda d: _edit(d, lambda c: c['detector'].update(kind='transformers')), 'cannot be built'),
    (lambda d: _edit(d, lambda c: c['clip']['config'].update(embed_dim=8)), 'does not fit')])
def test_weights_that_cannot_work_are_refused_when_loaded(damage, words, directory):
    damage(directory)
    with pytest.raises(BundleError, match=words):
        HoiPipeline(directory, 'cpu')


def test_a_failed_write_leaves_neither_a_new_nor_a_broken_old_bundle(directory, monkeypatch):
    before = (directory / MANIFEST).read_bytes()

    def fail(*_):
        raise OSError('disk full')
    monkeypatch.setattr(bundle_module, 'save_file', fail)
    with pytest.raises(OSError, match='disk full'):
        write_bundle(directory, tiny_spec(), {'detector.safetensors': {}})
    assert (directory / MANIFEST).read_bytes() == before
    assert [p.name for p in directory.parent.iterdir()] == ['tiny']


def test_a_directory_of_something_else_is_never_overwritten(tmp_path):
    (tmp_path / 'thesis.txt').write_text('work of years')
    with pytest.raises(BundleError, match='not a bundle'):
        tiny_bundle(tmp_path)
    assert (tmp_path / 'thesis.txt').exists()


def test_a_bundle_may_be_written_again(directory):
    assert tiny_bundle(directory).spec.name == 'tiny_random'
    Bundle.open(directory)
