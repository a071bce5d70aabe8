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
Read camera frames and ground truth from any rosbag2 (mcap or sqlite3), without a ROS install.

A bag is read directly, every message of it, because playing one is neither complete nor
deterministic. Message definitions are taken from the bag where it has them.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_files import (
    absent_files,
    data_files,
    is_compressed,
    storage_of,
    STORAGES,
)
from hoi_perception.replay.message_types import (
    common_typestore,
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
)
from hoi_perception.replay.salvage import is_torn, Kind, salvage
from hoi_perception.runtime.frames import decode_compressed, decode_raw
import numpy as np
from rosbags.highlevel import AnyReader

IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)

FrameKey = Tuple[int, int, str]
"""Seconds, nanoseconds and frame_id of a header: what identifies a frame across topics."""


def frame_key(header) -> FrameKey:
    """Return what identifies the frame this header belongs to."""
    return int(header.stamp.sec), int(header.stamp.nanosec), str(header.frame_id)


@dataclass(frozen=True)
class Topic:
    """A topic of a bag: its name, message type and number of messages."""

    name: str
    type: str
    count: int


class Frame:
    """
    One camera message of a bag.

    topic, type: where it came from. log_time: nanoseconds at which it was recorded. serialized:
    the message as it lies in the bag (CDR), ready to be published again unchanged.
    """

    def __init__(self, topic: Topic, log_time: int, serialized: bytes, deserialize) -> None:
        self.topic, self.log_time, self.serialized = topic.name, log_time, bytes(serialized)
        self.type = topic.type
        self._deserialize = deserialize

    @cached_property
    def message(self):
        """Return the message with the fields of `sensor_msgs/Image` or `CompressedImage`."""
        return self._deserialize(self.serialized, self.type)

    @property
    def key(self) -> FrameKey:
        """Return stamp and frame_id of the header."""
        return frame_key(self.message.header)

    def rgb(self) -> np.ndarray:
        """Return the pixels as (H, W, 3) uint8 RGB; raises `FrameError`."""
        message = self.message
        if self.type == COMPRESSED_IMAGE:
            return decode_compressed(message.format, message.data)
        return decode_raw(message.encoding, message.width, message.height, message.step,
                          message.data, bool(message.is_bigendian))


class _Whole:
    """A finished bag, or one file of it, opened by rosbags; has the attributes of `CutMcap`."""

    def __init__(self, path: Path) -> None:
        for file in data_files(path):
            if file.suffix == '.db3' and is_torn(file):
                raise HoiError(f'the last page of {file.name} is cut')
        self._reader = AnyReader([path], default_typestore=common_typestore())
        self._reader.open()
        # Kept apart because the reader forgets it on close, and frames may be read after that.
        self.types, self.trouble = self._reader.typestore, ''
        self.counts: Counter = Counter()
        for connection in self._reader.connections:
            self.counts[connection.topic, connection.msgtype] += connection.msgcount
        lacking = {type_ for _, type_ in self.counts} - set(self.types.fielddefs)
        common = common_typestore().fielddefs
        if lacking & set(common):
            self.types.register({name: fields for name, fields in common.items()
                                 if name not in self.types.fielddefs})

    def messages(self, kind: Kind, start: Optional[int] = None,
                 stop: Optional[int] = None) -> Iterator[Tuple[int, bytes]]:
        connections = [c for c in self._reader.connections if (c.topic, c.msgtype) == kind]
        if connections:  # none would mean all
            for _, log_time, serialized in self._reader.messages(connections, start, stop):
                yield log_time, serialized

    def close(self) -> None:
        if self._reader.stack is not None:
            self._reader.close()


