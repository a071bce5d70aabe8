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
The service `~/query`: who does what, asked by point, box or phrase about the newest frame.

Answered from the published scene. What is not in it, because it was not confident enough, the head
is asked for in the worker's thread, on the picture of that scene.
"""

import time
from typing import Any, Callable

from hoi_msgs.srv import Query
from hoi_perception.core.errors import HoiError
from hoi_perception.ros import conversion
from hoi_perception.ros.cameras import Camera, Seen
from hoi_perception.ros.events import rule
from hoi_perception.ros.waiting import answer_when
from rclpy.callback_groups import CallbackGroup

_OLD_S = 1.0
"""The answer says how old its frame is from here on."""


class QueryService:
    """
    The service, from configure to cleanup of a `HoiNode`.

    waiting: group of callbacks that may wait. worker: returns the `FrameWorker`, None while there
    is none.
    """

    def __init__(self, node: Any, waiting: CallbackGroup, worker: Callable[[], Any]) -> None:
        self._node, self._worker = node, worker
        self._service = node.create_service(Query, '~/query', self._on_query,
                                            callback_group=waiting)

    def destroy(self) -> None:
        """Remove the service."""
        self._node.destroy_service(self._service)

    async def _on_query(self, request: Query.Request,
                        response: Query.Response) -> Query.Response:
        try:
            await self._ask(self._camera(request.camera), request, response)
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

    async def _ask(self, camera: Camera, request: Query.Request,
                   response: Query.Response) -> None:
        # Here, because it needs the text code and with it PyTorch, which a node that is only
        # asked for its parameters does not wait for.
        from hoi_perception.runtime.query import ask, is_seen
        if self._node.state != 'active':
            raise HoiError(f'the node is {self._node.state} and sees nothing: activate it.')
        if camera.newest is None:
            raise HoiError(f'no frame of {camera.image_topic} has been computed since the node '
                           'was activated.')
        newest, worker = camera.newest, self._worker()
        least = rule(self._node.settings, self._node.pipeline.thresholds).hysteresis.on
        prompt = _prompt(request)
        answer = ask(newest.scene, prompt, least)
        if worker is not None and not is_seen(newest.scene, prompt):
            answer = await _computed(worker, newest, prompt, least)
        age = time.monotonic() - newest.arrived
        response.success = True
        response.message = answer.words if age < _OLD_S else (
            f'{answer.words} (seen {age:.1f} s ago)')
        response.detections = conversion.detections(answer.scene, newest.header,
                                                    newest.frame_seq)


def _prompt(request: Query.Request) -> Any:
    """Return the `runtime.query.Prompt` of a request."""
    if request.kind == Query.Request.POINT:
        return request.x1, request.y1
    if request.kind == Query.Request.BOX:
        return request.x1, request.y1, request.x2, request.y2
    if request.kind == Query.Request.PHRASE:
        return request.phrase
    raise HoiError(f'kind {request.kind} is unknown: expected POINT (0), BOX (1) or PHRASE (2).')


async def _computed(worker: Any, newest: Seen, prompt: Any, least: float) -> Any:
    """Return what the head answers on the newest picture; raises `HoiError`."""
    from hoi_perception.ros.questions import Question, Reply
    reply = Reply()
    worker.ask(Question(newest.rgb, newest.boxes, newest.scene, prompt, least, reply))
    await answer_when(reply)
    if isinstance(reply.result, HoiError):
        raise reply.result
    return reply.result
