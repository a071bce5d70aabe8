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

"""Write a rosbag2 (mcap) with camera frames and our own messages, without a ROS install."""

from pathlib import Path
import shutil
from typing import Any, Dict, Union

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.message_types import hoi_typestore
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

_FOREVER = QosTime(9223372036, 854775807)
_LATCHED = Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
               _FOREVER, _FOREVER, QosLiveliness.AUTOMATIC, _FOREVER, False)


class BagWriter:
    """
    A new rosbag2 directory; use it as a context manager, leaving it finishes the bag.

    An older bag of that name is replaced; any other existing thing is refused with a `HoiError`.
    storage: `mcap` or `sqlite3`.
    """

    def __init__(self, path, storage: str = 'mcap') -> None:
        self.path = Path(path)
        if self.path.exists():
            if not (self.path / 'metadata.yaml').is_file() and any(self.path.iterdir()
                                                                   if self.path.is_dir() else [1]):
                raise HoiError(f'{self.path} exists and is not a rosbag2: it is not overwritten; '
                               'remove it or choose another output directory.')
            shutil.rmtree(self.path)
        self.types = hoi_typestore()
        self._connections: Dict[str, Any] = {}
        self._writer = Writer(self.path, version=9, storage_plugin=StoragePlugin[storage.upper()])
        self._writer.open()

    def add_topic(self, topic: str, type_: str, latched: bool = False) -> None:
        """
        Announce a topic, so that the bag names it even when nothing is written to it.

        latched: whoever plays the bag shall keep the last message for those who come later.
        """
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type_, typestore=self.types,
                offered_qos_profiles=[_LATCHED] if latched else [])

    def write_serialized(self, topic: str, type_: str, log_time: int,
                         serialized: Union[bytes, memoryview]) -> None:
        """Write a message that is already serialized (CDR); log_time in nanoseconds, from 0."""
        self.add_topic(topic, type_)
        self._writer.write(self._connections[topic], max(int(log_time), 0), serialized)

    def write(self, topic: str, type_: str, log_time: int, message) -> None:
        """Write a message object made with `message(type, ...)`; log_time in nanoseconds."""
        self.write_serialized(topic, type_, log_time, self.types.serialize_cdr(message, type_))

    def message(self, type_: str, *fields, **named):
        """Return a message object of that type; every field must be given."""
        return self.types.types[type_](*fields, **named)

    def close(self) -> None:
        """Finish the bag: write its index and metadata."""
        if self._writer.storage is not None:
            self._writer.close()

    def __enter__(self) -> 'BagWriter':
        return self

    def __exit__(self, *_) -> None:
        self.close()
