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

"""Every bundle since the first released schema is read, and the schema has a version."""

import ast
import hashlib
from pathlib import Path

from bundles import tiny_bundle
from hoi_perception.core.errors import BundleError
from hoi_perception.runtime import bundle, bundle_versions
from hoi_perception.runtime.bundle import Bundle, MANIFEST, read_spec
from hoi_perception.runtime.bundle_versions import migrated, SCHEMA_VERSION, Step, STEPS
import pytest
import yaml

FIRST = Path(__file__).with_name('bundle_1.0.yaml')
# What the fields of each version are: types, defaults and limits as the source writes them.
FIELDS = {'1.0': '0e50c775055a2b14'}


def fields_digest() -> str:
    text = Path(bundle.__file__).read_text(encoding='utf-8')
    lines = [' '.join([node.name, *ast.get_source_segment(text, part).split()])
             for node in ast.parse(text).body
             if isinstance(node, ast.ClassDef) and node.name.endswith(
                 ('Spec', 'Thresholds', 'Buckets')) for part in node.body
             if isinstance(part, ast.AnnAssign)]
    assert len(lines) > 40
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def test_the_fields_are_those_of_the_version():
    assert fields_digest() == FIELDS.get(SCHEMA_VERSION), (
        f'The fields differ from schema version {SCHEMA_VERSION}: see docs/versions.md, raise '
        f'SCHEMA_VERSION, add a step to STEPS, and name the version here: {fields_digest()!r}')


def test_there_is_a_step_from_every_version_to_the_next():
    assert set(FIELDS) == {step.to for step in STEPS.values()}
    assert SCHEMA_VERSION == list(FIELDS)[-1]


def _inside(part, whole):
    """Return whether every value of `part` stands at the same place in `whole`."""
    if isinstance(part, dict):
        return all(key in whole and _inside(value, whole[key]) for key, value in part.items())
    return part == whole


def test_the_first_released_schema_is_read_with_all_of_its_values():
    content = yaml.safe_load(FIRST.read_text())
    assert content.pop('schema_version') == '1.0'
    assert _inside(content, read_spec(FIRST).model_dump(mode='json'))


def test_the_first_schema_as_it_is_kept_gives_every_field():
    assert hashlib.sha256(FIRST.read_bytes()).hexdigest()[:16] == 'be119eb61f182e4a'
    if SCHEMA_VERSION == '1.0':
        assert yaml.safe_load(FIRST.read_text()) == read_spec(FIRST).model_dump(mode='json')


@pytest.mark.parametrize('version', [1, '1', 1.0, '1.0'])
def test_a_bundle_written_before_the_release_opens_and_is_the_same(version, tmp_path):
    made = tiny_bundle(tmp_path / 'tiny')
    path = made.path / MANIFEST
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()),
                                    'schema_version': version}))
    opened = Bundle.open(made.path)
    assert opened.spec == made.spec and opened.model_id == made.model_id
    assert opened.spec.schema_version == SCHEMA_VERSION


def test_steps_are_taken_one_after_the_other(monkeypatch):
    def renamed(content):
        return {('title' if key == 'name' else key): value for key, value in content.items()}
    monkeypatch.setattr(bundle_versions, 'SCHEMA_VERSION', '2.0')
    monkeypatch.setattr(bundle_versions, 'STEPS', {
        **STEPS, '1.0': Step('1.1', lambda content: {**content, 'colour': 'none'}),
        '1.1': Step('2.0', renamed)})
    assert migrated({'schema_version': 1, 'name': 'x'}, 'here') == {
        'schema_version': '2.0', 'title': 'x', 'colour': 'none'}


@pytest.mark.parametrize('version', ['1.1', 2, None, [], '0.9'])
def test_a_version_that_is_not_known_is_refused_with_what_to_do(version):
    with pytest.raises(BundleError, match='update hoi_perception') as raised:
        migrated({'schema_version': version}, 'x/bundle.yaml')
    assert f'x/bundle.yaml has schema_version {version}' in str(raised.value)
