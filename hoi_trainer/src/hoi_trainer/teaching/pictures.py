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

"""Images to be labelled: a directory of files, a synthetic split, or the camera of a bag."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import List, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.datasets.images import ImageFolder, ImageSource
from hoi_trainer.datasets.records import HoiDataset, HoiRecord
from hoi_trainer.datasets.synthetic import is_synthetic, load_synthetic
import numpy as np

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


@dataclass(frozen=True)
class BagImages:
    """Camera frames of a bag, named by the time at which they were recorded, in nanoseconds."""

    path: Path
    topic: Optional[str] = None

    def names(self) -> List[str]:
        """Return the names of all frames in order; frames of one moment get -1, -2, ..."""
        reader, seen = _reader(self.path), Counter()
        found = []
        for frame in reader.frames(reader.choose_image_topic(self.topic)):
            repeat = seen[frame.log_time]
            found.append(f'{frame.log_time}-{repeat}' if repeat else str(frame.log_time))
            seen[frame.log_time] += 1
        return found

    def read(self, name: str) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB; raises `HoiError`."""
        time, _, repeat = name.partition('-')
        if not time.isdigit():
            raise HoiError(f'{name!r} is no time of a frame of bag {self.path}.')
        reader = _reader(self.path)
        frames = list(reader.frames(reader.choose_image_topic(self.topic), int(time)))
        if len(frames) <= int(repeat or 0):
            raise HoiError(f'bag {self.path} has no frame {name!r}.')
        return frames[int(repeat or 0)].rgb()

    def size(self, name: str) -> Tuple[int, int]:
        """Return (width, height)."""
        height, width = self.read(name).shape[:2]
        return width, height


@dataclass(frozen=True)
class Pictures:
    """Names in order and where their pixels come from."""

    names: Tuple[str, ...]
    images: ImageSource


def open_pictures(path: Path, topic: Optional[str] = None, every: int = 1) -> Pictures:
    """
    Return the images at a path, every n-th of them.

    path: directory of image files (their names are their paths in it), directory of
    `hoi-trainer synth`, or rosbag2. topic: of the bag's camera [the one with most frames]. Raises
    `HoiError` where there are none.
    """
    path = Path(path)
    if not path.exists():
        raise HoiError(f'{path} does not exist: give a directory of images or a bag.')
    if path.is_dir() and is_synthetic(path):
        dataset = load_synthetic(path)
        names, images = [record.image for record in dataset.records], dataset.images
    elif path.is_file() or (path / 'metadata.yaml').is_file():
        source = BagImages(path, topic)
        names, images = source.names(), source
    else:
        images = ImageFolder(path)
        names = sorted(str(file.relative_to(path)) for file in path.rglob('*')
                       if file.suffix.lower() in SUFFIXES)
    if not names or images is None:
        raise HoiError(f'{path} holds no images: expected files ending in '
                       f'{", ".join(SUFFIXES)}, a split of `hoi-trainer synth`, or a rosbag2.')
    return Pictures(tuple(names[::every]), images)


def unlabelled_dataset(pictures: Pictures, bundle: Bundle) -> HoiDataset:
    """Return the images as a data set without any annotation, with the bundle's names."""
    vocabulary = bundle.spec.core_vocabulary()
    names = HoiNames(vocabulary.objects, vocabulary.verb_names,
                     tuple(verb.phrase for verb in vocabulary.verbs),
                     np.argwhere(vocabulary.validity), vocabulary.human)
    boxes, none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return HoiDataset(names, tuple(
        HoiRecord(name, *pictures.images.size(name), boxes, boxes, none, none)
        for name in pictures.names), pictures.images)


@lru_cache(maxsize=4)
def _reader(path: Path) -> BagReader:
    """Open a bag once per process."""
    return BagReader(path)
