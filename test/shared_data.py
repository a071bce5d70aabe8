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

"""Find material that lives outside the repository, or skip with a reason."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared_root() -> Path:
    """Return the directory of the shared material ($HOI_SHARED_DIR or ../shared)."""
    return Path(os.environ.get('HOI_SHARED_DIR', ROOT.parent / 'shared'))


def golden_root() -> Path:
    """Return the directory of golden cases ($HOI_GOLDEN_DIR or ../shared/golden)."""
    return Path(os.environ.get('HOI_GOLDEN_DIR', shared_root() / 'golden'))


def missing(path: Path) -> None:
    """Skip the test, or fail it where HOI_REQUIRE_SHARED=1 says the material must be there."""
    reason = f'{path} is not there (material outside the repository)'
    if os.environ.get('HOI_REQUIRE_SHARED') == '1':
        pytest.fail(reason)
    pytest.skip(reason)


def require_shared(relative: str) -> Path:
    """Return a path below the shared material; `golden/...` follows $HOI_GOLDEN_DIR."""
    if relative.startswith('golden/'):
        path = golden_root() / relative[len('golden/'):]
    else:
        path = shared_root() / relative
    if not path.exists():
        missing(path)
    return path


def golden_files(pattern: str) -> list:
    """
    Return parameters for `pytest.mark.parametrize`: one per matching golden file.

    Where there is none, a single parameter whose test must call `golden_case` and so skips.
    """
    found = sorted(golden_root().glob(pattern))
    return [pytest.param(path, id=path.stem) for path in found] or [
        pytest.param(golden_root() / pattern, id='absent')]


def golden_case(path: Path) -> Path:
    """Return the path, or skip (fail) where it is not there."""
    if not path.is_file():
        missing(path)
    return path
