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
Changes while the node works (process): parameters, services, life-cycle and listeners.

Every second one request to set parameters goes to each node, valid or not; each answer must be
what the rules say. Listeners of all outputs join and leave.
"""

import argparse
from collections import Counter
import random
import sys
import time
from typing import Any, Callable, Dict, List

from benchmarks.soak_changes import Change, Changes, VERBS
from benchmarks.soak_world import CAMERAS, DETECTING, GIVEN, NODE
from hoi_msgs.msg import HoiDetections, HoiEvent, HoiMasks, StageLatencies, Vocabulary
from hoi_msgs.srv import Query, SetVerbs
from hoi_perception.ros.player import Orders, say
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from rcl_interfaces.srv import SetParametersAtomically
import rclpy
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

ANSWER_S = 20.0
LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
OUTPUTS = {'detections': HoiDetections, 'masks': HoiMasks, 'latency': StageLatencies,
           'events': HoiEvent, 'overlay': Image, 'label_image': Image, 'markers': MarkerArray}


class Requests:
    """Service calls that must be answered; how long that took."""

    def __init__(self, node: Any, orders: Orders) -> None:
        self._node, self._orders = node, orders
        self._clients: Dict[str, Any] = {}
        self.count: Counter = Counter()
        self.seconds: Dict[str, List[float]] = {}
        self.wrong: List[str] = []

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """Return the answer, or None where none came (which is counted)."""
        client = self._clients.get(name) or self._clients.setdefault(
            name, self._node.create_client(kind, name))
        what = name.rpartition('/')[2]
        self.count[what] += 1
        # What is asked before both sides have found each other is lost in the middleware.
        self._spin(client.service_is_ready)
        started = time.monotonic()
        future = client.call_async(request)
        self._spin(future.done)
        if not future.done():
            client.remove_pending_request(future)
            self.is_wrong(f'{name} did not answer within {ANSWER_S:.0f} s.')
            return None
        self.seconds.setdefault(what, []).append(time.monotonic() - started)
        return future.result()

    def _spin(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + ANSWER_S
        while not done() and time.monotonic() < end:
            if self._orders.gone.is_set():
                raise KeyboardInterrupt
            rclpy.spin_once(self._node, timeout_sec=0.05)

    def is_wrong(self, sentence: str) -> None:
        """Count an answer that is not what the rules say."""
        self.count['wrong'] += 1
        self.wrong = [*self.wrong, sentence][:20]

    def milliseconds(self) -> Dict[str, Dict[str, float]]:
        """Return p50, p95 and max by service."""
        return {name: {'p50': round(1e3 * float(np.percentile(values, 50)), 1),
                       'p95': round(1e3 * float(np.percentile(values, 95)), 1),
                       'max': round(1e3 * max(values), 1)}
                for name, values in self.seconds.items()}


class Listeners:
    """Subscriptions that come and go on all outputs of all cameras."""

    def __init__(self, node: Any, seed: int) -> None:
        self._node, self._random = node, random.Random(seed)
        self._there: Dict[str, Any] = {}
        self.heard: Counter = Counter()
        self.joined = 0

    def turn(self) -> None:
        """Let one join or leave."""
        camera = self._random.choice(CAMERAS)
        topic, kind = self._random.choice([*OUTPUTS.items(), ('vocabulary', Vocabulary)])
        name = f'{camera.node}/{topic}' if kind is Vocabulary else f'{camera.prefix}/{topic}'
        if name in self._there:
            self._node.destroy_subscription(self._there.pop(name))
            return
        if len(self._there) > 6:
            gone = self._random.choice(sorted(self._there))
            self._node.destroy_subscription(self._there.pop(gone))
        profile = LATCHED if kind is Vocabulary else QoSProfile(
            depth=self._random.choice((1, 10)), reliability=self._random.choice(
                (QoSReliabilityPolicy.RELIABLE, QoSReliabilityPolicy.BEST_EFFORT)))
        self.joined += 1
        self._there[name] = self._node.create_subscription(
            kind, name, self._counter(topic), profile)

    def _counter(self, topic: str) -> Callable[[Any], None]:
        def count(message: Any) -> None:
            self.heard[topic] += 1
        return count


class Director:
    """Decides each second what happens."""

    def __init__(self, node: Any, args: argparse.Namespace, orders: Orders) -> None:
        self._node, self._args, self._orders = node, args, orders
        self._changes = {name: Changes(args.seed + index)
                         for index, name in enumerate((DETECTING, GIVEN))}
        self._random = random.Random(args.seed)
        self.requests = Requests(node, orders)
        self.listeners = Listeners(node, args.seed)
        self.done: Counter = Counter()

    def run(self) -> None:
        """Change something every second until told to finish."""
        second, due = 0, time.monotonic()
        while 'finish' not in self._orders.words:
            due = max(due + 1.0, time.monotonic())
            second += 1
            for name, changes in self._changes.items():
                self._set(name, changes.next())
            self.listeners.turn()
            if second % 5 == 0:
                self._ask(second)
            if second % self._args.lifecycle_every == 0:
                self._pause(self._random.choice((DETECTING, GIVEN)))
            self.report()
            while time.monotonic() < due and 'finish' not in self._orders.words:
                if self._orders.gone.is_set():
                    raise KeyboardInterrupt
                rclpy.spin_once(self._node, timeout_sec=0.05)

    def _set(self, name: str, change: Change) -> None:
        values = change.values
        parameters = [Parameter(key, value=value).to_parameter_msg()
                      for key, value in values.items()]
        answer = self.requests.call(
            SetParametersAtomically, f'{name}/{NODE}/set_parameters_atomically',
            SetParametersAtomically.Request(parameters=parameters))
        self.done['parameter_changes'] += 1
        if answer is None:
            return
        result = answer.result
        self.done['refused' if not result.successful else 'accepted'] += 1
        if result.successful != change.valid:
            self.requests.is_wrong(f'{name}: {values} was '
                                   f'{"accepted" if result.successful else "refused"}: '
                                   f'{result.reason}')
        elif not change.valid and not result.reason:
            self.requests.is_wrong(f'{name}: {values} was refused without a reason.')

    def _ask(self, second: int) -> None:
        camera = self._random.choice(CAMERAS)
        self.requests.call(Query, f'{camera.node}/{NODE}/query', Query.Request(
            camera=self._random.choice((camera.name, 'nobody', '')),
            kind=self._random.choice((0, 1, 2, 3, 255)),
            x1=self._random.choice((100.0, float('nan'), -5.0)), y1=100.0,
            x2=self._random.choice((200.0, float('inf'), 50.0)), y2=200.0,
            phrase=self._random.choice(('hold cup', '', '☃', 'who?'))))
        self.requests.call(GetState, f'{camera.node}/{NODE}/get_state', GetState.Request())
        if second % 15 == 0:
            answer = self.requests.call(
                SetVerbs, f'{camera.node}/{NODE}/set_verbs',
                SetVerbs.Request(verbs=self._random.choice(VERBS)))
            if answer is not None and not answer.success:
                self.requests.is_wrong(f'set_verbs was refused: {answer.message}')

    def _pause(self, name: str) -> None:
        """Deactivate and activate a node: what waits is counted, the model stays."""
        self.done['deactivations'] += 1
        for label in ('deactivate', 'activate'):
            self._transition(name, label)

    def _transition(self, name: str, label: str) -> None:
        request = ChangeState.Request()
        request.transition.label = label
        answer = self.requests.call(ChangeState, f'{name}/{NODE}/change_state', request)
        if answer is not None and not answer.success:
            self.requests.is_wrong(f'{name} could not {label}.')

    def stop_nodes(self) -> None:
        """Deactivate both: nothing is on its way any more, and the counters stand."""
        for name in self._changes:
            self._transition(name, 'deactivate')

    def report(self) -> None:
        """Tell the parent what was done until now."""
        say('changed', **self.done, listeners_joined=self.listeners.joined,
            heard_by_listeners=sum(self.listeners.heard.values()),
            wrong_answers=self.requests.count['wrong'], examples=self.requests.wrong,
            service_calls=sum(map(len, self.requests.seconds.values())),
            answer_ms=self.requests.milliseconds())


def main(argv: List[str] = None) -> int:
    """Run the process."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--lifecycle-every', type=int, default=60)
    args, orders = parser.parse_args(argv), Orders()
    rclpy.init(args=[])
    node = rclpy.create_node('soak_changes')
    director = Director(node, args, orders)
    say('ready')
    try:
        director.run()
        director.stop_nodes()
        director.report()
        say('finished')
        orders.gone.wait()
    except KeyboardInterrupt:
        pass
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
