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

"""Publish /diagnostics once a second from the node's start, also when it is idle."""

import time
from typing import Any, Dict, List, Optional

from diagnostic_msgs.msg import DiagnosticArray
from hoi_perception.ros.diagnostics import CameraHealth, engine_status, model_status, ModelHealth
from hoi_perception.ros.troubles import Input, input_trouble, Trouble
from rclpy.clock import Clock, ClockType


class Health:
    """The timer, and what it tells about a `HoiNode`."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._cameras: List[CameraHealth] = []
        self._explained: Dict[str, str] = {}
        self._hardware = ''
        # The one absolute name: every ROS tool looks for diagnostics here.
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Wall time: with use_sim_time and a paused clock the node is still worth watching.
        self._timer = node.create_timer(
            1.0, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def cameras_changed(self) -> None:
        """Follow the cameras of the node as they are now."""
        name = self._node.get_fully_qualified_name()
        self._hardware = self._find_hardware()
        self._cameras = [CameraHealth(name, camera.name, camera.image_topic, self._hardware)
                         for camera in self._node.cameras]

    def _find_hardware(self) -> str:
        device = getattr(self._node.pipeline, 'device', None)
        if device is None or device.type != 'cuda':
            return '' if device is None else str(device)
        import torch
        return torch.cuda.get_device_name(device)

    def _publish(self) -> None:
        node, pipeline = self._node, self._node.pipeline
        name = node.get_fully_qualified_name()
        message = DiagnosticArray()
        message.header.stamp = node.get_clock().now().to_msg()
        no_clock = self._explain('clock', self._clock_trouble())
        message.status.append(model_status(
            name, node.state, self._model(), node.failure, no_clock))
        for camera, watch in zip(node.cameras, self._cameras):
            message.status.append(self._camera(camera, watch))
        if pipeline is not None:
            message.status.append(engine_status(name, self._hardware, pipeline))
            for sentence in pipeline.engine_failures:
                self._explain(sentence, Trouble('engine', sentence))
        self._publisher.publish(message)

    def _model(self) -> ModelHealth:
        pipeline = self._node.pipeline
        if pipeline is None:
            return ModelHealth()
        prompts = pipeline.prompts.current
        return ModelHealth(pipeline.model_id, str(pipeline.device), prompts.version,
                           len(prompts.vocabulary.verbs), self._hardware,
                           _memory_mib(pipeline.device))

    def _camera(self, camera: Any, watch: CameraHealth) -> Any:
        now, seen = time.monotonic(), camera.statistics.snapshot()
        trouble = None if camera.paused else input_trouble(self._node, Input(
            camera.image_topic, camera.other_topic, camera.image_type, now - camera.since,
            camera.incompatible), seen)
        self._explain(camera.image_topic, trouble)
        return watch.status(now, camera.paused, seen,
                            self._node.count_publishers(camera.image_topic), trouble)

    def _clock_trouble(self) -> Optional[Trouble]:
        node = self._node
        if node.get_parameter('use_sim_time').value and not node.get_clock().now().nanoseconds:
            return Trouble('no_clock', (
                'use_sim_time is set but nothing has come on /clock: play the bag with --clock, '
                'start the simulator, or set use_sim_time to false.'))
        return None

    def _explain(self, what: str, trouble: Optional[Trouble]) -> Optional[Trouble]:
        """Log a trouble when it begins, not every second."""
        kind = trouble.kind if trouble else ''
        if trouble and self._explained.get(what) != kind:
            self._node.get_logger().warning(trouble.sentence)
        self._explained[what] = kind
        return trouble


def _memory_mib(device: Any) -> Dict[str, int]:
    """Return what a GPU's memory is used for; asks the driver, waits for no kernel."""
    if device.type != 'cuda':
        return {}
    import torch
    free, total = torch.cuda.mem_get_info(device)
    sizes = {'tensors': torch.cuda.memory_allocated(device),
             'reserved': torch.cuda.memory_reserved(device), 'free': free, 'total': total}
    return {kind: size >> 20 for kind, size in sizes.items()}
