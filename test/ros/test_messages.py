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

"""The interface definitions follow their own rules."""

from pathlib import Path
import re

from hoi_perception.core.scene import MaskKind, NONE
import pytest

ROOT = Path(__file__).resolve().parents[2] / 'hoi_msgs'
FILES = sorted([*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv')])


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_every_field_has_a_comment_above_it(path):
    commented = False
    for line in path.read_text().splitlines():
        if line.startswith('#'):
            commented = True
        elif not line.strip() or line == '---':
            commented = False
        else:
            # Fields that belong together (x, y, width, height) may share the comment above them.
            assert commented, f'{path.name}: no comment above {line!r}'


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_every_file_is_listed_in_the_build(path):
    assert f'"{path.parent.name}/{path.name}"' in (ROOT / 'CMakeLists.txt').read_text()


def test_constants_agree_with_the_core():
    messages = pytest.importorskip('hoi_msgs.msg', reason='hoi_msgs is not built')
    assert messages.HoiTriplet.NONE == messages.Instance.NONE == NONE
    for kind in MaskKind:
        assert getattr(messages.Mask, kind.name) == kind


def test_both_packages_have_the_same_version_and_licence():
    texts = [(ROOT / 'package.xml').read_text(), (ROOT.parent / 'package.xml').read_text()]
    for tag in ('version', 'license'):
        assert len({re.search(f'<{tag}>(.*)</{tag}>', text).group(1) for text in texts}) == 1
    version = re.search('<version>(.*)</version>', texts[0]).group(1)
    assert f"version='{version}'" in (ROOT.parent / 'setup.py').read_text()
