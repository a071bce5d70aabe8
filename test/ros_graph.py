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

"""A real node in its own process, and a peer that talks to it, on a domain of their own."""

import itertools
import os
from pathlib import Path
import signal as signals
import subprocess
import sys
import time
from typing import Callable, Dict, List, Optional, Sequence

from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

ROOT = Path(__file__).resolve().parents[1]
START_S = 60.0
WAIT_S = 20.0
_counter = itertools.count()

RELIABLE = QoSProfile(depth=50, reliability=QoSReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE,
                     durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


def free_domain() -> int:
    """Return a ROS_DOMAIN_ID (1..100) that no other test worker of this run uses now."""
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])
    return 1 + (worker * 25 + os.getpid() * 7 + next(_counter)) % 100


class NodeProcess:
    """`hoi_node` as users run it, or another program that becomes one; the log is kept."""

    def __init__(self, domain: int, directory: Path, parameters: Sequence[str] = (),
                 arguments: Sequence[str] = (), namespace: str = 'hoi',
                 program: Sequence[str] = ('-m', 'hoi_perception.ros.main')) -> None:
        self._log = directory / f'node{next(_counter)}.log'
        command = [sys.executable, *program, *arguments, '--ros-args',
                   '-r', f'__ns:=/{namespace}']
        for parameter in parameters:
            command += ['-p', parameter]
        environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain), 'OMP_NUM_THREADS': '1',
                       'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                       'ROS_LOG_DIR': str(directory / 'log'),
                       'XDG_CACHE_HOME': str(directory / 'cache')}
        with self._log.open('wb') as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log,
                                            stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for_log(self, text: str, timeout: float = START_S) -> None:
        deadline = time.monotonic() + timeout
        while text not in self.log:
            assert self.process.poll() is None, f'the node ended:\n{self.log}'
            assert time.monotonic() < deadline, f'no {text!r} within {timeout} s:\n{self.log}'
            time.sleep(0.05)

    def end(self, number: int = signals.SIGTERM, timeout: float = 10.0):
        """Send a signal; return exit code and seconds."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        return code, time.monotonic() - started


class Peer:
    """A node in the test process: publishes, collects, calls services, always with a bound."""

    def __init__(self, domain: int, namespace: str = 'hoi') -> None:
        self.namespace = namespace
        self.context = Context()
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node('peer', context=self.context, namespace=f'/{namespace}')
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.received: Dict[str, List] = {}
        self._publishers: Dict[str, object] = {}
        self._subscriptions: Dict[str, object] = {}

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def spin(self, until: Callable[[], bool], timeout: float = WAIT_S) -> bool:
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def listen(self, kind, topic: str, qos: QoSProfile = RELIABLE, match: bool = True) -> List:
        """Collect the messages of a topic; returns when the node's publisher is found."""
        messages = self.received.setdefault(topic, [])
        if topic in self._subscriptions:
            return messages
        subscription = self.node.create_subscription(kind, topic, messages.append, qos)
        self._subscriptions[topic] = subscription
        if match:
            assert self.spin(lambda: self.node.count_publishers(
                self.node.resolve_topic_name(topic)) > 0), f'nobody publishes {topic}'
        return messages

    def unlisten(self, topic: str) -> None:
        self.node.destroy_subscription(self._subscriptions.pop(topic))

    def publisher(self, kind, topic: str):
        """Return a publisher that the node has subscribed to."""
        if topic not in self._publishers:
            publisher = self.node.create_publisher(kind, topic, RELIABLE)
            assert self.spin(lambda: publisher.get_subscription_count() > 0), \
                f'the node does not subscribe to {topic}'
            self._publishers[topic] = publisher
        return self._publishers[topic]

    def publish_until(self, message, topic: str, done: Callable[[], bool],
                      timeout: float = WAIT_S) -> bool:
        """
        Publish a frame, again every few seconds, until something is true.

        Camera topics are best effort with room for one: a busy machine may lose any single frame.
        """
        publisher, deadline = self.publisher(type(message), topic), time.monotonic() + timeout
        while time.monotonic() < deadline:
            publisher.publish(message)
            if self.spin(done, 3.0):
                return True
        return False

    def answer(self, message, topic: str = 'image', out: str = 'detections',
               timeout: float = WAIT_S):
        """Publish an image and return the detections with its header, or None in time."""
        messages = self.received[out]
        old = len(messages)

        def found():
            return [m for m in messages[old:] if m.header == message.header]
        return found()[-1] if self.publish_until(
            message, topic, lambda: bool(found()), timeout) else None

    def call(self, kind, name: str, request, timeout: float = WAIT_S):
        client = self.node.create_client(kind, name)
        try:
            assert self.spin(client.service_is_ready, timeout), f'no service {name}'
            future = client.call_async(request)
            assert self.spin(future.done, timeout), f'{name} did not answer'
            return future.result()
        finally:
            self.node.destroy_client(client)

    def set_parameters(self, node: str = 'hoi_node', atomically: bool = False, **values):
        """Set parameters through the standard service; return the list of results."""
        parameters = [Parameter(name=name, value=_value(value)) for name, value in values.items()]
        if atomically:
            return [self.call(SetParametersAtomically, f'{node}/set_parameters_atomically',
                              SetParametersAtomically.Request(parameters=parameters)).result]
        return self.call(SetParameters, f'{node}/set_parameters',
                         SetParameters.Request(parameters=parameters)).results

    def change_state(self, label: str, node: str = 'hoi_node') -> bool:
        request = ChangeState.Request()
        request.transition.label = label
        return self.call(ChangeState, f'{node}/change_state', request, START_S).success

    def state(self, node: str = 'hoi_node') -> str:
        return self.call(GetState, f'{node}/get_state', GetState.Request()).current_state.label


def _value(value) -> ParameterValue:
    if isinstance(value, ParameterValue):
        return value
    if isinstance(value, bool):
        return ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value)
    if isinstance(value, int):
        return ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)
    if isinstance(value, float):
        return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
    if isinstance(value, str):
        return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
    return ParameterValue(type=ParameterType.PARAMETER_STRING_ARRAY, string_array_value=value)


def header(number: int, frame: str = 'camera_optical_frame') -> Header:
    """Return a header with a stamp that no other test frame has."""
    message = Header(frame_id=frame)
    message.stamp.sec, message.stamp.nanosec = 1000 + number, 7 * number + 1
    return message


def picture(width: int = 96, height: int = 64, seed: int = 0) -> np.ndarray:
    """Return a smooth random colour picture, (height, width, 3) uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return np.kron(noise, np.ones((8, 8, 1)))[:height, :width].astype(np.uint8)


def image(number: int, rgb: Optional[np.ndarray] = None) -> Image:
    """Return an rgb8 image message."""
    rgb = picture(seed=number) if rgb is None else rgb
    message = Image(header=header(number), height=rgb.shape[0], width=rgb.shape[1],
                    encoding='rgb8', step=3 * rgb.shape[1])
    message.data = rgb.tobytes()
    return message
