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
The cameras of the soak (process): frames as fast as the node can take, malformed ones between.

Cameras come and go. The rate rises until the node drops frames because a newer one came. Progress
goes to standard output as JSON lines; the line `finish` ends the load, the end of standard input
ends the process.
"""

import argparse
from collections import Counter
import copy
import random
import sys
import time
from typing import Any, Dict, List

from benchmarks.soak_fuzzer import Fuzzer
from benchmarks.soak_world import (
    boxes_message,
    calibration,
    CAMERAS,
    depth_message,
    image_messages,
    Name,
    picture_size,
    PICTURES,
    SoakCamera,
)
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from hoi_msgs.msg import Instances
from hoi_perception.ros.player import Orders, say
import rclpy
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo

MAX_HZ = 400.0
FASTER = 1.25


def _stamp() -> Time:
    now = time.time_ns()
    return Time(sec=now // 10 ** 9, nanosec=now % 10 ** 9)


class Source:
    """One camera: its publishers while it is there, and what it has sent."""

    def __init__(self, node: Any, camera: SoakCamera, fuzzer: Fuzzer) -> None:
        self.camera, self.due, self.sent = camera, 0.0, Counter()
        self._node, self._fuzzer, self._serial = node, fuzzer, 0
        self._pictures = image_messages(camera.transport)
        self._kinds: Dict[str, Any] = {camera.topic: type(self._pictures[0])}
        if camera.extra == 'depth':
            self._depths = [depth_message(n) for n in range(PICTURES)]
            self._kinds.update({f'{camera.prefix}/depth': type(self._depths[0]),
                                f'{camera.prefix}/camera_info': CameraInfo})
        if camera.extra == 'boxes':
            self._kinds[f'{camera.prefix}/instances'] = Instances
        self._publishers: Dict[str, Any] = {}

    @property
    def there(self) -> bool:
        """Whether the camera is plugged in."""
        return bool(self._publishers)

    def come(self) -> None:
        """Create the publishers; every second time best effort, as cameras differ."""
        self.sent['came'] += 1
        reliability = (QoSReliabilityPolicy.RELIABLE, QoSReliabilityPolicy.BEST_EFFORT)[
            self.sent['came'] % 2]
        self._publishers = {topic: self._node.create_publisher(
            kind, topic, QoSProfile(depth=1, reliability=reliability))
            for topic, kind in self._kinds.items()}

    def go(self) -> None:
        """Remove the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}

    def good_frame(self) -> None:
        """Send the next picture, with depth or boxes where the camera has them."""
        self._serial += 1
        picture = self._serial % PICTURES
        message = self._pictures[picture]
        message.header = Name(self.camera.prefix, self._serial, picture,
                              picture_size(picture)).header(_stamp())
        if self.camera.extra == 'depth':
            for topic, extra in ((f'{self.camera.prefix}/depth', self._depths[picture]),
                                 (f'{self.camera.prefix}/camera_info', calibration(picture))):
                extra.header = message.header
                self._publishers[topic].publish(extra)
        if self.camera.extra == 'boxes':
            boxes = boxes_message(picture)
            boxes.header = message.header
            self._publishers[f'{self.camera.prefix}/instances'].publish(boxes)
        self._send_image(message)

    def malformed(self, random_: random.Random) -> None:
        """Send a spoilt message on one of the camera's topics."""
        picture, topic = random_.randrange(PICTURES), random_.choice(list(self._kinds))
        if topic == self.camera.topic:
            spoilt = self._fuzzer.image(self.camera, copy.deepcopy(self._pictures[picture]),
                                        picture)
            self._send_image(spoilt.message)
        elif topic.endswith('/instances'):
            # With a frame of their own: those of a good one would be taken for its boxes.
            image, stamp = self._pictures[picture], _stamp()
            image.header = Name(self.camera.prefix, -self.sent['malformed'] - 1, None,
                                picture_size(picture)).header(stamp)
            spoilt = self._fuzzer.boxes(self.camera, boxes_message(picture), stamp)
            self._publishers[topic].publish(spoilt.message)
            self._send_image(image)
        else:
            spoilt = self._fuzzer.depth(self.camera, copy.deepcopy(self._depths[picture])) \
                if topic.endswith('/depth') else self._fuzzer.camera_info(
                    self.camera, calibration(picture))
            self._publishers[topic].publish(spoilt.message)
        self.sent['malformed'] += 1

    def _send_image(self, message: Any) -> None:
        publisher = self._publishers[self.camera.topic]
        self.sent['images'] += 1
        # Nobody listens to a camera that is disabled, or was plugged in just now.
        self.sent['unheard'] += publisher.get_subscription_count() == 0
        publisher.publish(message)


