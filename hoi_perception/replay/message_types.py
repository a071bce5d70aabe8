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

"""Message definitions without a ROS install: the common ones of rosbags and our own `hoi_msgs`."""

from functools import lru_cache
import os
from pathlib import Path
import sys
from typing import Iterator

from hoi_perception.core.errors import HoiError
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
DETECTIONS = 'hoi_msgs/msg/HoiDetections'
MASKS = 'hoi_msgs/msg/HoiMasks'
EVENT = 'hoi_msgs/msg/HoiEvent'
INSTANCES = 'hoi_msgs/msg/Instances'
LATENCIES = 'hoi_msgs/msg/StageLatencies'
VOCABULARY = 'hoi_msgs/msg/Vocabulary'


def _candidates() -> Iterator[Path]:
    """Yield where definitions may lie: sourced workspaces, this environment, the source tree."""
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) + [sys.prefix]:
        if prefix:
            yield Path(prefix) / 'share' / 'hoi_msgs' / 'msg'
    yield Path(__file__).resolve().parents[2] / 'hoi_msgs' / 'msg'


def hoi_msgs_directory() -> Path:
    """Return the directory of the `hoi_msgs/msg/*.msg` files; `HoiError` if there is none."""
    for directory in _candidates():
        if (directory / 'HoiDetections.msg').is_file():
            return directory
    raise HoiError(
        'the definitions of hoi_msgs are not installed: build them with `make setup`, or on a '
        'ROS install with `colcon build --base-paths . hoi_msgs` and source install/setup.bash.')


def common_typestore() -> Typestore:
    """Return a new typestore with the message types every ROS 2 distribution has."""
    return get_typestore(Stores.ROS2_JAZZY)


@lru_cache(maxsize=1)
def hoi_typestore() -> Typestore:
    """Return the typestore with the common types and `hoi_msgs`; shared, do not change it."""
    store = common_typestore()
    types = {}
    for path in sorted(hoi_msgs_directory().glob('*.msg')):
        types.update(get_types_from_msg(path.read_text(), f'hoi_msgs/msg/{path.stem}'))
    store.register(types)
    return store