class BagReader:
    """
    A rosbag2 opened for reading; use it as a context manager.

    path: a bag directory, or a single .mcap or .db3 file. Every failure is a `HoiError` whose
    sentence names the bag: missing, not a bag, unknown storage, damaged, or without images.
    salvage: of a damaged bag, or one without metadata.yaml, read what can be read. Then trouble
    says what is wrong with it, and cut whether reading ends before its end.
    """

    def __init__(self, path, salvage: bool = False) -> None:
        self.path = Path(path).expanduser()
        self.trouble, self.cut = '', False
        try:
            self._parts: List[Any] = [self._open()]
        except HoiError as error:
            if not salvage:
                raise
            self._parts = self._salvaged(error)
        counts: Counter = Counter()
        for part in self._parts:
            counts.update(part.counts)
        self.topics: Tuple[Topic, ...] = tuple(
            Topic(name, type_, count) for (name, type_), count in sorted(counts.items()))

    def _open(self) -> _Whole:
        if not self.path.exists():
            raise HoiError(f'bag {self.path} does not exist: check the path.')
        if self.path.is_dir() and not (self.path / 'metadata.yaml').is_file():
            inside = sorted(path.parent.name for path in self.path.glob('*/metadata.yaml'))
            advice = f'give one of the bags in it: {", ".join(inside[:8])}' if inside else (
                'give the bag directory or its .mcap or .db3 file')
            raise HoiError(f'{self.path} is a directory without metadata.yaml, so it is not a '
                           f'rosbag2: {advice}.')
        if self.path.is_file() and self.path.suffix not in STORAGES:
            raise HoiError(f'{self.path} is not a rosbag2: expected a bag directory or a .mcap or '
                           '.db3 file (convert ROS 1 bags with rosbags-convert).')
        try:
            return _Whole(self.path)
        except Exception as error:  # rosbags raises its own, sqlite3's, struct's and yaml's errors
            raise self._damaged(error) from error

    def _salvaged(self, error: HoiError) -> List[Any]:
        """Return what can be read of the bag's files one by one, and say what is wrong."""
        files = data_files(self.path)
        if not files or is_compressed(self.path):
            raise error
        parts, troubles = [], []
        for file in files:
            try:
                parts.append(_Whole(file))
            except Exception:  # see `_open`
                try:
                    parts.append(salvage(file))
                except HoiError as nothing:
                    troubles.append(str(nothing).rstrip('.'))
                    self.cut = True
                    continue
                if parts[-1].trouble:
                    troubles.append(f'{file.name} is read from its beginning as far as it goes: '
                                    f'{parts[-1].trouble}')
                    self.cut = True
        if not parts:
            raise HoiError(f'bag {self.path} cannot be read: {"; ".join(troubles)}.') from error
        absent = absent_files(self.path, files)
        if absent:
            troubles.append(f'metadata.yaml names files that are not there ({", ".join(absent)})')
            self.cut = True
        if not troubles and self.path.is_dir() and not (self.path / 'metadata.yaml').exists():
            names = ', '.join(file.name for file in files)
            troubles.append(f'it has no metadata.yaml; its files are read directly ({names})')
        self.trouble = f'bag {self.path}: ' + (
            f'{"; ".join(troubles)}.' if troubles else f'read past a fault: {error}')
        return parts

    def _damaged(self, error: Exception) -> HoiError:
        detail = ' '.join(str(error).split())[:200] or type(error).__name__
        return HoiError(f'bag {self.path} cannot be read, it is damaged, cut short or of an '
                        f'unknown kind ({detail}).')

    @property
    def storage(self) -> str:
        """The storage of the bag: `mcap` or `sqlite3`."""
        return storage_of(self.path)

    def close(self) -> None:
        """Close the bag's files."""
        for part in self._parts:
            part.close()

    def __enter__(self) -> 'BagReader':
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def image_topics(self) -> Tuple[Topic, ...]:
        """Return the topics with camera frames: depth last, the one with most frames first."""
        images = [topic for topic in self.topics if topic.type in IMAGE_TYPES and topic.count]
        return tuple(sorted(images, key=lambda topic: (
            'depth' in topic.name.lower(), -topic.count, topic.name)))

    def choose_image_topic(self, name: Optional[str] = None) -> Topic:
        """Return the image topic of that name, or the one with most frames; else `HoiError`."""
        images = self.image_topics()
        if not images:
            found = ', '.join(f'{topic.name} ({topic.type})' for topic in self.topics)
            raise HoiError(f'bag {self.path} has no camera images: it needs messages of {IMAGE} '
                           f'or {COMPRESSED_IMAGE}; found {found or "no topics"}.')
        if name is None:
            return images[0]
        for topic in images:
            if topic.name == name:
                return topic
        raise HoiError(f'bag {self.path} has no images on topic {name!r}; topics with images: '
                       f'{", ".join(topic.name for topic in images)}.')

    def frames(self, topic: Optional[Topic] = None, log_time: Optional[int] = None) \
            -> Iterator[Frame]:
        """
        Yield every camera frame of a topic in the order of recording.

        log_time: only the frames recorded at that time, found without reading the others.
        """
        topic = topic or self.choose_image_topic()
        for time, serialized in self._raw(topic, log_time):
            yield Frame(topic, time, serialized, self.deserialize)

    def messages(self, topic: Topic) -> Iterator[tuple]:
        """Yield (log time in ns, message) of every message of a topic."""
        for log_time, serialized in self._raw(topic):
            yield log_time, self.deserialize(serialized, topic.type)

    def topics_of_type(self, type_: str) -> List[Topic]:
        """Return the non-empty topics with this message type."""
        return [topic for topic in self.topics if topic.type == type_ and topic.count]

    def ground_truth(self) -> Dict[FrameKey, object]:
        """
        Return the true HoiDetections message of each frame, empty if the bag has none.

        Read from topics of that type whose name contains `ground_truth`, so that a results bag
        is never taken for the truth about itself.
        """
        truth = {}
        for topic in self.topics_of_type(DETECTIONS):
            if 'ground_truth' in topic.name:
                for _, message in self.messages(topic):
                    truth[frame_key(message.header)] = message
        return truth

    def deserialize(self, serialized: bytes, type_: str):
        """Return the message object of serialized bytes; `HoiError` if they do not fit."""
        store = next((part.types for part in self._parts if type_ in part.types.fielddefs), None)
        if store is None:
            store = common_typestore()
            if type_ not in store.fielddefs:
                raise HoiError(
                    f'bag {self.path} does not define its message type {type_}, and that is none '
                    'of the common ones: record it again with a newer rosbag2, or as mcap, where '
                    'definitions are part of the bag.')
        try:
            return store.deserialize_cdr(serialized, type_)
        except Exception as error:
            raise self._damaged(error) from error

    def _raw(self, topic: Topic, log_time: Optional[int] = None) -> Iterator[Tuple[int, bytes]]:
        kind = topic.name, topic.type
        for part in self._parts:
            if log_time is None or not isinstance(part, _Whole):
                messages = part.messages(kind)
            else:
                messages = part.messages(kind, log_time, log_time + 1)
            while True:
                try:
                    found = next(messages, None)
                except Exception as error:
                    raise self._damaged(error) from error
                if found is None:
                    break
                if log_time is None or found[0] == log_time:
                    yield found
