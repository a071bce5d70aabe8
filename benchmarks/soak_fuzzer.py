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
Malformed messages from a seed: every field of images, calibration, depth and boxes, and the wire.

The same seed and clock give the same messages. Pixels, sizes, strings, numbers, stamps and
the serialized bytes are spoilt; the header still tells the truth about the frame, so that an
answer to it, where one is possible, can be checked like any other.
"""

import array
import math
import random
import struct
import time
from typing import Any, Callable, List, NamedTuple, Tuple, Union

from benchmarks.soak_world import Name, nameless, SoakCamera
from builtin_interfaces.msg import Time
from hoi_msgs.msg import Instance, Instances
from hoi_perception.runtime.frames import ENCODINGS
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

NUMBERS = (math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1e-300, -1e308, 1e308)
SIZES = (0, 1, 2, 3, 17, 65535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1)
TEXTS = ('', ' ', '/', '\t\n\r', '☃' * 40, '\u202egnp', 'é' * 5000, 'x' * 100000, '%s%n{0}{verb}',
         '../../etc', '\x7f\x1b[31m', 'NaN', '𝒳𝒴', 'a\u0301' * 33)
STRANGE_ENCODINGS = ('', 'rgb9', 'RGB8', 'rgb8 ', '32FC1', '64FC4', 'bayer_rggb16', 'nv21', 'nv12',
                     'jpeg', '8UC99', '-1UC1', *TEXTS)
FORMATS = ('', 'jpeg', 'png', 'jpg', 'JPEG', 'bmp', 'tiff', 'webp', 'rgb8; jpeg compressed bgr8',
           'bgr8; png compressed rgb8', '16UC1; compressedDepth png', 'h264', *TEXTS)
OLD_STAMPS = (Time(), Time(sec=-1), Time(sec=-2 ** 31), Time(sec=2 ** 31 - 1), Time(sec=1),
              Time(sec=1, nanosec=10 ** 9), Time(nanosec=2 ** 32 - 1), Time(sec=2 ** 31 - 1,
                                                                           nanosec=2 ** 32 - 1))


class Malformed(NamedTuple):
    """A message, or its spoilt bytes, and what was done to it."""

    message: Union[Any, bytes]
    done: str


class Fuzzer:
    """
    Spoils messages; each method may change the message that it is given.

    clock_ns: the time now, for those stamps that are not odd.
    """

    def __init__(self, seed: int, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.random, self._clock_ns = random.Random(seed), clock_ns
        self._serial = 0

    def image(self, camera: SoakCamera, message: Any, picture: int) -> Malformed:
        """Spoil an `Image` or `CompressedImage` of a camera that shows a picture."""
        if self.random.random() < 0.3:
            return self._header_only(camera, message, picture)
        done = self._spoil(message, _IMAGE if isinstance(message, Image) else _COMPRESSED)
        size = (message.width, message.height) if isinstance(message, Image) else None
        message.header = self._name(camera, None, size).header(self._stamp())
        return self._wire(message, camera, done)

    def depth(self, camera: SoakCamera, message: Image) -> Malformed:
        """Spoil a depth image."""
        done = self._spoil(message, _DEPTH)
        message.header = self._header(camera)
        return self._wire(message, camera, done)

    def camera_info(self, camera: SoakCamera, message: CameraInfo) -> Malformed:
        """Spoil a calibration."""
        done = self._spoil(message, _CAMERA_INFO)
        message.header = self._header(camera)
        return self._wire(message, camera, done)

    def boxes(self, camera: SoakCamera, message: Instances, stamp: Time) -> Malformed:
        """Spoil boxes; half of them keep the stamp of the frame they belong to."""
        done = self._spoil(message, _BOXES)
        message.header = self._header(camera)
        if self.random.random() < 0.5:
            message.header.stamp = stamp
        return self._wire(message, camera, done)

    def _header_only(self, camera: SoakCamera, message: Any, picture: int) -> Malformed:
        """Leave the pixels alone: such a frame is answered, with this very header."""
        size = (message.width, message.height) if isinstance(message, Image) else None
        name = self._name(camera, picture, size)
        kind = self.random.choice(('stamp', 'frame_id', 'no frame_id'))
        if kind == 'no frame_id':
            message.header = nameless(camera, picture, self._clock_ns())
        else:
            text = self.random.choice(TEXTS) if kind == 'frame_id' else ''
            message.header = name.header(self._stamp(odd=kind == 'stamp'), text)
        return Malformed(message, kind)

    def _name(self, camera: SoakCamera, picture, size) -> Name:
        self._serial += 1
        return Name(camera.prefix, -self._serial, picture, size)

    def _header(self, camera: SoakCamera) -> Header:
        return Header(stamp=self._stamp(), frame_id=self.random.choice((camera.name, *TEXTS)))

    def _stamp(self, odd: bool = False) -> Time:
        draw = self.random.random()
        if odd and draw < 0.5:
            return self.random.choice(OLD_STAMPS)
        if odd or draw < 0.1:  # months before, or years ahead
            return Time(sec=int(self.random.uniform(1.7e9, 2e9)),
                        nanosec=self.random.randrange(10 ** 9))
        now = self._clock_ns() + self.random.randrange(-10 ** 9, 10 ** 9)
        return Time(sec=now // 10 ** 9, nanosec=now % 10 ** 9)

    def _spoil(self, message: Any, ways: List[Tuple[str, Callable]]) -> str:
        chosen = self.random.sample(ways, self.random.choice((1, 1, 1, 2, 3)))
        for _, way in chosen:
            way(self.random, message)
        return '+'.join(name for name, _ in chosen)

    def _wire(self, message: Any, camera: SoakCamera, done: str) -> Malformed:
        """Spoil, now and then, what is sent instead of what it means."""
        if self.random.random() > 0.15:
            return Malformed(message, done)
        if isinstance(message, (Image, CompressedImage)):
            message.header = self._name(camera, None, None).header(message.header.stamp)
        octets = bytearray(serialize_message(message))
        # The header keeps its truth: 4 octets of encapsulation, stamp, length and frame_id.
        first = 16 + len(message.header.frame_id.encode()) + 1
        kind = self.random.choice(('cut', 'flip', 'flip', 'longer', 'lengths'))
        if kind == 'cut':
            del octets[self.random.randrange(len(octets)):]
        elif kind == 'longer':
            octets += self.random.randbytes(self.random.choice((1, 100, 10000)))
        elif kind == 'lengths':
            # Somewhere in the first fields: a length of a string or sequence that cannot be.
            at = min(first + self.random.randrange(64), len(octets) - 4)
            octets[at:at + 4] = struct.pack('<I', self.random.choice(SIZES[3:]))
        else:
            for _ in range(self.random.choice((1, 4, 64))):
                octets[self.random.randrange(first, len(octets))] ^= self.random.randrange(1, 256)
        return Malformed(bytes(octets), f'wire {kind}')


# The ways to spoil: (name, function of a random generator and the message)

def _choose(field: str, values) -> Tuple[str, Callable]:
    return field, lambda r, m: setattr(m, field, r.choice(values))


def _length(r: random.Random, message: Any) -> None:
    """Cut, double or lengthen the data."""
    data = message.data
    way = r.randrange(6)
    message.data = (array.array('B'), data[:1], data[:len(data) // 2], data[:-1],
                    data + array.array('B', [7]), data + data)[way]


def _noise(r: random.Random, message: Any) -> None:
    """Fill the data with noise of the same length."""
    message.data = array.array('B', r.randbytes(len(message.data)))


def _flip(r: random.Random, message: Any) -> None:
    """Damage some octets of the data: a JPEG or PNG that is nearly good."""
    for _ in range(r.choice((1, 8, 200)) if len(message.data) else 0):
        message.data[r.randrange(len(message.data))] ^= r.randrange(1, 256)


def _cut(r: random.Random, message: Any) -> None:
    message.data = message.data[:r.randrange(len(message.data) + 1)]


def _bomb(r: random.Random, message: Any) -> None:
    """Let the header of a JPEG or PNG tell of a picture that is far larger."""
    octets = bytearray(message.data.tobytes())
    huge = r.choice((65500, 65535, 30000))
    if octets.startswith(b'\x89PNG') and len(octets) > 24:
        octets[16:24] = struct.pack('>II', huge, huge)
    elif b'\xff\xc0' in octets[:-9]:
        at = octets.index(b'\xff\xc0') + 5
        octets[at:at + 4] = struct.pack('>HH', huge, huge)
    message.data = array.array('B', octets)


def _other_format(r: random.Random, message: Any) -> None:
    """Begin like another format."""
    start = r.choice((b'GIF89a', b'BM', b'RIFF\0\0\0\0WEBP', b'II*\0', b'\xff\xd8\xff',
                      b'\x89PNG\r\n\x1a\n', b'%PDF', b'\0' * 64))
    message.data = array.array('B', start) + message.data[len(start):]


def _self_consistent(r: random.Random, message: Any) -> None:
    """Another encoding and size whose data fits: legal pictures that nobody expects."""
    message.encoding = r.choice(ENCODINGS)
    message.width, message.height = r.choice((1, 2, 3, 5, 640)), r.choice((1, 2, 3, 7, 97))
    message.step = 8 * message.width + r.choice((0, 1, 5))
    message.data = array.array('B', r.randbytes(message.step * message.height))


def _matrix(field: str) -> Tuple[str, Callable]:
    def spoil(r: random.Random, message: Any) -> None:
        matrix = list(getattr(message, field)) or [0.0] * r.choice((0, 1, 5, 1000))
        for index in range(len(matrix)):
            if r.random() < 0.5:
                matrix[index] = r.choice(NUMBERS)
        setattr(message, field, matrix)
    return field, spoil


def _region(r: random.Random, message: CameraInfo) -> None:
    message.roi.x_offset, message.roi.width = r.choice(SIZES), r.choice(SIZES)
    message.binning_x = r.choice(SIZES)


def _each(field: str, values) -> Tuple[str, Callable]:
    def spoil(r: random.Random, message: Instances) -> None:
        for instance in message.instances:
            if r.random() < 0.6:
                setattr(instance, field, r.choice(values))
    return field, spoil


def _number_of_boxes(r: random.Random, message: Instances) -> None:
    many = r.choice((0, 1, 300, 2000))
    message.instances = [Instance(
        x1=float(n % 50), x2=float(n % 50 + 20), y2=30.0, score=0.5,
        class_name=r.choice(('person', 'cup', f'thing {r.randrange(3000)}')))
        for n in range(many)]


_FLOATS = tuple(value for value in NUMBERS if abs(value) < 3e38 or not math.isfinite(value))
_CLASSES = ('person', 'Person', ' person', 'cup', 'CUP', 'no_interaction', 'nothing', 'x' * 65,
            'thing with {braces}', *TEXTS)
_IMAGE = [_choose('width', SIZES), _choose('height', SIZES), _choose('step', SIZES),
          _choose('encoding', ENCODINGS), _choose('encoding', STRANGE_ENCODINGS),
          _choose('is_bigendian', (0, 1, 255)), ('data length', _length), ('data', _noise),
          ('consistent', _self_consistent)]
_COMPRESSED = [_choose('format', FORMATS), ('data length', _length), ('data', _noise),
               ('data bits', _flip), ('data cut', _cut), ('bomb', _bomb),
               ('other format', _other_format)]
_DEPTH = [*_IMAGE[:3], _choose('encoding', ('32FC1', 'mono16', 'rgb8', *STRANGE_ENCODINGS)),
          *_IMAGE[5:8]]
_CAMERA_INFO = [_choose('width', SIZES), _choose('height', SIZES), _matrix('k'), _matrix('p'),
                _matrix('r'), _matrix('d'), _choose('distortion_model', TEXTS),
                ('roi', _region)]
_BOXES = [*(_each(field, _FLOATS) for field in ('x1', 'y1', 'x2', 'y2', 'score')),
          _each('class_name', _CLASSES), _each('label', (-1, -2 ** 31, 2 ** 31 - 1)),
          _each('track_id', (0, 1, 2 ** 63, 2 ** 64 - 1)),
          ('number', _number_of_boxes)]
