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

"""Pair frames with the boxes another detector found in them, by exact stamp; no ROS in here."""

from collections import OrderedDict
from typing import Any, Hashable, Optional, Tuple


class StampMatcher:
    """
    Two small bounded buffers; whichever of frame and boxes comes second completes the pair.

    `dropped_frames` and `dropped_boxes` count what was pushed out without a counterpart.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._frames: OrderedDict[Hashable, Any] = OrderedDict()
        self._boxes: OrderedDict[Hashable, Any] = OrderedDict()
        self.dropped_frames = 0
        self.dropped_boxes = 0

    def add_frame(self, stamp: Hashable, frame: Any) -> Optional[Tuple[Any, Any]]:
        """Return (frame, boxes) if the boxes are here already, else keep the frame."""
        boxes = self._boxes.pop(stamp, None)
        if boxes is not None:
            return frame, boxes
        self.dropped_frames += self._keep(self._frames, stamp, frame)
        return None

    def add_boxes(self, stamp: Hashable, boxes: Any) -> Optional[Tuple[Any, Any]]:
        """Return (frame, boxes) if the frame is here already, else keep the boxes."""
        frame = self._frames.pop(stamp, None)
        if frame is not None:
            return frame, boxes
        self.dropped_boxes += self._keep(self._boxes, stamp, boxes)
        return None

    def _keep(self, buffer: 'OrderedDict[Hashable, Any]', stamp: Hashable, item: Any) -> int:
        dropped = int(buffer.pop(stamp, None) is not None)
        buffer[stamp] = item
        if len(buffer) > self._size:
            buffer.popitem(last=False)
            dropped += 1
        return dropped

    def clear(self) -> int:
        """Forget everything; return how many frames were waiting."""
        waiting = len(self._frames)
        self.dropped_frames += waiting
        self.dropped_boxes += len(self._boxes)
        self._frames.clear()
        self._boxes.clear()
        return waiting
