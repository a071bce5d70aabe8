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

"""The service `~/query`: who does what, asked by point, box or phrase about the newest frame."""

import time
from typing import Any

from hoi_msgs.srv import Query
from hoi_perception.core.errors import HoiError
from hoi_perception.ros import conversion
from hoi_perception.ros.cameras import Camera
from hoi_perception.ros.events import rule

_OLD_S = 1.0
"""The answer says how old its frame is from here on."""


class QueryService:
    """The service, from configure to cleanup of a `HoiNode`."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._service = node.create_service(Query, '~/query', self._on_query)

    def destroy(self) -> None:
        """Remove the service."""
        self._node.destroy_service(self._service)

    def _on_query(self, request: Query.Request, response: Query.Response) -> Query.Response:
        try:
            camera = self._camera(request.camera)
            self._ask(camera, request, response)
        except HoiError as error:
            response.message = str(error)
        return response

    def _camera(self, name: str) -> Camera:
        cameras = self._node.cameras
        if not name and len(cameras) == 1:
            return cameras[0]
        for camera in cameras:
            if camera.name == name:
                return camera
        known = ', '.join(camera.name for camera in cameras if camera.name)
        raise HoiError(f'there is no camera {name[:64]!r}: ' + (
            f'name one of {known}.' if known else 'leave it empty for the only one.'))

    def _ask(self, camera: Camera, request: Query.Request, response: Query.Response) -> None:
        # Here, because it needs the text code and with it PyTorch, which a node that is only
        # asked for its parameters does not wait for.
        from hoi_perception.runtime.query import ask_box, ask_phrase, ask_point
        if self._node.state != 'active':
            raise HoiError(f'the node is {self._node.state} and sees nothing: activate it.')
        if camera.newest is None:
            raise HoiError(f'no frame of {camera.image_topic} has been computed since the node '
                           'was activated.')
        scene, header, frame_seq, arrived = camera.newest
        least = rule(self._node.settings,
                     self._node.pipeline.bundle.spec.thresholds).hysteresis.on
        if request.kind == Query.Request.POINT:
            answer = ask_point(scene, request.x1, request.y1, least)
        elif request.kind == Query.Request.BOX:
            answer = ask_box(scene, (request.x1, request.y1, request.x2, request.y2), least)
        elif request.kind == Query.Request.PHRASE:
            answer = ask_phrase(scene, request.phrase, least)
        else:
            raise HoiError(f'kind {request.kind} is unknown: expected POINT (0), BOX (1) or '
                           'PHRASE (2).')
        age = time.monotonic() - arrived
        response.success = True
        response.message = answer.words if age < _OLD_S else (
            f'{answer.words} (seen {age:.1f} s ago)')
        response.detections = conversion.detections(answer.scene, header, frame_seq)
