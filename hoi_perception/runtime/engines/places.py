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

"""Where engines are kept: in their bundle, or in the user's cache where that cannot be written."""

import hashlib
import os
from pathlib import Path
from typing import Optional, Tuple

from hoi_perception.runtime.bundle import Bundle


def cache_directory() -> Path:
    """Return `$XDG_CACHE_HOME/hoi_perception`, by default `~/.cache/hoi_perception`."""
    base = os.environ.get('XDG_CACHE_HOME', '')
    # The specification says that a relative path is to be ignored.
    return (Path(base) if os.path.isabs(base) else Path.home() / '.cache') / 'hoi_perception'


def writable(directory: Path) -> bool:
    """Whether files can be made in a directory, or the directory where it is missing."""
    return os.access(directory if directory.is_dir() else directory.parent, os.W_OK | os.X_OK)


def engine_directories(bundle: Bundle, out: Optional[Path] = None) -> Tuple[Path, ...]:
    """
    Return the directories to look for engines in; builds go to the first.

    That is `out` where given, else `engines/` of the bundle, else, where the bundle is read-only
    (installed for all users), a directory of its own in the user's cache.
    """
    shipped = bundle.path / 'engines'
    if out is not None:
        return (out, shipped)
    if writable(shipped):
        return (shipped,)
    return (user_directory(bundle), shipped)


def user_directory(bundle: Bundle) -> Path:
    """Return the directory of a bundle's engines in the user's cache."""
    where = hashlib.sha256(str(bundle.path.resolve()).encode()).hexdigest()[:8]
    return cache_directory() / 'engines' / f'{bundle.spec.name}-{where}'
