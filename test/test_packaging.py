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

"""What installers, colcon and people rely on in the repository's own files."""

from pathlib import Path
import re
import subprocess
import sys
import xml.etree.ElementTree as Xml

import hoi_perception
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {'hoi_perception': ROOT / 'package.xml', 'hoi_msgs': ROOT / 'hoi_msgs/package.xml'}


def tracked(*patterns):
    """Return the files git knows, or skip outside of a checkout."""
    done = subprocess.run(['git', 'ls-files', *patterns], cwd=ROOT, text=True,
                          capture_output=True, check=False)
    if done.returncode:
        pytest.skip('not a git checkout: the tracked files cannot be listed.')
    return [ROOT / line for line in done.stdout.splitlines()]


@pytest.mark.parametrize('name', PACKAGES)
def test_manifests_say_the_same_as_the_package(name):
    root = Xml.parse(PACKAGES[name]).getroot()
    assert root.get('format') == '3'
    assert root.findtext('name') == name
    assert root.findtext('version') == hoi_perception.__version__
    assert root.findtext('license') == 'Apache-2.0'


def test_setup_py_says_the_same_as_the_manifest():
    text = (ROOT / 'setup.py').read_text()
    assert f"version='{hoi_perception.__version__}'" in text
    assert "license='Apache-2.0'" in text


def test_every_source_file_carries_the_licence():
    bare = [path for path in tracked('*.py', '*.sh', 'Makefile') if path.stat().st_size
            and 'Licensed under the Apache License' not in path.read_text()[:1200]]
    assert bare == []


def test_imports_go_one_way():
    done = subprocess.run([sys.executable, 'scripts/check_imports.py'], cwd=ROOT, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_shipped_weights_stay_below_20_megabytes_and_have_a_card():
    weights = tracked('models/**/*.safetensors')
    assert sum(path.stat().st_size for path in weights) <= 20e6
    for path in weights:
        bundle = path.parent.parent if path.parent.name == 'heads' else path.parent
        assert (bundle / 'CARD.md').is_file(), f'{bundle} has no card'


def test_exact_versions_are_kept_for_every_supported_python():
    for minor in range(10, 15):
        path = ROOT / f'constraints/py3{minor}.txt'
        lines = [line for line in path.read_text().splitlines() if not line.startswith('#')]
        assert lines, f'{path} is empty'
        assert all(re.fullmatch(r'[A-Za-z0-9._-]+==\S+', line) for line in lines), path
