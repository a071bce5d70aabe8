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

"""Depth images and calibration of one camera: kept as they come, found by the image's stamp."""

from collections import deque
from typing import Any, Deque, List, Optional, Tuple

from builtin_interfaces.msg import Time
from hoi_perception.core.errors import FrameError
from hoi_perception.core.scene import Scene
from hoi_perception.ros import qos
from hoi_perception.ros.pacing import StampWatch
from hoi_perception.runtime.depth import decode_depth, locate, pinhole
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

_KEPT = 16
"""Depth images kept for the frame that is computed: half a second at 30 Hz."""


def _nanoseconds(stamp: Time) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec


class DepthTopics:
    """
    The topics `depth` and `camera_info` of a camera.

    A frame is computed for longer than its depth image takes to come, so nothing waits: once the
    scene is there, the depth image nearest to the frame is taken. The executor writes, the worker
    reads.
    """

    def __init__(self, node: Node, prefix: str) -> None:
        self._node = node
        self._subscriptions: List[Any] = []
        self.depth_topic = node.resolve_topic_name(f'{prefix}depth')
        self.info_topic = node.resolve_topic_name(f'{prefix}camera_info')
        self._images: Deque[Tuple[int, Image]] = deque(maxlen=_KEPT)
        self._stamps = StampWatch()
        # How often time began anew, in the depth images and in the images.
        self._jumps, self._jumps_of_images = 0, 0
        self._info: Optional[CameraInfo] = None

    def start(self) -> None:
        """Subscribe; what was kept from before is forgotten."""
        self._images.clear()
        self._stamps, self._jumps, self._jumps_of_images = StampWatch(), 0, 0
        self._info = None
        for kind, topic, callback in ((Image, self.depth_topic, self._on_depth),
                                      (CameraInfo, self.info_topic, self._on_info)):
            self._subscriptions.append(self._node.create_subscription(
                kind, topic, callback, qos.sensor(), qos_overriding_options=qos.overridable()))

    def stop(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def begin_anew(self) -> None:
        """Forget what was seen before the stamps of the images jumped back."""
        self._jumps_of_images = max(self._jumps_of_images + 1, self._jumps)
        if self._jumps_of_images > self._jumps:  # else the depth images jumped first
            self._images.clear()

    def _on_depth(self, message: Image) -> None:
        stamp = _nanoseconds(message.header.stamp)
        if self._stamps.jumped_back_s(stamp):
            self._jumps += 1
            self._images.clear()
        self._images.append((stamp, message))

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message

    def place(self, scene: Scene, stamp: Time, tolerance_s: float) -> Scene:
        """
        Return the scene with positions and extents (see `runtime.depth.locate`).

        Raises `FrameError` with what is missing or wrong, of kind no_camera_info, camera_info,
        camera_info_mismatch, no_depth, depth_stamp, depth_encoding, depth_size or depth_mismatch.
        """
        info = self._info
        if info is None:
            raise FrameError('no_camera_info', (
                f'no camera_info has come on {self.info_topic}: remap it to that of the camera.'))
        message = self._nearest(_nanoseconds(stamp), tolerance_s)
        depth = decode_depth(message.encoding, message.width, message.height, message.step,
                             message.data, bool(message.is_bigendian))
        return locate(scene, depth, pinhole(info.k, info.p, info.width, info.height))

    def _nearest(self, stamp_ns: int, tolerance_s: float) -> Image:
        kept = list(self._images)
        if not kept:
            raise FrameError('no_depth', (
                f'no depth image has come on {self.depth_topic}: remap it to a depth topic that '
                'is aligned to the colour image.'))
        nearest_ns, message = min(kept, key=lambda pair: abs(pair[0] - stamp_ns))
        apart_s = 1e-9 * abs(nearest_ns - stamp_ns)
        if apart_s > tolerance_s:
            raise FrameError('depth_stamp', (
                f'the nearest of the last {len(kept)} depth images on {self.depth_topic} is '
                f'{apart_s:.3f} s from the image, allowed is depth_tolerance = {tolerance_s:g} '
                's: synchronise the camera, or raise depth_tolerance.'))
        return message
