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

from hoi_msgs.msg import HoiDetections, HoiEvent, HoiMasks, Instances, StageLatencies
from hoi_perception.core.scene import Instances as Boxes
from hoi_perception.core.scene import Scene
from hoi_perception.ros import qos
from hoi_perception.ros.depth import DepthTopics
from hoi_perception.ros.detections_2d import Detection2DArray, MISSING, UNHEARD
from hoi_perception.ros.matching import StampMatcher
from hoi_perception.ros.pacing import RateLimit, StampWatch
from hoi_perception.ros.parameters import Settings
from hoi_perception.ros.statistics import CameraStatistics, Explainer
from hoi_perception.ros.troubles import incompatible_listener, incompatible_publisher
from hoi_perception.runtime.events import Timeline
from hoi_perception.runtime.following import stamp_fault
import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

_NANOSECONDS = 1000000000


@dataclass(frozen=True)
class Arrival:
    """
    A frame on its way: message, number, arrival by the monotonic clock, boxes if given.

    boxes: hoi_msgs/Instances or vision_msgs/Detection2DArray.
    """

    message: Any
    frame_seq: int
    arrived: float
    boxes: Any = None


class Seen(NamedTuple):
    """
    A published scene with the header of its image; arrived: by the monotonic clock.

    rgb: (H, W, 3) uint8, the image itself. boxes: those it was given by another detector.
    """

    scene: Scene
    header: Header
    frame_seq: int
    arrived: float
    rgb: np.ndarray
    boxes: Optional[Boxes]


