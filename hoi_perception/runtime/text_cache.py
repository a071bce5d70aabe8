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

"""Text embeddings kept on disk, so that a restart or an old verb needs no encoding."""

import hashlib
import os
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Sequence, Set

import numpy as np
import torch
from torch import Tensor

_FORMAT = 1
_DIGEST = 32
_LIMIT = 20000


class TextCache:
    """
    One file per phrase below a directory of one text encoder; any number of processes share it.

    directory: where caches are kept. encoder: everything that the embeddings depend on beside the
    phrase (hashes of weights, kind of text). device: where rows are given, and part of the key.
    report: gets a sentence, once each, about damaged files and a directory that cannot be written;
    neither is an error, the phrases are then encoded again.
    """

    def __init__(self, directory: Path, encoder: Sequence[str], device: torch.device,
                 report: Callable[[str], None]) -> None:
        key = '\n'.join((str(_FORMAT), device.type, *encoder))
        self._directory = directory / hashlib.sha256(key.encode()).hexdigest()[:16]
        self._device, self._report = device, report
        self._said: Set[str] = set()
        self._room = _LIMIT - len(self._thin_out())

    def load(self, phrases: Sequence[str]) -> Dict[str, Tensor]:
        """Return the float32 rows (D,) of those phrases that are kept, on the device."""
        found: Dict[str, Tensor] = {}
        damaged = 0
        for phrase in phrases:
            try:
                content = self._path(phrase).read_bytes()
            except OSError:
                continue
            digest, row = content[:_DIGEST], content[_DIGEST:]
            if not row or len(row) % 4 or hashlib.sha256(row).digest() != digest:
                damaged += 1
                continue
            found[phrase] = torch.from_numpy(np.frombuffer(row, '<f4').copy()).to(self._device)
        if damaged:
            self._say('damaged', f'{damaged} of {len(phrases)} kept text embeddings in '
                      f'{self._directory} are damaged: they are encoded and written again.')
        return found

    def store(self, rows: Mapping[str, Tensor]) -> None:
        """Keep rows (D,) by phrase; each file appears whole or not at all."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            for phrase, row in list(rows.items())[:self._room]:
                self._write(self._path(phrase), row.detach().float().cpu().numpy())
                self._room -= 1
        except OSError as error:
            self._say('unwritable', (
                f'text embeddings cannot be kept in {self._directory} ({error.strerror}): they '
                'are encoded again at every start; make it writable or set XDG_CACHE_HOME.'))

    def _path(self, phrase: str) -> Path:
        return self._directory / hashlib.sha256(phrase.encode()).hexdigest()[:32]

    @staticmethod
    def _write(path: Path, row: np.ndarray) -> None:
        content = row.astype('<f4').tobytes()
        temporary = path.with_suffix(f'.{os.getpid()}')
        temporary.write_bytes(hashlib.sha256(content).digest() + content)
        os.replace(temporary, path)

    def _thin_out(self) -> List[Path]:
        """Remove the oldest files where there is little room left; return what is kept."""
        try:
            files = list(self._directory.iterdir())
            if len(files) > _LIMIT // 2:
                files.sort(key=lambda file: file.stat().st_mtime)
                for file in files[:-_LIMIT // 2]:
                    file.unlink()
                files = files[-_LIMIT // 2:]
            return files
        except OSError:  # not there yet, read-only, or another process is thinning it out too
            return []

    def _say(self, kind: str, sentence: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._report(sentence)
