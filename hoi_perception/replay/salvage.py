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
Read what can be read of a damaged bag file: cut short, never finished, or with odd definitions.

The files are read from their beginning, without the index that a finished file has at its end,
up to the first byte that makes no sense.
"""

from collections import Counter
import importlib
from io import BytesIO
from pathlib import Path
import sqlite3
import struct
import sys
from typing import BinaryIO, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple
import zlib

from hoi_perception.core.errors import HoiError
from lz4.frame import LZ4FrameDecompressor
from rosbags.typesys import get_types_from_idl, get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

Kind = Tuple[str, str]
"""Name and message type of a topic."""

_MAGIC = b'\x89MCAP0\r\n'
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 2, 3, 4, 5, 6, 15
_LARGEST = 1 << 32
"""No record of a camera bag is larger; a longer one is damage, not data."""


class Definition(NamedTuple):
    """A message definition as it lies in a bag; encoding: `ros2msg` or `ros2idl`."""

    type: str
    encoding: str
    text: str


class _Damage(Exception):
    """Nothing can be read from here on; the text says why."""


def typestore_of(definitions: List[Definition]) -> Typestore:
    """Return a typestore with those of the definitions that can be understood."""
    store = get_typestore(Stores.EMPTY)
    for definition in definitions:
        try:
            types = {}
            if definition.encoding == 'ros2msg':
                types.update(get_types_from_msg(definition.text, definition.type))
            else:
                for part in definition.text.split('=' * 80 + '\n'):
                    types.update(get_types_from_idl(
                        part.partition('\n')[2] if part.startswith('IDL: ') else part))
            store.register({name: fields for name, fields in types.items()
                            if name not in store.fielddefs})
        except Exception:  # whatever the parser raises: the other types are still good
            continue
    return store


class CutMcap:
    """
    An mcap file as far as it goes; the last chunk too, as far as it goes.

    counts: messages by topic. trouble: why reading ended, '' at the end of a finished file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.trouble = path, ''
        self._schemas: Dict[int, Definition] = {}
        self._channels: Dict[int, Kind] = {}
        self.counts: Counter = Counter(
            self._channels[channel] for channel, _, _ in self._walk() if channel in self._channels)
        self.types = typestore_of(list(self._schemas.values()))

    def messages(self, kind: Kind) -> Iterator[Tuple[int, bytes]]:
        """Yield (log time in ns, serialized message) of a topic, in the order of the file."""
        for channel, log_time, serialized in self._walk():
            if self._channels.get(channel) == kind:
                yield log_time, serialized

    def close(self) -> None:
        """Nothing stays open between two readings."""

    def _walk(self) -> Iterator[Tuple[int, int, bytes]]:
        """Yield (channel, log time, message) and learn schemas and channels on the way."""
        with self.path.open('rb') as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                self.trouble = 'it does not begin like an mcap file'
                return
            try:
                for code, content in _records(file):
                    if code in (_FOOTER, _DATA_END):
                        return
                    if code == _CHUNK:
                        yield from self._chunk(content)
                    else:
                        yield from self._record(code, content)
                raise _Damage('it ends without the mark of a finished file')
            except (_Damage, struct.error, UnicodeDecodeError, IndexError) as error:
                self.trouble = str(error)

    def _record(self, code: int, content: bytes) -> Iterator[Tuple[int, int, bytes]]:
        if code == _MESSAGE:
            channel, _, log_time, _ = struct.unpack_from('<HIQQ', content)
            yield channel, log_time, content[22:]
        elif code == _SCHEMA:
            (key,), at = struct.unpack_from('<H', content), 2
            name, at = _text(content, at)
            encoding, at = _text(content, at)
            self._schemas[key] = Definition(name, encoding, _text(content, at)[0])
        elif code == _CHANNEL:
            key, schema = struct.unpack_from('<HH', content)
            known = self._schemas.get(schema)
            self._channels[key] = _text(content, 4)[0], known.type if known else ''

    def _chunk(self, content: bytes) -> Iterator[Tuple[int, int, bytes]]:
        _, _, _, checksum = struct.unpack_from('<QQQI', content)
        compression, at = _text(content, 28)
        (size,) = struct.unpack_from('<Q', content, at)
        data = content[at + 8:]
        inner = _decompress(compression, data)
        if checksum and len(data) == size and zlib.crc32(inner) != checksum:
            raise _Damage('the checksum of a chunk is wrong')
        for code, record in _records(BytesIO(inner)):
            yield from self._record(code, record)
        if len(data) < size:
            raise _Damage('it ends within a chunk')


