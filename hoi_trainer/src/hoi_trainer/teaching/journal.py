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

"""
A file of JSON lines that survives a kill at any moment.

Every batch is written, flushed and synced at once. What a kill cut in the middle of a line is
removed when the file is opened again.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any, Dict, List, Sequence

from hoi_perception.core.errors import HoiError


class Journal:
    """
    Lines appended to a file; use it as a context manager.

    header: the first line; a file that begins with another one is refused. lines: the texts of
    all complete lines after the header.
    """

    def __init__(self, path: Path, header: Dict[str, Any]) -> None:
        self.path = Path(path)
        first = json.dumps(header, ensure_ascii=False)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = open(self.path, 'a+b')
        except OSError as error:
            raise HoiError(f'{path} cannot be written: {error.strerror}.') from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.lines: List[str] = self._repaired(first)
        except BlockingIOError as error:
            self._file.close()
            raise HoiError(f'{path} is being written by another process.') from error
        except HoiError:
            self._file.close()
            raise

    def _repaired(self, first: str) -> List[str]:
        """Return the complete lines after the header; cut a torn one off, write the header."""
        self._file.seek(0)
        content = self._file.read()
        whole = content[:content.rfind(b'\n') + 1]
        lines = whole.decode('utf-8', errors='replace').splitlines()
        if lines and lines[0] != first or not lines and not first.encode().startswith(content):
            raise HoiError(f'{self.path} was begun with other settings or is another file: '
                           f'its first line is not {first:.300}. Choose another file, or remove '
                           'it to begin anew.')
        if len(whole) < len(content):
            self._file.truncate(len(whole))
        if not lines:
            self.append([first])
        return lines[1:]

    def append(self, lines: Sequence[str]) -> None:
        """Write lines so that they are on the disk when this returns."""
        self._file.write(''.join(f'{line}\n' for line in lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> 'Journal':
        return self

    def __exit__(self, *_) -> None:
        self._file.close()
