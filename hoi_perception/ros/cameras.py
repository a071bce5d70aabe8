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

"""One camera: its topics, its counters, and its way into the mailbox."""

from dataclasses import dataclass
import time
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from builtin_interfaces.msg import Time
from hoi_msgs.msg import HoiDetections, HoiEvent, HoiMasks, Instances, StageLatencies
from hoi_perception.core.scene import Scene
from hoi_perception.ros import qos
from hoi_perception.ros.depth import DepthTopics
from hoi_perception.ros.detections_2d import Detection2DArray, MISSING
from hoi_perception.ros.matching import StampMatcher
from hoi_perception.ros.parameters import Settings
from hoi_perception.ros.statistics import CameraStatistics, Explainer
from hoi_perception.runtime.events import Timeline
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

_NANOSECONDS = 1000000000


@dataclass(frozen=True)
class Arrival:
    """A frame on its way: message, number, arrival by the monotonic clock, boxes if given."""

    message: Any
    frame_seq: int
    arrived: float
    boxes: Optional[Instances] = None


class Seen(NamedTuple):
    """A published scene with the header of its image; arrived: by the monotonic clock."""

    scene: Scene
    header: Header
    frame_seq: int
    arrived: float


def stamp_fault(stamp: Time) -> Tuple[str, str]:
    """Return kind and explanation of an odd stamp, or two empty strings."""
    if stamp.nanosec >= _NANOSECONDS:
        return 'nanosec_too_large', (
            f'image stamp has nanosec {stamp.nanosec}, expected less than 1000000000')
    if stamp.sec < 0:
        return 'negative', f'image stamp is negative ({stamp.sec} s)'
    if stamp.sec == 0 and stamp.nanosec == 0:
        return 'zero', 'image stamp is zero'
    return '', ''


class Camera:
    """Publishers live from construction to `destroy`, subscriptions between start and stop."""

    def __init__(self, node: LifecycleNode, name: str, settings: Settings,
                 explainer: Explainer) -> None:
        prefix = f'{name}/' if name else ''
        self.name, self.statistics = name, CameraStatistics()
        # Written by the worker; `newest` is read by the executor.
        self.timeline = Timeline()
        self.newest: Optional[Seen] = None
        self._node, self._settings, self._explainer = node, settings, explainer
        self._matcher = StampMatcher(settings.instances_buffer)
        self._subscriptions: List[Any] = []
        self._accept: Callable[[Arrival], None] = lambda arrival: None
        self.image_topic = node.resolve_topic_name(f'{prefix}image')
        if settings.image_transport == 'compressed':
            self.image_topic += '/compressed'
        self._boxes_topic = f'{prefix}instances'

        def publisher(kind, topic, profile=None):
            return node.create_lifecycle_publisher(
                kind, prefix + topic, profile or qos.result(),
                qos_overriding_options=qos.overridable())
        self.detections = publisher(HoiDetections, 'detections')
        self.masks = publisher(HoiMasks, 'masks')
        self.latency = publisher(StageLatencies, 'latency')
        self.events = publisher(HoiEvent, 'events', qos.events())
        self.overlay = publisher(Image, 'overlay')
        self.label_image = publisher(Image, 'label_image')
        self.markers = publisher(MarkerArray, 'markers')
        self.detections_2d: Any = None
        if settings.detections_2d and Detection2DArray is None:
            explainer.explain('detections_2d', MISSING)
        elif settings.detections_2d:
            self.detections_2d = publisher(Detection2DArray, 'detections_2d')
        self.depth = DepthTopics(node, prefix) if settings.depth else None

    def start(self, accept: Callable[[Arrival], None]) -> None:
        """Subscribe; `accept` is called in the executor with every frame that is complete."""
        self._accept, self.newest = accept, None
        compressed = self._settings.image_transport == 'compressed'
        if self.depth is not None:
            self.depth.start()
        self._subscriptions.append(self._node.create_subscription(
            CompressedImage if compressed else Image, self.image_topic, self._on_image,
            qos.sensor(), qos_overriding_options=qos.overridable()))
        if self._settings.instances_source == 'topic':
            self._subscriptions.append(self._node.create_subscription(
                Instances, self._boxes_topic, self._on_boxes, qos.boxes(),
                qos_overriding_options=qos.overridable()))

    def stop(self) -> None:
        """Unsubscribe; frames that still wait for their boxes are given up."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        if self.depth is not None:
            self.depth.stop()
        self.statistics.dropped('deactivated', self._matcher.clear())

    def destroy(self) -> None:
        """Remove the publishers."""
        for publisher in (self.detections, self.masks, self.latency, self.events, self.overlay,
                          self.label_image, self.markers, self.detections_2d):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    def explain(self, kind: str, sentence: str) -> None:
        """Log what is wrong with this camera, once per kind and minute."""
        self._explainer.explain(f'{self.name} {kind}', f'{self.image_topic}: {sentence}')

    def _on_image(self, message) -> None:
        arrival = Arrival(message, self.statistics.arrived(), time.monotonic())
        kind, sentence = stamp_fault(message.header.stamp)
        if kind:
            # The pixels are good: the frame is answered with the very stamp it came with.
            self.statistics.odd_stamp(kind)
            self.explain(f'stamp {kind}', f'{sentence}; results carry it unchanged, but nothing '
                         'can be matched in time: mend the camera driver.')
        if self._settings.instances_source != 'topic':
            self._accept(arrival)
            return
        before = self._matcher.dropped_frames
        match = self._matcher.add_frame(self._key(message), arrival)
        self._count_unmatched(self._matcher.dropped_frames - before)
        if match:
            self._accept_pair(*match)

    def _on_boxes(self, message: Instances) -> None:
        match = self._matcher.add_boxes(self._key(message), message)
        if match:
            self._accept_pair(*match)

    @staticmethod
    def _key(message) -> Tuple[int, int]:
        return message.header.stamp.sec, message.header.stamp.nanosec

    def _accept_pair(self, arrival: Arrival, boxes: Instances) -> None:
        self._accept(Arrival(arrival.message, arrival.frame_seq, arrival.arrived, boxes))

    def _count_unmatched(self, count: int) -> None:
        if count:
            self.statistics.dropped('no_instances', count)
            self.explain('no_instances', (
                'a frame was dropped because no instances with its stamp came: publish '
                f'{self._node.resolve_topic_name(self._boxes_topic)} with the header of the '
                'image the boxes were found in.'))
