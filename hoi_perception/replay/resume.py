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
The journal of a replay under way: what it needs to go on after an interruption.

Every frame is one record: what became of it, and its messages. Frames are never computed again;
tracking is taken up by giving it the recorded scenes once more. A record that was cut (a power
failure, a full disk) is left out, and the replay goes on from there.
"""

from dataclasses import asdict
import json
import os
from pathlib import Path
import struct
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple
import zlib

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.answer import Written
from hoi_perception.replay.records import BAGS, FrameRecord, RunInfo

JOURNAL = 'journal.part'
"""Name of the file; a replay that has it was interrupted, one that has ended has not."""

_HEAD = struct.Struct('<II')


class Entry(NamedTuple):
    """A frame in the journal; own_ids: its instances were given with ids."""

    record: FrameRecord
    messages: Tuple[Written, ...] = ()
    own_ids: bool = False


class Journal:
    """
    Appends entries to a file; use it as a context manager.

    Opening keeps the whole entries that are there and cuts off what follows them; they are read
    with `entries`. count: how many there are.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open(path, 'ab', buffering=0)
        ends = [0]
        for _, end in self._blocks():
            ends.append(end)
        self.count = len(ends) - 1
        os.truncate(path, ends[-1])

    def __enter__(self) -> 'Journal':
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def append(self, entry: Entry) -> None:
        """Write an entry, in one piece."""
        head = json.dumps({'record': asdict(entry.record), 'own_ids': entry.own_ids, 'messages': [
            (message.topic, len(message.serialized)) for message in entry.messages]}).encode()
        block = b'\n'.join([head, b''.join(message.serialized for message in entry.messages)])
        self._file.write(_HEAD.pack(len(block), zlib.crc32(block)) + block)
        self.count += 1

    def entries(self) -> Iterator[Entry]:
        """Yield what was written before, in order."""
        for block, _ in self._blocks():
            head, _, rest = block.partition(b'\n')
            values, messages, at = json.loads(head), [], 0
            for topic, size in values['messages']:
                messages.append(Written(topic, rest[at:at + size]))
                at += size
            record = values['record']
            yield Entry(FrameRecord(**{**record, 'key': tuple(record['key'])}), tuple(messages),
                        values['own_ids'])

    def _blocks(self) -> Iterator[Tuple[bytes, int]]:
        """Yield each whole block and where it ends."""
        with self.path.open('rb') as file:
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                size, checksum = _HEAD.unpack(head)
                block = file.read(size)
                if len(block) < size or zlib.crc32(block) != checksum:
                    return
                yield block, file.tell()


def check_same(before: RunInfo, now: RunInfo) -> None:
    """Raise `HoiError` saying what differs, unless the interrupted replay can go on as this."""
    differences: List[str] = []
    for what, old, new in (
            ('mode', before.mode, now.mode), ('model', before.model_id, now.model_id),
            ('latencies', before.latency_source, now.latency_source),
            *_pairs('', before.options, now.options),
            *_pairs('file ', before.inputs, now.inputs),
            *_pairs('engine of ', before.engines, now.engines)):
        if old != new:
            differences.append(f'{what} was {_short(old)} and is {_short(new)}')
    if differences:
        raise HoiError(
            f'an interrupted replay of something else is there: {"; ".join(differences[:5])}. '
            'Choose another --out, or add --restart to throw it away.')


def _pairs(prefix: str, old: Dict[str, Any], new: Dict[str, Any]) -> Iterator[tuple]:
    for name in sorted({*old, *new} - {BAGS}):  # the files themselves are compared
        yield f'{prefix}{name}', old.get(name), new.get(name)


def _short(value: Any) -> str:
    text = 'nothing' if value is None else str(value)
    return text if len(text) <= 40 else f'{text[:12]}...'
