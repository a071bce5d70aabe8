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
How long state, parameters and services take to answer while the node is busy.

    python -m benchmarks.service_latency [--bundle DIRECTORY] [--calls 200] [--write FILE]

A real node, a camera and this caller, each a process of its own, over DDS on this machine. First
the model loads (configure) while its state is asked for; then frames come faster than they can be
computed, and every kind of call is made in turn. `set_verbs accepted` is the parameter call that
asks for new verbs, `set_verbs active` the service that answers once they are in use, with text
encoded in between. The time includes the caller's own share, about a millisecond.
"""

import argparse
import itertools
import json
import multiprocessing
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List

from benchmarks.machine import machine
from hoi_msgs.msg import HoiDetections
from hoi_msgs.srv import Query, SetVerbs
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
import rclpy
from sensor_msgs.msg import Image

DOMAIN, NODE = 83, '/hoi/hoi_node'
START_S, CALL_S, ALLOWED_MS = 180.0, 30.0, 100.0
# A best-effort camera loses large frames on a busy machine, and then the node has less to do.
RELIABLE = ('-p', 'qos_overrides./hoi/image.subscription.reliability:=reliable')
VERBS = (['ride', 'hold'], ['push', 'carry', 'kick'])


def camera(rate: float) -> None:
    """Publish frames for ever: the main function of the camera's process."""
    from hoi_perception.replay.sample_frames import sample_frames
    from hoi_perception.ros.images import encode
    from std_msgs.msg import Header
    frames = sample_frames(None, 16)
    rclpy.init(domain_id=DOMAIN)
    node = rclpy.create_node('camera', namespace='/hoi')
    publisher = node.create_publisher(Image, 'image', 1)
    for rgb in itertools.cycle(frames):
        header = Header(frame_id='camera', stamp=node.get_clock().now().to_msg())
        publisher.publish(encode(rgb, 'rgb8', header))
        time.sleep(1 / rate)


class Caller:
    """Calls services of the node and keeps how long each took, in milliseconds."""

    def __init__(self) -> None:
        rclpy.init(domain_id=DOMAIN)
        self.node = rclpy.create_node('caller')
        self.took: Dict[str, List[float]] = {}
        self.frames = 0
        self.node.create_subscription(HoiDetections, '/hoi/detections', self._count, 10)
        self._clients: Dict[str, Any] = {}

    def _count(self, _message: HoiDetections) -> None:
        self.frames += 1

    def send(self, kind: type, name: str, request: Any) -> Any:
        """Send a request and return its future."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, f'{NODE}/{name}')
            if not self._clients[name].wait_for_service(START_S):
                raise RuntimeError(f'no service {NODE}/{name} within {START_S:.0f} s.')
        return self._clients[name].call_async(request)

    def call(self, title: str, kind: type, name: str, request: Any) -> Any:
        """Call a service, keep the time under this title and return the answer."""
        begun = time.perf_counter()
        future = self.send(kind, name, request)
        rclpy.spin_until_future_complete(self.node, future, timeout_sec=CALL_S)
        if not future.done():
            raise RuntimeError(f'{name} did not answer within {CALL_S:.0f} s.')
        self.took.setdefault(title, []).append(1e3 * (time.perf_counter() - begun))
        return future.result()

    def report(self) -> Dict[str, Dict[str, float]]:
        """Return count, median, 95th percentile, maximum and how many took too long."""
        return {title: {
            'count': len(values), 'p50_ms': round(float(np.percentile(values, 50)), 2),
            'p95_ms': round(float(np.percentile(values, 95)), 2),
            'max_ms': round(max(values), 2),
            f'over_{ALLOWED_MS:.0f}_ms': sum(value > ALLOWED_MS for value in values)}
            for title, values in self.took.items()}


def _set(name: str, **value: Any) -> SetParameters.Request:
    return SetParameters.Request(parameters=[Parameter(name=name, value=ParameterValue(**value))])


def kinds(caller: Caller) -> List[Callable[[int], Any]]:
    """Return the calls that are made under load, each with the number of the round."""
    doubles, strings = ParameterType.PARAMETER_DOUBLE, ParameterType.PARAMETER_STRING_ARRAY
    return [
        lambda n: caller.call('get_state', GetState, 'get_state', GetState.Request()),
        lambda n: caller.call('get_parameters', GetParameters, 'get_parameters',
                              GetParameters.Request(names=['verbs', 'triplet_threshold'])),
        lambda n: caller.call('set_parameters', SetParameters, 'set_parameters', _set(
            'triplet_threshold', type=doubles, double_value=0.1 + 0.1 * (n % 2))),
        lambda n: caller.call('query', Query, 'query', Query.Request(
            kind=Query.Request.PHRASE, phrase='who: hold')),
        lambda n: caller.call('set_verbs accepted', SetParameters, 'set_parameters', _set(
            'verbs', type=strings, string_array_value=VERBS[n % 2])),
        lambda n: caller.call('set_verbs active', SetVerbs, 'set_verbs', SetVerbs.Request(
            verbs=VERBS[n % 2]))]


def _load(caller: Caller) -> float:
    """Configure, ask for the state meanwhile, activate; return the seconds it took."""
    begun = time.perf_counter()
    request = ChangeState.Request()
    request.transition.label = 'configure'
    configured = caller.send(ChangeState, 'change_state', request)
    while not configured.done():
        caller.call('get_state while the model loads', GetState, 'get_state', GetState.Request())
    if not configured.result().success:
        raise RuntimeError('the node could not be configured; its log says why.')
    seconds = time.perf_counter() - begun
    request.transition.label = 'activate'
    caller.call('activate', ChangeState, 'change_state', request)
    return seconds


def measure(bundle: str, calls: int, rate: float) -> dict:
    """Return the report."""
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN),
                   'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    given = ['-p', f'bundle:={Path(bundle).resolve()}'] if bundle else []
    node = subprocess.Popen([sys.executable, '-m', 'hoi_perception.ros.main', '--ros-args', '-r',
                             '__ns:=/hoi', '-p', 'autostart:=false', *RELIABLE, *given],
                            env=environment)
    source = multiprocessing.get_context('spawn').Process(target=camera, args=(rate,), daemon=True)
    try:
        caller = Caller()
        loading_s = _load(caller)
        source.start()
        first = time.monotonic()
        while not caller.frames and time.monotonic() - first < START_S:
            rclpy.spin_once(caller.node, timeout_sec=0.1)
        before, begun = caller.frames, time.perf_counter()
        for number in range(calls):
            for call in kinds(caller):
                call(number)
        seconds = time.perf_counter() - begun
        return {'machine': machine(), 'bundle': bundle or 'the shipped one',
                'loading_s': round(loading_s, 1), 'camera_hz': rate,
                'answered_hz': round((caller.frames - before) / seconds, 2),
                'calls': caller.report()}
    finally:
        if source.is_alive():
            source.kill()  # rclpy would complain about a signal in the middle of a message
        node.terminate()
        node.wait(10)
        rclpy.try_shutdown()


def main(arguments=None) -> None:
    """Parse arguments, measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--bundle', default='')
    parser.add_argument('--calls', type=int, default=200, help='of each kind')
    parser.add_argument('--rate', type=float, default=30.0, help='frames per second')
    parser.add_argument('--write', type=Path, help='write the report to this JSON file')
    options = parser.parse_args(arguments)
    report = measure(options.bundle, options.calls, options.rate)
    print(json.dumps(report, indent=2))
    if options.write:
        options.write.write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
