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

"""The files of a rosbag2, and what its metadata.yaml says of them without being parsed."""

from pathlib import Path
import re
from typing import Any, List

STORAGES = {'.mcap': 'mcap', '.db3': 'sqlite3'}
"""Storage by the name of a data file."""


def data_files(path: Path) -> List[Path]:
    """Return the .mcap and .db3 files of a bag, a directory's in the order of their numbers."""
    if path.is_file():
        return [path] if path.suffix in STORAGES else []
    files = [file for file in path.iterdir() if file.suffix in STORAGES] if path.is_dir() else []

    def numbers(file: Path) -> List[Any]:
        return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', file.name)]
    return sorted(files, key=numbers)


def bag_files(path: Path) -> List[Path]:
    """Return all files of a bag, with its metadata.yaml and those that are compressed."""
    packed = [path / 'metadata.yaml', *(sorted(path.glob('*.zstd')) if path.is_dir() else ())]
    return [file for file in packed if file.is_file()] + data_files(path)


def _metadata(path: Path) -> str:
    try:
        return (path / 'metadata.yaml').read_text(encoding='utf-8', errors='replace')
    except OSError:
        return ''


def is_compressed(path: Path) -> bool:
    """Whether metadata.yaml says that files or messages are compressed as a whole."""
    found = re.search(r'compression_mode:\s*[\'"]?(\w*)', _metadata(path))
    return found is not None and found.group(1).lower() in ('file', 'message')


def absent_files(path: Path, files: List[Path]) -> List[str]:
    """Return the data files that metadata.yaml names and that are not there."""
    named = re.findall(r'([^\s/\'",\[\]]+\.(?:mcap|db3))\b', _metadata(path))
    return sorted(set(named) - {file.name for file in files})


def storage_of(path: Path) -> str:
    """Return the storage of a bag: `mcap` or `sqlite3`."""
    suffixes = {suffix for file in bag_files(path) for suffix in file.suffixes}
    return 'sqlite3' if '.db3' in suffixes else 'mcap'
