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

"""A few frames, spread over a recording: to check engines on, to measure with."""

import importlib.resources
from itertools import islice
from pathlib import Path
from typing import Iterable, List, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.runtime import detect_files
import numpy as np

COUNT = 8


def shipped_bag() -> Path:
    """Return the bag that ships with the package; raises `HoiError` where it was left out."""
    bag = Path(str(importlib.resources.files('hoi_perception'))) / 'demo_data' / 'synthetic_demo'
    if not bag.exists():
        raise HoiError('the demo bag is not in this installation: give one with --bag.')
    return bag


def sample_frames(source: Optional[Path] = None, count: int = COUNT) -> List[np.ndarray]:
    """
    Return at most `count` frames (H, W, 3) uint8 RGB, evenly spread.

    source: a bag, image, directory of images or video; None = the shipped bag. Raises `HoiError`
    where nothing can be read.
    """
    source = Path(source) if source is not None else shipped_bag()
    if (source / 'metadata.yaml').is_file() or source.suffix in ('.mcap', '.db3'):
        with BagReader(source) as bag:
            topic = bag.choose_image_topic()
            return [frame.rgb() for frame in spread(bag.frames(topic), topic.count, count)]
    images = [rgb for _, rgb in islice(detect_files.frames(source), 10 * count)]
    return list(spread(images, len(images), count))


def spread(items: Iterable, total: int, count: int) -> Iterable:
    """Yield at most `count` of `total` items, the first and the last among them."""
    wanted = set(np.linspace(0, max(total - 1, 0), count).round().astype(int).tolist())
    return (item for index, item in enumerate(items) if index in wanted)
