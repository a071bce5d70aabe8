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
Record what the node publishes: a results bag and an animated overlay (demo process).

Messages are written as the bytes that arrived, at the time stamp of their image. Every result is
reported to the parent as one line of JSON; the line `finish` on standard input, or its end, or
SIGINT closes the bag.
"""

import argparse
from pathlib import Path
import sys
import time
from typing import Dict, List

from hoi_msgs.msg import HoiDetections, HoiEvent, HoiMasks, StageLatencies, Vocabulary
from hoi_perception.core.errors import FrameError
from hoi_perception.replay.bag_reader import frame_key
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.ros import qos
from hoi_perception.ros.player import LATCHED, Orders, say
from hoi_perception.runtime.frames import decode_raw
import PIL.Image
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

GIF_FRAMES = 60
GIF_BYTES = 6_000_000
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


class Recorder:
    """
    Writes the node's topics to a bag as they arrive, and keeps some overlays for the GIF.

    every: of so many overlays one is kept, 0 = none is asked for.
    """

    def __init__(self, node, writer: BagWriter, every: int) -> None:
        self.node, self.writer, self.every = node, writer, every
        self.overlays: List[PIL.Image.Image] = []
        self.overlays_seen = 0
        self.last_arrival = time.monotonic()
        self.subscriptions = [
            self._record('detections', HoiDetections, self._report_detections),
            self._record('masks', HoiMasks, None),
            self._record('events', HoiEvent, None, qos.events()),
            self._record('latency', StageLatencies, self._report_latency)]
        self._record('vocabulary', Vocabulary, None, LATCHED)
        if every:
            node.create_subscription(Image, 'overlay', self._on_overlay, QoSProfile(
                depth=5, reliability=ReliabilityPolicy.RELIABLE))

    def _record(self, name: str, type_, report, profile: QoSProfile = RELIABLE):
        topic = f'{self.node.get_namespace().rstrip("/")}/{name}'
        type_name = f'hoi_msgs/msg/{type_.__name__}'
        self.writer.add_topic(topic, type_name)

        def write(serialized: bytes) -> None:
            self.last_arrival = time.monotonic()
            message = deserialize_message(serialized, type_)
            stamp = message.header.stamp if hasattr(message, 'header') else message.stamp
            self.writer.write_serialized(
                topic, type_name, stamp.sec * 1_000_000_000 + stamp.nanosec, serialized)
            if report is not None:
                report(message)
        return self.node.create_subscription(type_, topic, write, profile, raw=True)

    @staticmethod
    def _report_detections(message: HoiDetections) -> None:
        names = [instance.class_name for instance in message.instances]
        best: Dict[str, float] = {}
        for t in message.triplets:
            thing = names[t.object] if t.object >= 0 else ''
            best.setdefault(f'{names[t.human]} {t.verb_name} {thing}'.strip(), round(t.score, 3))
        say('result', key=frame_key(message.header), version=message.prompt_version,
            triplets=list(best.items())[:5])

    @staticmethod
    def _report_latency(message: StageLatencies) -> None:
        say('latency', total=message.total,
            stages=dict(zip(message.stages, message.milliseconds.tolist())))

    def _on_overlay(self, message: Image) -> None:
        self.last_arrival = time.monotonic()
        self.overlays_seen += 1
        if (self.overlays_seen - 1) % self.every or len(self.overlays) >= GIF_FRAMES:
            return
        try:
            rgb = decode_raw(message.encoding, message.width, message.height, message.step,
                             message.data, bool(message.is_bigendian))
        except FrameError as error:
            say('warning', text=f'overlay: {error}')
            return
        image = PIL.Image.fromarray(rgb)
        image.thumbnail((480, 480))
        self.overlays.append(image)

    def matched(self) -> bool:
        """Return whether the node's publishers have been found."""
        return all(self.node.count_publishers(s.topic_name) > 0 for s in self.subscriptions)


def write_gif(images: List[PIL.Image.Image], path: Path, limit: int = GIF_BYTES) -> None:
    """Write an animation of at most `limit` bytes, by making the pictures smaller if need be."""
    scale, size = 1.0, images[0].size
    while True:
        shape = tuple(max(16, round(scale * side)) for side in size)
        frames = [image.resize(shape).quantize(128, method=PIL.Image.Quantize.FASTOCTREE)
                  for image in images]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=200, loop=0)
        if path.stat().st_size <= limit or scale < 0.3:
            return
        scale *= 0.8


def record(recorder: Recorder, orders: Orders) -> None:
    """Serve ROS until told to finish and everything under way has arrived."""
    matched = False
    while rclpy.ok() and not orders.gone.is_set():
        rclpy.spin_once(recorder.node, timeout_sec=0.05)
        if not matched and recorder.matched():
            matched = True
            say('ready')
        if 'finish' in orders.words and time.monotonic() - recorder.last_arrival > 0.5:
            return


def main(argv=None) -> int:
    """Run the recorder process."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('out', type=Path)
    parser.add_argument('--namespace', default='/hoi')
    parser.add_argument('--frames', type=int, default=GIF_FRAMES)
    args = parser.parse_args(argv)
    orders = Orders()
    rclpy.init(args=[])
    node = rclpy.create_node('hoi_demo_recorder', namespace=args.namespace)
    try:
        with BagWriter(args.out / 'results') as writer:
            recorder = Recorder(node, writer, -(-args.frames // GIF_FRAMES))
            try:
                record(recorder, orders)
            except (KeyboardInterrupt, ExternalShutdownException):
                return 0
        if 'finish' in orders.words and recorder.overlays:
            write_gif(recorder.overlays, args.out / 'overlay.gif')
        say('done', overlays=recorder.overlays_seen)
        return 0
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
