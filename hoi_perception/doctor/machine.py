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

"""Interpreter, kernel buffers and disk."""

import os
from pathlib import Path
import platform
import shutil
import sys
from typing import Iterator, Mapping, Optional

from hoi_perception.doctor.finding import Finding, PROBLEM, WARNING

LEAST_PYTHON = (3, 10)
# One 1080p RGB image is 6.2 MB, which arrives as a burst of UDP fragments.
LEAST_BUFFER = 8 << 20
LEAST_FRAGMENTS = 128 << 20
LEAST_FREE = 3e9
SYSCTL = Path('/proc/sys/net')
BUFFERS = {'rmem_max': 'core/rmem_max', 'rmem_default': 'core/rmem_default',
           'ipfrag_high_thresh': 'ipv4/ipfrag_high_thresh'}


def machine() -> Iterator[Finding]:
    """Yield the findings about interpreter, kernel and disk."""
    yield interpreter()
    yield buffers({name: _number(SYSCTL / path) for name, path in BUFFERS.items()})
    yield disk(_cache())


def interpreter() -> Finding:
    """Return which Python runs, and whether it is new enough."""
    found = f'{platform.python_implementation()} {platform.python_version()}, {sys.executable}'
    if sys.version_info < LEAST_PYTHON:
        return Finding('interpreter', found, PROBLEM,
                       'Python 3.10 or newer is needed: call hoi with such an interpreter.')
    return Finding('interpreter', found)


def buffers(values: Mapping[str, Optional[int]]) -> Finding:
    """
    Return whether the kernel can take in one large image.

    values: bytes by name of `BUFFERS`, None where the kernel does not tell, as in a container.
    """
    found = ', '.join(f'{name} ' + ('not told' if value is None else f'{value / 1024:.0f} KiB')
                      for name, value in values.items())
    least = {'rmem_max': LEAST_BUFFER, 'rmem_default': LEAST_BUFFER,
             'ipfrag_high_thresh': LEAST_FRAGMENTS}
    small = [name for name, value in values.items() if value is not None and value < least[name]]
    if not small:
        return Finding('receive buffers', found)
    settings = ' '.join(f'net.{BUFFERS[name].replace("/", ".")}={least[name]}' for name in small)
    return Finding(
        'receive buffers', found, WARNING,
        f'large images from another computer may be lost: `sudo sysctl -w {settings} '
        'net.ipv4.ipfrag_time=3`, and the same in /etc/sysctl.d/ to keep it; inside a container, '
        'on its host.')


def _number(path: Path) -> Optional[int]:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _cache() -> Path:
    # As runtime.engines.places, which cannot be imported where PyTorch is broken.
    base = os.environ.get('XDG_CACHE_HOME', '')
    return (Path(base) if os.path.isabs(base) else Path.home() / '.cache') / 'hoi_perception'


def disk(directory: Path) -> Finding:
    """Return whether engines, texts and pulled bundles find room in the cache."""
    existing = next(path for path in (directory, *directory.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    found = f'{free / 1e9:.1f} GB free for {directory}'
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding('cache', f'{found}, not writable', WARNING,
                       'texts are encoded and engines looked for again at every start: `export '
                       'XDG_CACHE_HOME=DIRECTORY` that can be written.')
    if free < LEAST_FREE:
        return Finding('cache', found, WARNING,
                       'a bundle takes up to 1 GB and its engines as much: make room, or `export '
                       'XDG_CACHE_HOME=DIRECTORY` on another disk.')
    return Finding('cache', found)
