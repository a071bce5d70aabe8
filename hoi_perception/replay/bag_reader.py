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

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.message_types import (
    common_typestore,
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
)
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


class BagReader:
    """
    A rosbag2 opened for reading; use it as a context manager.

    path: a bag directory, or a single .mcap or .db3 file. Every failure is a `HoiError` whose
    sentence names the bag: missing, not a bag, unknown storage, damaged, or without images.
    """

    def __init__(self, path) -> None:
        self.path = Path(path).expanduser()
        self._reader = self._open()
        # Kept apart because the reader forgets it on close, and frames may be read after that.
        self._types = self._reader.typestore
        counts: Dict[Tuple[str, str], int] = {}
        for connection in self._reader.connections:
            key = (connection.topic, connection.msgtype)
            counts[key] = counts.get(key, 0) + connection.msgcount
        self.topics: Tuple[Topic, ...] = tuple(
            Topic(name, type_, count) for (name, type_), count in sorted(counts.items()))

    def _open(self) -> AnyReader:
        if not self.path.exists():
            raise HoiError(f'bag {self.path} does not exist: check the path.')
        if self.path.is_dir() and not (self.path / 'metadata.yaml').is_file():
            inside = sorted(path.parent.name for path in self.path.glob('*/metadata.yaml'))
            advice = f'give one of the bags in it: {", ".join(inside[:8])}' if inside else (
                'give the bag directory or its .mcap or .db3 file')
            raise HoiError(f'{self.path} is a directory without metadata.yaml, so it is not a '
                           f'rosbag2: {advice}.')
        if self.path.is_file() and self.path.suffix not in ('.mcap', '.db3'):
            raise HoiError(f'{self.path} is not a rosbag2: expected a bag directory or a .mcap or '
                           '.db3 file (convert ROS 1 bags with rosbags-convert).')
        try:
            reader = AnyReader([self.path], default_typestore=common_typestore())
            reader.open()
        except Exception as error:  # rosbags raises its own, sqlite3's, struct's and yaml's errors
            raise self._damaged(error) from error
        return reader

    def _damaged(self, error: Exception) -> HoiError:
        detail = ' '.join(str(error).split())[:200] or type(error).__name__
        return HoiError(f'bag {self.path} cannot be read, it is damaged, cut short or of an '
                        f'unknown kind ({detail}).')

    def close(self) -> None:
        """Close the bag's files."""
        if self._reader.stack is not None:
            self._reader.close()

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

    def frames(self, topic: Optional[Topic] = None) -> Iterator[Frame]:
        """Yield every camera frame of a topic in the order of recording."""
        topic = topic or self.choose_image_topic()
        for log_time, serialized in self._raw(topic):
            yield Frame(topic, log_time, serialized, self.deserialize)

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
        try:
            return self._types.deserialize_cdr(serialized, type_)
        except Exception as error:
            raise self._damaged(error) from error

    def _raw(self, topic: Topic) -> Iterator[Tuple[int, bytes]]:
        connections = [c for c in self._reader.connections
                       if c.topic == topic.name and c.msgtype == topic.type]
        messages = self._reader.messages(connections)
        while True:
            try:
                _, log_time, serialized = next(messages)
            except StopIteration:
                return
            except Exception as error:
                raise self._damaged(error) from error
            yield log_time, serialized
