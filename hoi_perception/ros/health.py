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
from typing import Any, List

from diagnostic_msgs.msg import DiagnosticArray
from hoi_perception.ros.diagnostics import CameraHealth, engine_status, model_status, ModelHealth
from rclpy.clock import Clock, ClockType


class Health:
    """The timer, and what it tells about a `HoiNode`."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._cameras: List[CameraHealth] = []
        # The one absolute name: every ROS tool looks for diagnostics here.
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Wall time: with use_sim_time and a paused clock the node is still worth watching.
        self._timer = node.create_timer(
            1.0, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def cameras_changed(self) -> None:
        """Follow the cameras of the node as they are now."""
        name = self._node.get_fully_qualified_name()
        self._cameras = [CameraHealth(name, camera.name, camera.image_topic, self._device())
                         for camera in self._node.cameras]

    def _device(self) -> str:
        return str(self._node.pipeline.device) if self._node.pipeline is not None else ''

    def _publish(self) -> None:
        node, pipeline = self._node, self._node.pipeline
        health = ModelHealth()
        if pipeline is not None:
            prompts = pipeline.prompts.current
            health = ModelHealth(pipeline.model_id, self._device(), prompts.version,
                                 len(prompts.vocabulary.verbs))
        message = DiagnosticArray()
        message.header.stamp = node.get_clock().now().to_msg()
        message.status.append(model_status(
            node.get_fully_qualified_name(), node.state, health, node.failure))
        for camera, watch in zip(node.cameras, self._cameras):
            message.status.append(watch.status(
                time.monotonic(), node.state == 'active', camera.statistics.snapshot(),
                node.count_publishers(camera.image_topic)))
        if pipeline is not None:
            message.status.append(engine_status(
                node.get_fully_qualified_name(), self._device(), pipeline.engines,
                pipeline.eager_calls))
        self._publisher.publish(message)
