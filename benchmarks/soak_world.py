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
What the processes of the soak agree upon: nodes, cameras, pictures, and what a frame is called.

A result can be checked without asking who sent the frame, because its header says what it must
be: camera, serial number, picture, size and stamp are written into the frame_id. Every picture has
a size of its own.
"""

import array
from io import BytesIO
from typing import Dict, List, NamedTuple, Optional, Tuple

from builtin_interfaces.msg import Time
from hoi_msgs.msg import Instance, Instances
import numpy as np
from PIL import Image as Pillow
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

PICTURES = 12
DETECTING, GIVEN = '/soak', '/soak_given'
"""Namespaces of the node that detects, and of the one that is given boxes."""
NODE = 'hoi_node'


class SoakCamera(NamedTuple):
    """A camera of a node; transport: raw or compressed; extra: depth, boxes or nothing."""

    node: str
    name: str
    transport: str
    extra: str

    @property
    def prefix(self) -> str:
        """Where its topics begin."""
        return f'{self.node}/{self.name}'

    @property
    def topic(self) -> str:
        """Its image topic."""
        return f'{self.prefix}/image' + ('/compressed' if self.transport == 'compressed' else '')


CAMERAS = (SoakCamera(DETECTING, 'front', 'raw', 'depth'),
           SoakCamera(DETECTING, 'back', 'raw', ''),
           SoakCamera(DETECTING, 'side', 'compressed', ''),
           SoakCamera(GIVEN, 'wrist', 'raw', 'boxes'))

PARAMETERS: Dict[str, Tuple[str, ...]] = {
    DETECTING: ("cameras:=['front','back','side']", "compressed_cameras:=['side']",
                'depth:=true'),
    GIVEN: ("cameras:=['wrist']", 'instances_source:=topic')}


def node_arguments(namespace: str, bundle: str, engine: str) -> List[str]:
    """Return the ROS arguments of a node of the soak."""
    given = (f'engine:={engine}', *((f'bundle:={bundle}',) if bundle else ()))
    arguments = ['--ros-args', '-r', f'__ns:={namespace}']
    for parameter in (*PARAMETERS[namespace], *given):
        arguments += ['-p', parameter]
    return arguments


# Pictures

def pictures() -> List[np.ndarray]:
    """Return RGB pictures of the shipped demo bag, each of a size that no other has."""
    from benchmarks.pipeline_throughput import demo_jpegs
    found = []
    for number, jpeg in enumerate(demo_jpegs(PICTURES)):
        size = (320 + 8 * number, 240 + 2 * number)
        found.append(np.asarray(Pillow.open(BytesIO(jpeg)).convert('RGB').resize(size)))
    return found


def raw_message(number: int, rgb: np.ndarray) -> Image:
    """Return a picture as a raw image; encoding and padding of the rows follow its number."""
    height, width = rgb.shape[:2]
    grey = rgb[..., 1:2]
    encoding, pixels = (
        ('rgb8', rgb), ('bgr8', rgb[..., ::-1]), ('mono8', grey),
        ('rgba8', np.concatenate([rgb, grey], axis=2)), ('8UC3', rgb[..., ::-1]),
        ('mono16', np.concatenate([grey, grey], axis=2)))[number % 6]
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, 16 * (number // 6))))
    message = Image(width=width, height=height, encoding=encoding, step=rows.shape[1])
    message.data = array.array('B', rows.tobytes())
    return message


def compressed_message(number: int, rgb: np.ndarray) -> CompressedImage:
    """Return a picture as JPEG or PNG."""
    kind = ('jpeg', 'png')[number % 2]
    stream = BytesIO()
    Pillow.fromarray(rgb).save(stream, kind.upper())
    message = CompressedImage(format=kind)
    message.data = array.array('B', stream.getvalue())
    return message


def image_messages(transport: str) -> List:
    """Return the pictures as messages of a transport."""
    build = raw_message if transport == 'raw' else compressed_message
    return [build(number, rgb) for number, rgb in enumerate(pictures())]


def picture_size(number: int) -> Tuple[int, int]:
    """Return width and height of a picture."""
    return 320 + 8 * number, 240 + 2 * number


def depth_message(number: int) -> Image:
    """Return depth that rises from 1 m to 3 m from left to right, aligned to a picture."""
    width, height = picture_size(number)
    row = np.linspace(1000, 3000, width).astype('<u2')
    message = Image(width=width, height=height, encoding='16UC1', step=2 * width)
    message.data = array.array('B', np.tile(row, (height, 1)).tobytes())
    return message


def calibration(number: int) -> CameraInfo:
    """Return the calibration that fits a picture."""
    width, height = picture_size(number)
    message = CameraInfo(width=width, height=height, distortion_model='plumb_bob')
    message.k = [300.0, 0.0, width / 2, 0.0, 300.0, height / 2, 0.0, 0.0, 1.0]
    return message


def boxes_message(number: int) -> Instances:
    """Return the boxes that belong to a picture and to no other."""
    width, height = picture_size(number)
    random = np.random.default_rng(number)
    message = Instances()
    for index, name in enumerate(('person', 'person', 'cup', 'umbrella', 'ladder')):
        x, y = random.uniform(0, width / 2), random.uniform(0, height / 2)
        message.instances.append(Instance(
            x1=x, y1=y, x2=x + width / 3, y2=y + height / 3, class_name=name,
            score=0.95 - 0.05 * index, track_id=index))
    return message


# What a frame is called

class Name(NamedTuple):
    """
    What the header of a frame says about it.

    picture: None where the pixels are not those of a picture. size: width and height, None where
    only a decoder can tell.
    """

    camera: str
    serial: int
    picture: Optional[int]
    size: Optional[Tuple[int, int]]

    def header(self, stamp: Time, more: str = '') -> Header:
        """Return the header of the frame; more: anything else that shall be in the frame_id."""
        size = '*' if self.size is None else f'{self.size[0]}x{self.size[1]}'
        picture = '-' if self.picture is None else self.picture
        return Header(stamp=stamp, frame_id=f'{self.camera}|{self.serial}|{picture}|{size}|'
                                            f'{stamp.sec}.{stamp.nanosec}|{more}')


def read_name(header: Header) -> Name:
    """Return the name of a frame; raises ValueError where the header contradicts itself."""
    camera, serial, picture, size, stamp, _ = header.frame_id.split('|', 5)
    if stamp != f'{header.stamp.sec}.{header.stamp.nanosec}':
        raise ValueError(f'frame_id says stamp {stamp}, the stamp is '
                         f'{header.stamp.sec}.{header.stamp.nanosec}')
    width, _, height = size.partition('x')
    return Name(camera, int(serial), None if picture == '-' else int(picture),
                None if size == '*' else (int(width), int(height)))


def nameless(camera: SoakCamera, picture: int, now: int) -> Header:
    """Return a header with an empty frame_id; camera and picture are the stamp's last digits."""
    tail = 100 * CAMERAS.index(camera) + picture
    return Header(stamp=Time(sec=now // 10 ** 9, nanosec=now % 10 ** 9 // 1000 * 1000 + tail))


def read_nameless(header: Header) -> Name:
    """Return what the stamp of a frame without frame_id says."""
    camera, picture = divmod(header.stamp.nanosec % 1000, 100)
    if camera >= len(CAMERAS) or picture >= PICTURES:
        raise ValueError(f'no frame without frame_id was sent with the stamp {header.stamp}')
    return Name(CAMERAS[camera].prefix, 0, picture, picture_size(picture))
