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

"""What several tests of engines need."""

import subprocess

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """Return a directory on a disk of 64 KiB."""
    place = tmp_path / 'small'
    place.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', str(place)],
                          capture_output=True, check=False)
    if done.returncode:
        pytest.skip('a small file system cannot be mounted here: no rights.')
    yield place
    subprocess.run(['umount', str(place)], check=True)
