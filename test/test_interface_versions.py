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

"""Messages, services and the bundle schema change only together with their version."""

import hashlib
from pathlib import Path
import re

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / 'hoi_msgs' / 'interfaces.yaml'
# Of the first release as it is recorded: what was released is never rewritten.
FIRST = '22c5b2b712704b19'


def definition(text: str) -> str:
    """Return what counts of a .msg, .srv or .action: fields and constants, without comments."""
    lines = (re.sub(r'#.*', '', line).split() for line in text.splitlines())
    return '\n'.join(' '.join(words) for words in lines if words)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def interfaces():
    return {path.relative_to(ROOT / 'hoi_msgs').as_posix(): digest(definition(path.read_text()))
            for pattern in ('*.msg', '*.srv', '*.action')
            for path in sorted((ROOT / 'hoi_msgs').glob(f'*/{pattern}'))}


def record():
    return yaml.safe_load(RECORD.read_text())


def test_interfaces_are_those_of_their_newest_version():
    version, recorded = list(record().items())[-1]
    now = yaml.safe_dump({'NEXT': interfaces()}, sort_keys=True)
    assert interfaces() == recorded, (
        f'interfaces differ from version {version}: see docs/versions.md, and add to {RECORD}\n'
        f'{now}')


def test_versions_grow_and_a_changed_interface_is_a_new_major():
    versions = [(tuple(map(int, name.split('.'))), parts) for name, parts in record().items()]
    for (old, before), (new, after) in zip(versions, versions[1:]):
        assert new > old and len(new) == 2
        kept = all(after.get(name) == value for name, value in before.items())
        assert kept or new[0] > old[0], f'{old} -> {new} changes what was released'


def test_the_first_release_is_never_rewritten():
    first, parts = next(iter(record().items()))
    assert first == '1.0'
    assert digest(yaml.safe_dump(parts, sort_keys=True)) == FIRST


@pytest.mark.parametrize(('text', 'same'), [
    ('uint8 A=0\n# more\nuint8 kind   # which\n', True), ('uint8 A=0\nuint16 kind\n', False),
    ('uint8 A=1\nuint8 kind\n', False), ('uint8 kind\nuint8 A=0\n', False),
    ('uint8 A=0\nuint8 kind\nuint8 more\n', False)])
def test_comments_and_spaces_do_not_count_and_everything_else_does(text, same):
    assert (definition(text) == 'uint8 A=0\nuint8 kind') == same


def test_the_documents_say_the_version():
    newest = list(record())[-1]
    assert f'version {newest}' in (ROOT / 'docs/reference/messages.md').read_text()
