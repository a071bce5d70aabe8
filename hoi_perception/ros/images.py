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

"""Image messages to pixels and back; the arithmetic is in `hoi_perception.runtime.frames`."""

import array
from typing import Union

from hoi_perception.runtime.frames import decode_compressed, decode_raw
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header


def decode(message: Union[Image, CompressedImage], max_pixels: int) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB; raises `FrameError` with the kind of defect."""
    if isinstance(message, CompressedImage):
        return decode_compressed(message.format, message.data, max_pixels)
    return decode_raw(message.encoding, message.width, message.height, message.step,
                      message.data, bool(message.is_bigendian))


def encode(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """Return pixels (H, W) or (H, W, C), C-contiguous, as a message of that encoding."""
    message = Image(header=header, height=pixels.shape[0], width=pixels.shape[1],
                    encoding=encoding, step=pixels.strides[0])
    message.data = octets(pixels)
    return message


def octets(values) -> array.array:
    """Return a buffer as array('B'): the only type `uint8[]` fields take without a slow copy."""
    octets_of = array.array('B')
    octets_of.frombytes(memoryview(values).cast('B'))
    return octets_of
