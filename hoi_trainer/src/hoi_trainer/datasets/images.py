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

"""Where the pixels of a data set come from; small objects that can be sent to other processes."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Optional, Protocol, Tuple

import cv2
from hoi_perception.core.errors import HoiError
import numpy as np
from PIL import Image


class ImageSource(Protocol):
    """Anything that has the images of a data set."""

    def read(self, name: str) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB; raises `HoiError` if that is impossible."""

    def size(self, name: str) -> Tuple[int, int]:
        """Return (width, height) without decoding pixels; raises `HoiError` likewise."""


@dataclass(frozen=True)
class ImageFolder:
    """
    Image files in a directory or in its direct sub-directories (train2014, val2014).

    EXIF orientation is ignored: the boxes of HICO-DET and COCO were drawn on the stored pixels.
    """

    directory: Path

    def find(self, name: str) -> Optional[Path]:
        """Return the path of an image, None if it is not there."""
        for folder in _folders(self.directory):
            path = folder / name
            if path.is_file():
                return path
        return None

    def read(self, name: str) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB; raises `HoiError` if missing or not an image."""
        path = self._existing(name)
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None:
            raise HoiError(f'{path} cannot be decoded as an image: fetch it again.')
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

    def size(self, name: str) -> Tuple[int, int]:
        """Return (width, height) from the file's header."""
        path = self._existing(name)
        try:
            with Image.open(path) as image:
                return image.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise HoiError(f'{path} cannot be decoded as an image ({error}): fetch it '
                           'again.') from error

    def _existing(self, name: str) -> Path:
        path = self.find(name)
        if path is None:
            raise HoiError(f'image {name!r} is neither in {self.directory} nor in a directory '
                           'directly below it.')
        return path


@dataclass(frozen=True)
class ArrayImages:
    """Images in one (N, H, W, 3) uint8 .npy file, named by their index as text."""

    path: Path

    def read(self, name: str) -> np.ndarray:
        """Return a copy of one image, (H, W, 3) uint8 RGB."""
        return np.array(self._array()[self._index(name)])

    def size(self, name: str) -> Tuple[int, int]:
        """Return (width, height)."""
        self._index(name)
        _, height, width, _ = self._array().shape
        return width, height

    def _array(self) -> np.ndarray:
        try:
            array = _memory_map(self.path, self.path.stat().st_mtime_ns)
        except (OSError, ValueError, EOFError) as error:
            raise HoiError(f'{self.path} cannot be opened as an array of images ({error}): make '
                           'the split again with `hoi-trainer synth`.') from error
        if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
            raise HoiError(f'{self.path} holds {array.dtype} of shape {array.shape}, expected '
                           'uint8 of shape (N, height, width, 3).')
        return array

    def _index(self, name: str) -> int:
        count = len(self._array())
        if not name.isdigit() or int(name) >= count:
            raise HoiError(f'{self.path} has no image {name!r}: it holds 0 to {count - 1}.')
        return int(name)


def open_images(directory: Optional[Path]) -> Optional[ImageFolder]:
    """Return the images of a directory (None for None); raises `HoiError` if it is none."""
    if directory is None:
        return None
    if not Path(directory).is_dir():
        raise HoiError(f'{directory} is not a directory of images.')
    return ImageFolder(Path(directory))


@lru_cache(maxsize=64)
def _folders(directory: Path) -> Tuple[Path, ...]:
    return (directory, *sorted(path for path in directory.iterdir() if path.is_dir()))


@lru_cache(maxsize=8)
def _memory_map(path: Path, written: int) -> np.ndarray:
    """Open a file once per process and version; written: its time of modification."""
    return np.load(path, mmap_mode='r')
