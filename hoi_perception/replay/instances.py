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
Boxes of a detector that the robot already runs, for a replay: from a topic or from a file.

Whatever the source, a frame's boxes come as something with `instances` (boxes, scores, class
names), which `given_boxes` turns into `Instances` by the rules of the node: names that the
vocabulary lacks are learnt, boxes that cannot be used are left out.
"""

import json
import math
from pathlib import Path, PurePosixPath
from typing import Any, Dict, List, NamedTuple, Optional, Protocol, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_reader import BagReader, FrameKey
from hoi_perception.replay.box_topic import BoxTopic, TYPES

LARGEST_ID = 2 ** 63 - 1
ROW = '[class name, score, [x1, y1, x2, y2]]'


class GivenBox(NamedTuple):
    """One box with the fields of `hoi_msgs/Instance` that count."""

    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    class_name: str
    track_id: int = 0


class GivenBoxes(NamedTuple):
    """The boxes of one frame."""

    instances: Tuple[GivenBox, ...]


class BoxSource(Protocol):
    """Where the boxes of frames come from."""

    def of(self, reader: BagReader, key: FrameKey, log_time: int) -> Optional[Any]:
        """
        Return something with `instances` for a frame, None where there is nothing for it.

        reader, log_time: the bag the frame comes from and when it was recorded; frames of a bag
        come in order of recording.
        """


def open_instances(source: str, readers: Sequence[BagReader]) -> BoxSource:
    """
    Return where the boxes come from.

    source: a JSON file {image: [[class name, score, [x1, y1, x2, y2]], ...]} in pixels, matched
    by frame_id = file name (folders before it do not matter); or a topic of `hoi_msgs/Instances`,
    `hoi_msgs/HoiDetections` or `vision_msgs/Detection2DArray` in the bags, matched by stamp.
    Raises `HoiError`, also where a bag lacks the topic or the file knows no frame's name.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return FileBoxes(path)
    if not any(topic.name == source for reader in readers for topic in reader.topics):
        topics = sorted({topic.name for reader in readers for topic in reader.topics
                         if topic.type in TYPES})
        raise HoiError(f'instances {source} is neither a file nor a topic of the bags; their '
                       f'topics of {", ".join(TYPES)}: {", ".join(topics) or "none"}.')
    return TopicBoxes(source)


class TopicBoxes:
    """Boxes of a topic, read a little ahead of the frames and forgotten behind them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._topic: Optional[Tuple[BagReader, BoxTopic]] = None

    def of(self, reader: BagReader, key: FrameKey, log_time: int) -> Optional[Any]:
        """Return the message with the stamp of a frame; raises `HoiError`."""
        if self._topic is None or self._topic[0] is not reader:
            self._topic = reader, BoxTopic(reader, self._name)
        message = self._topic[1].of((key[0], key[1]), log_time)
        return message if message is None or hasattr(message, 'instances') else of_vision(message)


class FileBoxes:
    """Boxes of a JSON file, found by the last part of the image's path."""

    def __init__(self, path: Path) -> None:
        try:
            raw = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise HoiError(f'instances {path} is not readable JSON ({error}): expected an object '
                           f'of image name to rows {ROW}.') from error
        if not isinstance(raw, dict):
            raise HoiError(f'instances {path} holds {type(raw).__name__}, expected an object of '
                           f'image name to rows {ROW}.')
        self._boxes: Dict[str, GivenBoxes] = {}
        for image, rows in raw.items():
            name = PurePosixPath(image).name
            if name in self._boxes:
                raise HoiError(f'instances {path}: {name} comes twice (in two folders), expected '
                               'file names that are all different, because they are frame_ids.')
            self._boxes[name] = _given(path, image, rows)

    def of(self, reader: BagReader, key: FrameKey, log_time: int) -> Optional[GivenBoxes]:
        """Return the boxes of the image that the frame_id names."""
        return self._boxes.get(PurePosixPath(key[2]).name)


def _given(path: Path, image: str, rows: Any) -> GivenBoxes:
    if not isinstance(rows, list):
        raise HoiError(f'instances {path}, {image}: got {type(rows).__name__}, expected a list of '
                       f'rows {ROW}.')
    found: List[GivenBox] = []
    for number, row in enumerate(rows):
        try:
            name, score, (x1, y1, x2, y2) = row
            values = [float(value) for value in (x1, y1, x2, y2, score)]
            if not isinstance(name, str) or not all(map(math.isfinite, values)):
                raise ValueError
        except (TypeError, ValueError) as error:
            raise HoiError(f'instances {path}, {image}, row {number}: got {str(row)[:80]}, '
                           f'expected {ROW} with finite numbers.') from error
        found.append(GivenBox(*values, name))
    return GivenBoxes(tuple(found))


def of_vision(message: Any) -> GivenBoxes:
    """
    Return the boxes of a `vision_msgs/Detection2DArray`, of Humble and later or of Galactic.

    As the node takes them: the best hypothesis of a detection counts, without one it has no class
    and cannot be used; a turned box becomes the upright one around it; an `id` that is a number
    is the track.
    """
    return GivenBoxes(tuple(_of_detection(detection) for detection in message.detections))


def _of_detection(detection: Any) -> GivenBox:
    box = detection.bbox
    centre = getattr(box.center, 'position', box.center)
    cos, sin = abs(math.cos(box.center.theta)), abs(math.sin(box.center.theta))
    half_x = (cos * box.size_x + sin * box.size_y) / 2
    half_y = (sin * box.size_x + cos * box.size_y) / 2
    best = max((getattr(result, 'hypothesis', result) for result in detection.results),
               key=lambda hypothesis: hypothesis.score, default=None)
    track = str(getattr(detection, 'id', ''))
    return GivenBox(
        centre.x - half_x, centre.y - half_y, centre.x + half_x, centre.y + half_y,
        0.0 if best is None else float(best.score),
        '' if best is None else str(getattr(best, 'class_id', getattr(best, 'id', ''))),
        min(int(track[:20]), LARGEST_ID) if track.isdecimal() else 0)