class Load:
    """All cameras, paced in one loop."""

    def __init__(self, node: Any, args: argparse.Namespace) -> None:
        self._args, self._random = args, random.Random(args.seed)
        fuzzer = Fuzzer(args.seed)
        self._sources = [Source(node, camera, fuzzer) for camera in CAMERAS]
        self._turns = [0.0] * len(CAMERAS)
        self.rate = args.rate
        self._overruns: Dict[str, int] = {}
        self._calm = 0
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        """Go faster while the detecting node keeps up with its cameras."""
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            if values.get('topic') != CAMERAS[0].topic:
                continue
            dropped = int(values.get('dropped.overrun', 0))
            calm = dropped == self._overruns.get(status.name) and float(values['rate_in_hz']) > 0
            self._overruns[status.name] = dropped
            self._calm = self._calm + 1 if calm else 0
            if self._calm > 3:
                self._calm, self.rate = 0, min(FASTER * self.rate, MAX_HZ)

    def run(self, node: Any, orders: Orders) -> None:
        """Publish until told to finish."""
        started = reported = time.monotonic()
        next_malformed = started
        while 'finish' not in orders.words and not orders.gone.is_set():
            now = time.monotonic()
            for index, source in enumerate(self._sources):
                self._come_and_go(index, source, now)
                if source.there and now >= source.due:
                    source.due = max(source.due + self._period(source), now)
                    source.good_frame()
            there = [source for source in self._sources if source.there]
            if now >= next_malformed and there:
                self._random.choice(there).malformed(self._random)
                next_malformed += 1 / self._args.malformed_rate
            if now >= reported + 1:
                self.report()
                reported = now
            rclpy.spin_once(node, timeout_sec=0)
            due = [source.due for source in there] + [next_malformed, reported + 1]
            time.sleep(max(0.0, min(min(due) - time.monotonic(), 0.05)))
        for source in self._sources:
            source.go()

    def _period(self, source: Source) -> float:
        # The cameras differ, so that they do not beat together.
        return (1 + 0.3 * CAMERAS.index(source.camera)) / self.rate

    def _come_and_go(self, index: int, source: Source, now: float) -> None:
        if now < self._turns[index]:
            return
        if source.there:
            source.go()
            self._turns[index] = now + self._random.uniform(1, 3)
        else:
            source.come()
            source.due = now
            self._turns[index] = now + self._random.uniform(*self._args.stay)

    def report(self) -> None:
        """Tell the parent what was sent until now."""
        total: Counter = sum((source.sent for source in self._sources), Counter())
        say('sent', images=total['images'], unheard=total['unheard'],
            malformed=total['malformed'], cameras_came=total['came'],
            rate_hz=round(self.rate, 1),
            by_camera={s.camera.prefix: s.sent['images'] for s in self._sources})


def parse_arguments(argv=None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--rate', type=float, default=10.0)
    parser.add_argument('--malformed-rate', type=float, default=4.0)
    parser.add_argument('--stay', type=float, nargs=2, default=(15.0, 60.0))
    return parser.parse_args(argv)


def main(argv: List[str] = None) -> int:
    """Run the process."""
    args, orders = parse_arguments(argv), Orders()
    rclpy.init(args=[])
    node = rclpy.create_node('soak_cameras')
    load = Load(node, args)
    say('ready')
    try:
        load.run(node, orders)
        load.report()
        say('finished')
        orders.gone.wait()
    except KeyboardInterrupt:
        pass
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
