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
Engines on disk: whole or absent, locked while built, checked before they are loaded.

Each engine is a directory named after its key. It holds the backend's files and `engine.json`:
key, SHA-256 of every file, parity and latency. It is written under a hidden name and renamed when
complete, so a build that is killed leaves nothing that loads; the next one clears it away.
"""

from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
import errno
import hashlib
import json
import os
from pathlib import Path
import shutil
import tempfile
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple, Union

from filelock import FileLock, Timeout
from hoi_perception.runtime.bundle import sha256
from hoi_perception.runtime.engines.backend import EngineError
from hoi_perception.runtime.engines.key import EngineKey

RECORD, SCHEMA = 'engine.json', 1
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SAME = ('name', 'bucket', 'backend', 'precision')
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
WAIT = 2.0


@dataclass(frozen=True)
class StoredEngine:
    """
    A complete engine in its directory.

    files: SHA-256 by name. facts: what the build measured (`parity`, `latency_ms`, `refused`).
    """

    directory: Path
    key: EngineKey
    files: Mapping[str, str]
    facts: Mapping[str, Any]

    @property
    def refused(self) -> str:
        """Why the engine must not be used: a sentence, '' = it may be."""
        return str(self.facts.get('refused', ''))

    @property
    def latency(self) -> float:
        """Its median time when it was built, in milliseconds; 0 = not measured."""
        return float((self.facts.get('latency_ms') or {}).get('engine', 0))

    @property
    def speedup(self) -> float:
        """How many times as fast as eager it was when it was built; 0 = not measured."""
        if not self.latency:
            return 0.0
        return float(self.facts['latency_ms'].get('eager', 0)) / self.latency

    def verify(self) -> None:
        """Compare every file with its SHA-256; raises `EngineError` on the first that differs."""
        for name, expected in self.files.items():
            path = self.directory / name
            if not path.is_file():
                raise EngineError(f'{path} is missing: the engine is damaged and is not used.')
            if sha256(path) != expected:
                raise EngineError(f'{path} was altered since it was built (its SHA-256 differs): '
                                  'the engine is damaged and is not used.')


class EngineStore:
    """
    The engines in a directory; others are looked into but never written.

    directory: where builds go, made when the first begins. also: directories to look in.
    """

    def __init__(self, directory: Union[str, Path], *also: Union[str, Path]) -> None:
        self.directory = Path(directory)
        self._all = tuple(dict.fromkeys([self.directory, *map(Path, also)]))

    def find(self, key: EngineKey) -> Optional[StoredEngine]:
        """
        Return the engine of this very key, or None where there is none.

        Raises `EngineError` where its record is damaged. Files are checked by `verify`.
        """
        for directory in self._all:
            if (directory / key.directory).is_dir():
                return read_engine(directory / key.directory, key)
        return None

    def mismatch(self, key: EngineKey) -> str:
        """
        Say in what the engine nearest to a key differs from it; '' where none is near.

        Near are engines of the same graph, bucket, backend and precision.
        """
        near = []
        for found, content in self._records():
            if all(content.get(name) == getattr(key, name) for name in SAME):
                near.append((key.differences(content), found))
        if not near:
            return ''
        differences, where = min(near, key=lambda item: len(item[0]))
        return (f'{where.name} is not used for {key.label}: it was built for '
                f'{", ".join(differences)}.')

    def _records(self) -> Iterator[Tuple[Path, Dict[str, Any]]]:
        for directory in self._all:
            for path in sorted(directory.glob(f'[!.]*/{RECORD}')):
                try:
                    yield path.parent, dict(json.loads(path.read_text(encoding='utf-8'))['key'])
                except (OSError, ValueError, KeyError, TypeError):
                    continue

    def build(self, key: EngineKey, write: Callable[[Path], Mapping[str, Any]],
              report: Callable[[str], None] = lambda line: None) -> StoredEngine:
        """
        Return the engine of the key, writing it where there is none or a damaged one.

        write: puts the files into the empty directory it is given and returns the facts about
        them. Of two builders at once the second waits for the first and takes its result.
        report: receives a sentence while waiting. Raises `EngineError`; what `write` raises
        passes through, except a full or read-only disk.
        """
        with self._sentences(key):
            self.directory.mkdir(parents=True, exist_ok=True)
            with self._lock(key, report):
                self.clear(key.directory)
                stored = self._whole(key)
                return stored or self._write(key, write)

    def _whole(self, key: EngineKey) -> Optional[StoredEngine]:
        try:
            stored = self.find(key)
            if stored is not None:
                stored.verify()
            return stored
        except EngineError:
            return None

    def _write(self, key: EngineKey,
               write: Callable[[Path], Mapping[str, Any]]) -> StoredEngine:
        work = self._work(key)
        try:
            facts = write(work)
            seal(work, key, facts)
            target = self.directory / key.directory
            if target.exists():  # damaged, or it would have been found
                target.rename(self._work(key))
            work.rename(target)
            _sync(self.directory)
            return read_engine(target, key)
        finally:
            self.clear(key.directory)

    def _work(self, key: EngineKey) -> Path:
        return Path(tempfile.mkdtemp(prefix=f'.{key.directory}.', dir=self.directory))

    def clear(self, held: str = '', remove: bool = True) -> int:
        """
        Remove what was replaced and what killed builds left: what no other builder locks.

        held: the name whose lock the caller has. remove: False = only count. Return its bytes.
        """
        size = 0
        for leftover in self.directory.glob('.*'):
            if not leftover.is_dir():
                continue
            name = leftover.name[1:].rpartition('.')[0]
            with suppress(Timeout, OSError), (
                    nullcontext() if name == held else FileLock(self._lock_file(name), timeout=0)):
                size += size_of(leftover)
                if remove:
                    shutil.rmtree(leftover, ignore_errors=True)
        return size

    def discard(self, name: str) -> None:
        """
        Remove the engine in the directory of that name, so that nobody sees half of it.

        A process that has loaded it keeps it. Raises `EngineError` where it cannot be removed.
        """
        path = self.directory / name
        try:
            with FileLock(self._lock_file(name), timeout=0):
                hidden = Path(tempfile.mkdtemp(prefix=f'.{name}.', dir=self.directory))
                path.rename(hidden)
                shutil.rmtree(hidden)
        except Timeout as error:
            raise EngineError(f'{path} is not removed: another process works on it.') from error
        except OSError as error:
            raise EngineError(f'{path} cannot be removed: {error.strerror or error}.') from error

    def _lock_file(self, name: str) -> Path:
        return self.directory / f'.{name}.lock'

    @contextmanager
    def _lock(self, key: EngineKey, report: Callable[[str], None]) -> Iterator[None]:
        # The kernel drops the lock with the process, however that ends.
        lock = FileLock(self._lock_file(key.directory))
        waited = 0.0
        while True:
            try:
                lock.acquire(timeout=WAIT)
                break
            except Timeout:
                waited += WAIT
                report(f'{key.label}: another process builds it, waiting, {waited:.0f} s.')
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _sentences(self, key: EngineKey) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EngineError(disk_sentence(error, self.directory, key.label)) from error


def disk_sentence(error: OSError, directory: Path, label: str) -> str:
    """Say what is wrong with the disk and what to do."""
    where = f'the engine {label} cannot be written to {directory}'
    if error.errno in FULL:
        return (f'{where}: the disk is full ({error.strerror}). Free some space, or give another '
                'directory with --out.')
    if error.errno in READ_ONLY:
        return (f'{where}: it is read-only ({error.strerror}). Build as a user who may write '
                'there, or give another directory with --out.')
    return f'{where}: {error.strerror or error}. Give another directory with --out.'


def seal(directory: Path, key: EngineKey, facts: Mapping[str, Any]) -> None:
    """Write `engine.json` over the files in a directory and bring all of them to the disk."""
    names = sorted(str(path.relative_to(directory)) for path in directory.rglob('*')
                   if path.is_file())
    body = {'schema': SCHEMA, 'key': asdict(key), 'facts': dict(facts),
            'files': {name: sha256(directory / name) for name in names}}
    content = {**body, 'seal': _seal_of(body)}
    (directory / RECORD).write_text(json.dumps(content, indent=1), encoding='utf-8')
    for name in [*names, RECORD]:
        _sync(directory / name)
    directory.chmod(0o755)


def read_engine(directory: Path, key: Optional[EngineKey] = None) -> StoredEngine:
    """
    Read an engine's record; key: that it must have, None = whatever its own is.

    Raises `EngineError` where it is damaged or of another key.
    """
    path = directory / RECORD
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        intact = content.pop('seal') == _seal_of(content) and content['schema'] == SCHEMA
        key = key or EngineKey(**content['key'])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f'{path} cannot be read: the engine is damaged and is not used.') \
            from error
    if not intact:
        raise EngineError(f'{path} was altered since it was written: the engine is damaged and '
                          'is not used.')
    if differences := key.differences(content['key']):
        raise EngineError(f'{directory} holds an engine for {", ".join(differences)}: it is not '
                          'used.')
    return StoredEngine(directory, key, content['files'], content['facts'])


def size_of(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob('*') if path.is_file())


def _seal_of(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    """Bring a file or directory to the disk; a full disk may show only here."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
