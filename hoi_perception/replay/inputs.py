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

"""The frames of several bags, one after the other, and what is wrong with the bags."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_files import bag_files
from hoi_perception.replay.bag_reader import BagReader, Frame, FrameKey, Topic
from hoi_perception.replay.records import FrameRecord
from hoi_perception.runtime.bundle import sha256
import numpy as np

_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Selection:
    """
    Which frames of each bag are wanted.

    image_topic: None = the one with most frames. start, end: seconds since the bag's first frame,
    by the time of recording. stride: every so many-th of those.
    """

    image_topic: Optional[str] = None
    start: float = 0.0
    end: Optional[float] = None
    stride: int = 1

    def __post_init__(self) -> None:
        if not self.start >= 0:
            raise HoiError(f'--start {self.start} must be 0 or more seconds.')
        if self.end is not None and not self.end > self.start:
            raise HoiError(f'--end {self.end} must be after --start {self.start}.')
        if self.stride < 1:
            raise HoiError(f'--stride {self.stride} must be 1 or more.')


class Bag(NamedTuple):
    """An opened bag with frames; name: its own, with its directory where that is not enough."""

    name: str
    reader: BagReader
    topic: Topic


@dataclass(frozen=True)
class InputFrame:
    """A frame; index: among all frames of the input, from 0. bag: where it comes from."""

    index: int
    bag: Bag
    frame: Frame


class Inputs:
    """
    The bags of a replay; use it as a context manager.

    paths: bags, or directories of bags. troubles: a sentence for each bag that is damaged, has no
    images or is none; grows while frames are read. cut: whether frames are known to be missing.
    Raises `HoiError` where no bag has a frame.
    """

    def __init__(self, paths: Sequence[Path], selection: Selection = Selection()) -> None:
        self.selection = selection
        self.troubles: List[str] = []
        self.bags: List[Bag] = []
        self.cut = False
        found = [bag for path in paths for bag in bags_in(Path(path).expanduser())]
        names = Counter(path.name for path in found)
        for path in found:
            name = path.name if names[path.name] == 1 else str(path)
            self._add(name, path)
        if not self.bags:
            raise HoiError(' '.join(self.troubles) or 'no bags were given.')

    def _add(self, name: str, path: Path) -> None:
        reader = None
        try:
            reader = BagReader(path, salvage=True)
            topic = reader.choose_image_topic(self.selection.image_topic)
        except HoiError as error:
            trouble = reader.trouble if reader else ''
            self.troubles.append(f'{trouble} {error}'.strip())
            if reader is not None:
                reader.close()
            return
        self.bags.append(Bag(name, reader, topic))
        self.cut |= reader.cut

    def __enter__(self) -> 'Inputs':
        return self

    def __exit__(self, *_: Any) -> None:
        for bag in self.bags:
            bag.reader.close()

    @property
    def readers(self) -> List[BagReader]:
        """The opened bags."""
        return [bag.reader for bag in self.bags]

    @property
    def count(self) -> Optional[int]:
        """How many frames the bags announce, None where only a part of the time is wanted."""
        if self.selection.start or self.selection.end is not None:
            return None
        return sum(-(-bag.topic.count // self.selection.stride) for bag in self.bags)

    def frames(self) -> Iterator[InputFrame]:
        """Yield the wanted frames of all bags; a bag that breaks off is a trouble, not an end."""
        index = 0
        for bag in self.bags:
            read = wanted = first = last = 0
            reason = bag.reader.trouble
            try:
                for frame in bag.reader.frames(bag.topic):
                    first = first if read else frame.log_time
                    read, last = read + 1, frame.log_time
                    seconds = (frame.log_time - first) / _SECOND
                    if self.selection.end is not None and seconds >= self.selection.end:
                        break
                    if seconds < self.selection.start and self.selection.start:
                        continue
                    if wanted % self.selection.stride == 0:
                        yield InputFrame(index, bag, frame)
                        index += 1
                    wanted += 1
            except HoiError as error:
                reason, self.cut = str(error), True
            if not wanted:
                reason = f'{reason} Nothing of bag {bag.reader.path} was chosen.'.strip()
            if reason:
                self.troubles.append(
                    f'{reason} {read} frames of {bag.topic.name} were read, up to '
                    f'{(last - first) / _SECOND:.3f} s after the first.')

    def digests(self) -> Dict[str, str]:
        """Return the sha256 of every file of the bags, by the bag's name and the file's."""
        return {f'{bag.name}/{file.name}': sha256(file)
                for bag in self.bags for file in bag_files(bag.reader.path)}

    def pixels_by_key(self, records: Iterable[FrameRecord]) \
            -> Callable[[FrameKey], Optional[np.ndarray]]:
        """Return what reads a frame again: (H, W, 3) uint8 RGB, or None where that cannot be."""
        places: Dict[FrameKey, Tuple[str, int]] = {}
        for record in records:
            places.setdefault(record.key, (record.bag, record.log_time))
        bags = {bag.name: bag for bag in self.bags}

        def pixels(key: FrameKey) -> Optional[np.ndarray]:
            name, log_time = places.get(key, ('', 0))
            if name not in bags:
                return None
            try:
                for frame in bags[name].reader.frames(bags[name].topic, log_time):
                    if frame.key == key:
                        return frame.rgb()
            except HoiError:
                pass
            return None
        return pixels


def bags_in(path: Path) -> List[Path]:
    """Return the path itself, or the bags in it where it is a directory of bags."""
    if not path.is_dir() or bag_files(path):
        return [path]
    inside = sorted(child for child in path.iterdir() if child.is_dir() and bag_files(child))
    return inside or [path]
