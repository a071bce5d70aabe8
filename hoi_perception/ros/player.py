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
Publish the camera frames of a bag on their own topic, with their own headers (demo process).

Messages are published as the bytes that lie in the bag. Between the frames the verbs of the
perception node are changed through its standard parameter service, as a user would. Progress goes
to standard output as one JSON object per line; the line `go` on standard input starts the play,
the end of standard input (the parent is gone) ends it.
"""

import argparse
from collections import Counter
import json
import sys
import threading
import time
from typing import Callable, List, Optional, Set

from hoi_msgs.msg import HoiDetections, Vocabulary
from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_reader import BagReader, Frame, frame_key, FrameKey, Topic
from hoi_perception.replay.message_types import IMAGE
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FIRST_ANSWER_S = 15.0
LEAST_ANSWER_S = 3.0
"""The first answer may take the first; later ones ten times the slowest, at least the second."""


def say(event: str, **values) -> None:
    """Tell the parent process something, as one line of JSON."""
    print(json.dumps({'event': event, **values}), flush=True)


class Orders(threading.Thread):
    """The words the parent writes to standard input; `gone` is set when the parent is no more."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.words: Set[str] = set()
        self.gone = threading.Event()
        self.start()

    def run(self) -> None:
        """Read until the pipe is closed."""
        for line in sys.stdin:
            self.words.add(line.strip())
        self.gone.set()


def camera_topic(topic: Topic) -> str:
    """Return the name to publish on: compressed images end in /compressed by convention."""
    if topic.type == IMAGE or topic.name.endswith('/compressed'):
        return topic.name
    return topic.name + '/compressed'


class Player:
    """Paces one camera topic of a bag, and waits for the node's answers between the frames."""

    def __init__(self, node, reader: BagReader, topic: Topic, args: argparse.Namespace,
                 orders: Orders) -> None:
        self.node, self.reader, self.topic, self.args = node, reader, topic, args
        self.orders = orders
        # Counted, because a camera without a clock gives every frame the same stamp.
        self.answered: Counter[FrameKey] = Counter()
        self.published: Counter[FrameKey] = Counter()
        self.vocabulary: Optional[Vocabulary] = None
        self.slowest = FIRST_ANSWER_S / 10
        self.publisher = node.create_publisher(
            Image if topic.type == IMAGE else CompressedImage, camera_topic(topic),
            QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE))
        node.create_subscription(HoiDetections, 'detections', self._on_detections, 10)
        node.create_subscription(Vocabulary, 'vocabulary', self._on_vocabulary, LATCHED)
        self.parameters = node.create_client(SetParameters, f'{args.node}/set_parameters')

    def _on_detections(self, message: HoiDetections) -> None:
        self.answered[frame_key(message.header)] += 1

    def _on_vocabulary(self, message: Vocabulary) -> None:
        self.vocabulary = message

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Serve ROS until the condition holds; False when the time is over."""
        end = time.monotonic() + seconds
        while not condition():
            if self.orders.gone.is_set():
                raise KeyboardInterrupt
            rest = end - time.monotonic()
            if rest <= 0:
                return False
            rclpy.spin_once(self.node, timeout_sec=min(rest, 0.05))
        return True

    def play(self) -> None:
        """Play the whole bag; raises `HoiError` when no node ever listens."""
        if not self.wait(lambda: self.publisher.get_subscription_count() > 0 and
                         'go' in self.orders.words, self.args.patience):
            raise HoiError(f'no node subscribed to {camera_topic(self.topic)} within '
                           f'{self.args.patience:.0f} s: see the log of the node.')
        count, start, previous = self.topic.count, None, None
        change, reset = count // 2, (3 * count) // 4
        if count < 4 or self.args.keep_verbs:
            change = reset = count
        for number, frame in enumerate(self.reader.frames(self.topic)):
            if number == change:
                self._change_verbs(self._other_verbs())
            elif number == reset:
                self._change_verbs([''])
            if number in (0, change, reset):
                # The clock of the bag starts anew after a pause.
                start, previous = time.monotonic(), frame.log_time
            due = start + (frame.log_time - previous) / 1e9 / self.args.rate
            self.wait(lambda due=due: time.monotonic() >= due, max(due - time.monotonic(), 0) + 1)
            self._publish(number, frame)
        say('done')

    def _publish(self, number: int, frame: Frame) -> None:
        sent = time.monotonic()
        self.publisher.publish(frame.serialized)
        self.published[frame.key] += 1
        say('published', number=number, key=frame.key)
        if not self.args.realtime:
            # One frame in flight: a slow machine is slower, but loses nothing.
            key, allowed = frame.key, max(LEAST_ANSWER_S, 10 * self.slowest)
            if self.wait(lambda: self.answered[key] >= self.published[key], allowed):
                taken = time.monotonic() - sent
                self.slowest = taken if number == 0 else max(self.slowest, taken)
            elif number == 0:
                self.slowest = 0.0  # a frame the node refuses says nothing about its speed

    def _other_verbs(self) -> List[str]:
        """Return every second verb of the node and one that it does not have."""
        names = list(self.vocabulary.verbs) if self.vocabulary else []
        return names[::2] + [name for name in ('reach for',) if name not in names]

    def _change_verbs(self, verbs: List[str]) -> None:
        """Set the node's parameter `verbs` and wait until results are computed with it."""
        before = self.vocabulary.version if self.vocabulary else 0
        if not self.wait(self.parameters.service_is_ready, 10.0):
            say('verbs', accepted=False, reason='the parameter service does not answer')
            return
        value = ParameterValue(type=ParameterType.PARAMETER_STRING_ARRAY, string_array_value=verbs)
        future = self.parameters.call_async(
            SetParameters.Request(parameters=[Parameter(name='verbs', value=value)]))
        if not self.wait(future.done, 30.0):
            say('verbs', accepted=False, reason='the parameter service does not answer')
            return
        result = future.result().results[0]
        if result.successful:
            self.wait(lambda: self.vocabulary is not None and self.vocabulary.version > before,
                      30.0)
        say('verbs', accepted=result.successful, reason=result.reason, verbs=verbs,
            version=self.vocabulary.version if self.vocabulary else 0)


def parse_arguments(argv=None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('bag')
    parser.add_argument('--topic', default=None)
    parser.add_argument('--namespace', default='/hoi')
    parser.add_argument('--node', default='/hoi/hoi_node')
    parser.add_argument('--rate', type=float, default=1.0)
    parser.add_argument('--realtime', action='store_true')
    parser.add_argument('--keep-verbs', action='store_true')
    parser.add_argument('--patience', type=float, default=180.0)
    return parser.parse_args(argv)


def main(argv=None) -> int:
    """Run the player process."""
    args = parse_arguments(argv)
    orders = Orders()
    rclpy.init(args=[])
    node = rclpy.create_node('hoi_demo_player', namespace=args.namespace)
    try:
        with BagReader(args.bag) as reader:
            Player(node, reader, reader.choose_image_topic(args.topic), args, orders).play()
        return 0
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except HoiError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
