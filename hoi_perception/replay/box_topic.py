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

"""Boxes of another detector in a bag: which message belongs to which frame."""

from typing import Dict, Iterator, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.message_types import DETECTIONS, INSTANCES

TYPES = (INSTANCES, DETECTIONS, 'vision_msgs/msg/Detection2DArray')
AHEAD_NS = 5_000_000_000
"""Boxes are looked for this long after their frame was recorded: the detector takes its time."""

Stamp = Tuple[int, int]


class BoxTopic:
    """
    The boxes of a bag's topic by the stamp of their image; the frames come in order of recording.

    Messages are read a little ahead of the frames and forgotten behind them. The type is
    one of `TYPES`; the triplets of HoiDetections are not looked at.
    """

    def __init__(self, reader: BagReader, name: str) -> None:
        topics = [topic for topic in reader.topics
                  if topic.name == name and topic.type in TYPES]
        if not topics:
            found = ', '.join(f'{topic.name} ({topic.type})' for topic in reader.topics)
            raise HoiError(f'bag {reader.path} has no boxes on {name}: expected a topic of '
                           f'{" or ".join(TYPES)}; found {found or "no topics"}.')
        self._messages: Iterator[tuple] = reader.messages(topics[0])
        self._waiting: Dict[Stamp, tuple] = {}
        self._read_to = -1
        self._ended = False

    def of(self, stamp: Stamp, log_time: int):
        """Return the message with this stamp for the frame recorded at this time, or None."""
        while stamp not in self._waiting and not self._ended and (
                self._read_to <= log_time + AHEAD_NS):
            found: Optional[tuple] = next(self._messages, None)
            if found is None:
                self._ended = True
                break
            self._read_to, header = found[0], found[1].header
            self._waiting[int(header.stamp.sec), int(header.stamp.nanosec)] = found
        entry = self._waiting.get(stamp)
        old = [key for key, found in self._waiting.items() if found[0] < log_time - AHEAD_NS]
        for key in old:
            del self._waiting[key]
        return None if entry is None else entry[1]