class Camera:
    """
    Publishers live from construction to `destroy`.

    Between `start` and `stop` the camera is subscribed to while it is enabled and, where input is
    lazy, someone listens. `paused` says why it is not; incompatible: the explanation of the last
    publisher that cannot be heard; since: monotonic time of the subscription.
    """

    def __init__(self, node: LifecycleNode, name: str, settings: Settings,
                 explainer: Explainer) -> None:
        prefix = f'{name}/' if name else ''
        self.name, self.statistics = name, CameraStatistics()
        # Written by the worker; `newest` is read by the executor.
        self.timeline = Timeline()
        self.newest: Optional[Seen] = None
        self.paused, self.incompatible, self.since = 'the node is not active', '', 0.0
        self._node, self._settings, self._explainer = node, settings, explainer
        self._matcher = StampMatcher(settings.instances_buffer)
        self._limit, self._stamps = RateLimit(), StampWatch()
        self._subscriptions: List[Any] = []
        self._accept: Optional[Callable[[Arrival], None]] = None
        self._compressed = (settings.image_transport == 'compressed'
                            or name != '' and name in settings.compressed_cameras)
        self._plain_topic = node.resolve_topic_name(f'{prefix}image')
        self._boxes_topic = f'{prefix}instances'
        self._vision_topic = f'{prefix}instances_vision'

        def publisher(kind, topic, profile=None):
            name = node.resolve_topic_name(prefix + topic)
            return node.create_lifecycle_publisher(
                kind, prefix + topic, profile or qos.result(),
                qos_overriding_options=qos.overridable(),
                event_callbacks=qos.PublisherEventCallbacks(
                    incompatible_qos=lambda event: self._explainer.explain(
                        f'listener of {name}', incompatible_listener(node, name, event))))
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
        self._publishers = [self.detections, self.masks, self.latency, self.events, self.overlay,
                            self.label_image, self.markers]
        if self.detections_2d is not None:
            self._publishers.append(self.detections_2d)

    @property
    def image_topic(self) -> str:
        """The topic that is subscribed to, in full."""
        return self._plain_topic + ('/compressed' if self._compressed else '')

    @property
    def image_type(self) -> str:
        """The message type that is subscribed to."""
        return f'sensor_msgs/msg/{"CompressedImage" if self._compressed else "Image"}'

    @property
    def other_topic(self) -> str:
        """The topic of the transport that is not used."""
        return self._plain_topic + ('' if self._compressed else '/compressed')

    def start(self, accept: Callable[[Arrival], None]) -> None:
        """Subscribe; `accept` is called in the executor with every frame that is complete."""
        self._accept, self.newest = accept, None
        self.update(self._settings)

    def stop(self) -> None:
        """Unsubscribe; frames that still wait for their boxes are given up."""
        self._accept = None
        self.update(self._settings)

    def update(self, settings: Settings) -> None:
        """Follow the parameters and the listeners; call it in the executor, now and then."""
        self._settings = settings
        self.paused = self._pause(settings)
        if self.paused and self._subscriptions:
            for subscription in self._subscriptions:
                self._node.destroy_subscription(subscription)
            self._subscriptions.clear()
            if self.depth is not None:
                self.depth.stop()
            self.statistics.dropped('deactivated', self._matcher.clear())
        elif not self.paused and not self._subscriptions:
            self._subscribe()

    def _pause(self, settings: Settings) -> str:
        if self._accept is None:
            return 'the node is not active'
        if not settings.enabled:
            return 'the parameter enabled is false'
        if self.name and self.name in settings.disabled_cameras:
            return 'it is one of disabled_cameras'
        if settings.lazy and not any(p.get_subscription_count() for p in self._publishers):
            return 'nobody listens to its results and the parameter lazy is true'
        return ''

    def _subscribe(self) -> None:
        self.incompatible, self.since = '', time.monotonic()
        self._stamps = StampWatch()
        if self.depth is not None:
            self.depth.start()
        try:
            self._subscribe_image(message_lost=lambda event: self.statistics.lost(
                event.total_count_change))
        except qos.UnsupportedEventTypeError:  # not every middleware tells what it lost
            self._subscribe_image()
        if self._settings.instances_source == 'topic':
            for kind, topic in ((Instances, self._boxes_topic),
                                (Detection2DArray, self._vision_topic)):
                if kind is not None:
                    self._subscriptions.append(self._node.create_subscription(
                        kind, topic, self._on_boxes, qos.boxes(),
                        qos_overriding_options=qos.overridable()))

    def _subscribe_image(self, **events: Callable[[Any], None]) -> None:
        self._subscriptions.append(self._node.create_subscription(
            CompressedImage if self._compressed else Image, self.image_topic, self._on_image,
            qos.sensor(), qos_overriding_options=qos.overridable(),
            event_callbacks=qos.SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible, **events)))

    def _on_incompatible(self, event) -> None:
        self.incompatible = incompatible_publisher(self._node, self.image_topic, event)
        self._explainer.explain(f'{self.name} incompatible', self.incompatible)

    def destroy(self) -> None:
        """Remove the publishers."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)

    def explain(self, kind: str, sentence: str) -> None:
        """Log what is wrong with this camera, once per kind and minute."""
        self._explainer.explain(f'{self.name} {kind}', f'{self.image_topic}: {sentence}')

    def _on_image(self, message) -> None:
        arrival = Arrival(message, self.statistics.arrived(), time.monotonic())
        stamp = message.header.stamp
        kind, sentence = stamp_fault(stamp)
        if not kind:
            self._watch_time(stamp.sec * _NANOSECONDS + stamp.nanosec)
        else:
            # The pixels are good: the frame is answered with the very stamp it came with.
            self.statistics.odd_stamp(kind)
            self.explain(f'stamp {kind}', f'{sentence}; results carry it unchanged, but nothing '
                         'can be matched in time: mend the camera driver.')
        if not self._limit.admits(arrival.arrived, self._settings.max_rate):
            self.statistics.dropped('rate_limit')
        elif self._settings.instances_source != 'topic':
            self._take(arrival)
        else:
            self._match(message, arrival)

    def _watch_time(self, stamp_ns: int) -> None:
        """Begin anew where time jumps back: old boxes and depth must not meet new frames."""
        back_s = self._stamps.jumped_back_s(stamp_ns)
        if back_s:
            if self.depth is not None:
                self.depth.begin_anew()
            self.statistics.odd_stamp('jumped_back')
            self.statistics.dropped('time_jump', self._matcher.clear())
            self.explain('time', (
                f'the stamps jump back by {back_s:.3f} s (a bag that starts again, or a clock '
                'that was set): tracks, interactions and waiting frames begin anew; if this is no '
                'bag, synchronize the clock of the camera before it starts.'))

    def _match(self, message, arrival: Arrival) -> None:
        before = self._matcher.dropped_frames
        match = self._matcher.add_frame(self._key(message), arrival)
        self._count_unmatched(self._matcher.dropped_frames - before)
        if match:
            self._accept_pair(*match)

    def _on_boxes(self, message: Any) -> None:
        match = self._matcher.add_boxes(self._key(message), message)
        if match:
            self._accept_pair(*match)

    @staticmethod
    def _key(message) -> Tuple[int, int]:
        return message.header.stamp.sec, message.header.stamp.nanosec

    def _take(self, arrival: Arrival) -> None:
        if self._accept is None:
            self.statistics.dropped('deactivated')
        else:
            self._accept(arrival)

    def _accept_pair(self, arrival: Arrival, boxes: Any) -> None:
        self._take(Arrival(arrival.message, arrival.frame_seq, arrival.arrived, boxes))

    def _count_unmatched(self, count: int) -> None:
        if not count:
            return
        self.statistics.dropped('no_instances', count)
        vision = self._node.resolve_topic_name(self._vision_topic)
        if Detection2DArray is None and self._node.count_publishers(vision):
            self.explain('vision_msgs', f'{vision} is published and not heard: {UNHEARD}')
        else:
            self.explain('no_instances', (
                'a frame was dropped because no instances with its stamp came: publish '
                f'{self._node.resolve_topic_name(self._boxes_topic)} (or, as '
                f'vision_msgs/Detection2DArray, {vision}) with the header of the image the boxes '
                'were found in.'))