def _records(file: BinaryIO) -> Iterator[Tuple[int, bytes]]:
    """Yield (code, content) up to the end; of a last chunk that is cut, what there is of it."""
    while True:
        head = file.read(9)
        if not head:
            return
        if len(head) < 9:
            raise _Damage('it ends within a record')
        code, size = struct.unpack('<BQ', head)
        if size > _LARGEST:
            raise _Damage('it holds a record of an impossible size')
        content = file.read(size)
        if len(content) == size or code == _CHUNK:
            yield code, content
        if len(content) < size:
            raise _Damage('it ends within a record')


def _text(content: bytes, at: int) -> Tuple[str, int]:
    """Return a string with its length before it, and where it ends."""
    (size,) = struct.unpack_from('<I', content, at)
    end = at + 4 + size
    if end > len(content):
        raise _Damage('it ends within a record')
    return content[at + 4:end].decode(), end


def _decompress(compression: str, data: bytes) -> bytes:
    """Return the content of a chunk; of one that is cut, as much as there is."""
    decoders: Dict[str, Callable[[bytes], bytes]] = {
        '': lambda raw: raw, 'lz4': lambda raw: LZ4FrameDecompressor().decompress(raw),
        'zstd': lambda raw: _zstd().ZstdDecompressor().decompress(raw)}
    if compression not in decoders:
        raise _Damage(f'its chunks are compressed with {compression[:20]!r}, which is not known '
                      '(lz4 and zstd are)')
    try:
        return decoders[compression](data)
    except Exception as error:  # lz4 raises RuntimeError, zstd its own
        raise _Damage(f'a chunk cannot be decompressed ({error})') from error


def _zstd():
    # The one that rosbags itself uses.
    return importlib.import_module(
        'compression.zstd' if sys.version_info >= (3, 14) else 'backports.zstd')


class CutSqlite:
    """A .db3 file as far as it goes; the attributes are those of `CutMcap`."""

    def __init__(self, path: Path) -> None:
        self.path, self.trouble = path, ''
        self._torn = is_torn(path)
        if self._torn:
            self.trouble = 'its last page is cut'
        address = path.absolute().as_uri() + '?immutable=1'
        self._file = sqlite3.connect(address, uri=True)
        definitions: List[Definition] = []
        try:
            # Else SQLite refuses a file that is shorter than its first page says.
            self._file.execute('PRAGMA writable_schema=ON')
            rows = self._file.execute('SELECT id, name, type FROM topics')
            self._topics: Dict[int, Kind] = {key: (name, type_) for key, name, type_ in rows}
            if self._file.execute("SELECT 1 FROM sqlite_master WHERE name='message_definitions'"
                                  ).fetchone():
                definitions = [Definition(*row) for row in self._file.execute(
                    'SELECT topic_type, encoding, encoded_message_definition '
                    'FROM message_definitions')]
        except sqlite3.DatabaseError as error:
            self._topics, self.trouble = {}, f'SQLite says: {error}'
        self.types = typestore_of(definitions)
        self.counts: Counter = Counter()
        if self._topics:
            self.counts.update(self._topics[topic] for topic, in self._rows('topic_id')
                               if topic in self._topics)

    def messages(self, kind: Kind) -> Iterator[Tuple[int, bytes]]:
        """Yield (log time in ns, serialized message) of a topic, in the order of writing."""
        wanted = [str(int(key)) for key, found in self._topics.items() if found == kind]
        yield from self._rows('timestamp, data', f'WHERE topic_id IN ({",".join(wanted)})')

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rows(self, columns: str, where: str = '') -> Iterator[tuple]:
        # By row and not by time: the index on time lies at the end and may be lost.
        held: Optional[tuple] = None
        try:
            for row in self._file.execute(
                    f'SELECT {columns} FROM messages NOT INDEXED {where} ORDER BY id'):
                if held is not None:
                    yield held
                held = row
        except sqlite3.DatabaseError as error:
            self.trouble = f'SQLite says: {error}'
        # SQLite fills a torn page up with zeros, and the last row may lie on it.
        if held is not None and not self._torn:
            yield held


def is_torn(path: Path) -> bool:
    """Whether a .db3 file ends within a page, which SQLite itself does not mind."""
    with path.open('rb') as file:
        head = file.read(18)
    size = int.from_bytes(head[16:18], 'big')
    return size > 1 and path.stat().st_size % size != 0


def salvage(path: Path):
    """Return a `CutMcap` or `CutSqlite` of a .mcap or .db3 file; `HoiError` if it has nothing."""
    try:
        found = (CutMcap if path.suffix == '.mcap' else CutSqlite)(path)
    except (OSError, sqlite3.Error) as error:
        raise HoiError(f'{path} cannot be opened: {error}.') from error
    if not found.counts:
        reason = found.trouble or 'it holds no messages'
        found.close()
        raise HoiError(f'nothing can be read from {path}: {reason}.')
    return found
