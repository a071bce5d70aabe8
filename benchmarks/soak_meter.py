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

"""Pictures at given rates to a real node, and how long each answer took; for one-node measures."""

from contextlib import contextmanager
import os
from pathlib import Path
import tempfile
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

from benchmarks.soak_world import image_messages
from builtin_interfaces.msg import Time
from hoi_msgs.msg import HoiDetections
from hoi_perception.ros.demo_processes import Child, Children, free_domain
import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, QoSReliabilityPolicy

NAMESPACE = '/measured'
READY_S = 900.0
LATE_S = 1.5
"""How long the last answers of a measurement are waited for."""
_ONE_BY_ONE = 30


class Measured(NamedTuple):
    """Frames of one camera in one measurement; swapped: results that were not its own."""

    seconds: float
    sent: int
    answered: int
    swapped: int
    latencies_ms: List[float]

    def summary(self) -> Dict[str, float]:
        """Return rates and percentiles."""
        p50, p95 = np.percentile(self.latencies_ms, (50, 95)) if self.latencies_ms else (0, 0)
        return {'sent_hz': round(self.sent / self.seconds, 2),
                'answered_hz': round(self.answered / self.seconds, 2),
                'answered': self.answered, 'p50_ms': round(float(p50), 1),
                'p95_ms': round(float(p95), 1), 'swapped': self.swapped}


class Meter:
    """
    Publishes one picture per camera again and again; each camera's has a size of its own.

    cameras: names; '' = the only one, without a name.
    """

    def __init__(self, domain: int, cameras: Sequence[str],
                 namespace: str = NAMESPACE) -> None:
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node('meter', context=self._context, namespace=namespace)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        best_effort = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
        self._messages = dict(zip(cameras, image_messages('raw')))
        self._publishers: Dict[str, Any] = {}
        self._sent: Dict[str, Set[Tuple[int, int]]] = {name: set() for name in cameras}
        self._latencies: Dict[str, List[float]] = {name: [] for name in cameras}
        self._swapped = dict.fromkeys(cameras, 0)
        for name, message in self._messages.items():
            prefix = f'{name}/' if name else ''
            message.header.frame_id = f'{name} lens'
            self._publishers[name] = self._node.create_publisher(
                type(message), f'{prefix}image', best_effort)
            self._node.create_subscription(
                HoiDetections, f'{prefix}detections',
                lambda result, name=name: self._on_result(name, result), 50)

    def _on_result(self, camera: str, result: HoiDetections) -> None:
        now, stamp, sent = time.time_ns(), result.header.stamp, self._messages[camera]
        own = ((stamp.sec, stamp.nanosec) in self._sent[camera]
               and result.header.frame_id == sent.header.frame_id
               and (result.width, result.height) == (sent.width, sent.height))
        self._swapped[camera] += not own
        self._latencies[camera].append(1e-6 * (now - stamp.sec * 10 ** 9 - stamp.nanosec))

    def wait_until_heard(self) -> None:
        """Return when the node has subscribed to every camera."""
        while not all(p.get_subscription_count() for p in self._publishers.values()):
            self._executor.spin_once(timeout_sec=0.1)

    def run(self, rates: Dict[str, float], seconds: float) -> Dict[str, Measured]:
        """Publish at these rates (Hz) for that long; return what came back, by camera."""
        for name in rates:
            self._sent[name].clear()
            self._latencies[name].clear()
            self._swapped[name] = 0
        started = now = time.monotonic()
        due = dict.fromkeys(rates, started)
        while now - started < seconds:
            for name, rate in rates.items():
                if now >= due[name]:
                    self._publish(name)
                    due[name] = max(due[name] + 1 / rate, now - 1 / rate)
            self._executor.spin_once(timeout_sec=max(0.0, min(due.values()) - time.monotonic()))
            now = time.monotonic()
        while time.monotonic() < started + seconds + LATE_S:
            self._executor.spin_once(timeout_sec=0.05)
        return {name: Measured(seconds, len(self._sent[name]), len(self._latencies[name]),
                               self._swapped[name], list(self._latencies[name]))
                for name in rates}

    def _publish(self, name: str) -> None:
        message, now = self._messages[name], time.time_ns()
        message.header.stamp = Time(sec=now // 10 ** 9, nanosec=now % 10 ** 9)
        self._sent[name].add((message.header.stamp.sec, message.header.stamp.nanosec))
        self._publishers[name].publish(message)

    def first_answer(self, rate: float) -> None:
        """Publish on all cameras at this rate (Hz) until the first result comes."""
        for kept in self._latencies.values():
            kept.clear()
        while not any(self._latencies.values()):
            for name in self._messages:
                self._publish(name)
            due = time.monotonic() + 1 / rate
            while time.monotonic() < due and not any(self._latencies.values()):
                self._executor.spin_once(timeout_sec=1 / rate)

    def capacity(self, seconds: float) -> float:
        """Return how many frames per second all cameras together are answered at most."""
        names = list(self._messages)
        started = time.monotonic()
        for _ in range(_ONE_BY_ONE):
            self.first_answer(1.0)
        one_by_one = _ONE_BY_ONE / (time.monotonic() - started)
        measured = self.run(dict.fromkeys(names, 2 * one_by_one), seconds)
        return sum(found.answered for found in measured.values()) / seconds

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@contextmanager
def running_node(parameters: Sequence[str], cores: Sequence[int] = ()
                 ) -> Iterator[Tuple[Child, int]]:
    """
    Start a node and wait until it is ready; yields its process and domain.

    cores: (of the node, of this process); empty = wherever the system likes.
    """
    domain, logs = free_domain(), Path(tempfile.mkdtemp(prefix='hoi_measure_'))
    before = os.sched_getaffinity(0)
    with Children(logs, domain) as children:
        children.environment.update(OMP_NUM_THREADS='1', XDG_CACHE_HOME=str(logs / 'cache'))
        try:
            if cores:
                os.sched_setaffinity(0, {cores[0]})  # the node inherits it
            node = start_node(children, parameters)
            if cores:
                os.sched_setaffinity(0, {cores[1]})
            yield node, domain
        finally:
            os.sched_setaffinity(0, before)


def start_node(children: Children, parameters: Sequence[str]) -> Child:
    """Start a node as a child and return when it waits for images."""
    arguments = ['--ros-args', '-r', f'__ns:={NAMESPACE}']
    for parameter in parameters:
        arguments += ['-p', parameter]
    node = children.start('node', 'hoi_perception.ros.main', arguments)
    end = time.monotonic() + READY_S
    while 'waiting for images' not in node.log.read_text(errors='replace'):
        if node.process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(node.last_words())
        time.sleep(0.02)
    return node
