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
The lifecycle node: configure loads, activate subscribes, deactivate keeps the model.

The executor fills the mailbox and answers parameters, services and lifecycle, also while a bundle
loads; inference happens in the worker's thread, text encoding in the changer's, loading in one of
its own.
"""

from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Tuple

from hoi_msgs.msg import Vocabulary
from hoi_msgs.srv import SetVerbs
from hoi_perception.ros import conversion, parameters, qos
from hoi_perception.ros.cameras import Camera
from hoi_perception.ros.health import Health
from hoi_perception.ros.lifecycle import DeviceLost, LoadingNode
from hoi_perception.ros.loading import Loaded, Loading
from hoi_perception.ros.query import QueryService
from hoi_perception.ros.statistics import Explainer
from hoi_perception.ros.verbs import VerbChanger
from hoi_perception.ros.waiting import answer_when, Answered
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter

_DEACTIVATE_S = 30.0
_LOOK_S = 0.2


class HoiNode(LoadingNode):
    """
    Camera frames in, human-object interactions out.

    Raises `ParameterError` when a parameter is unknown or has a value it may not have.
    """

    def __init__(self) -> None:
        super().__init__('hoi_node')
        parameters.declare(self)
        self.settings = parameters.read(self)
        self.pipeline: Any = None
        self.cameras: List[Camera] = []
        self._changer: Optional[VerbChanger] = None
        self._worker: Any = None
        self._vocabulary: Any = None
        self._set_verbs: Any = None
        self._query: Optional[QueryService] = None
        self._explainer = Explainer(self.get_logger().warning)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._apply_after = hasattr(self, 'add_post_set_parameters_callback')
        if self._apply_after:
            self.add_post_set_parameters_callback(self._apply)
        # Polled, because matched events of publishers are newer than Humble.
        self._looking = self.create_timer(_LOOK_S, self._look_after,
                                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._health = Health(self)

    def _load(self) -> Loading:
        self.settings, log = parameters.read(self), self.get_logger()
        return Loading(self.settings, log.info, log.warning)

    def close(self, timeout_s: float) -> bool:
        """Publish nothing any more; return whether the worker has ended within the time."""
        ended = self._worker is None or self._worker.stop(timeout_s)
        self._worker = None
        if self._changer is not None:
            self._changer.close()
        return ended

    def _configure(self, loaded: Loaded) -> None:
        settings, self.pipeline, self.lost = self.settings, loaded.pipeline, ''
        self._set_options()
        self._vocabulary = self.create_publisher(
            Vocabulary, 'vocabulary', qos.latched(), qos_overriding_options=qos.overridable())
        self._changer = VerbChanger(
            self.pipeline.prompts, self._publish_vocabulary,
            lambda reason: self.get_logger().error(f'verbs not changed: {reason}'))
        self._publish_vocabulary(self.pipeline.prompts.current)
        if (settings.verbs, settings.template) != (loaded.verbs, loaded.template):
            self._changer.request(settings.verbs, settings.template)  # set while it loaded
        self._set_verbs = self.create_service(
            SetVerbs, '~/set_verbs', self._on_set_verbs, callback_group=self._waiting)
        self._query = QueryService(self, self._waiting, lambda: self._worker)
        names = () if settings.cameras == ('',) else settings.cameras
        self.cameras = [Camera(self, name, settings, self._explainer) for name in names or ('',)]
        self._health.cameras_changed()
        self.get_logger().info(
            f'{self.pipeline.model_id} is ready on {self.pipeline.device} after '
            f'{loaded.seconds:.1f} s (warm-up {loaded.warm_up_ms:.0f} ms).')

    def _activate(self) -> None:
        from hoi_perception.ros.worker import FrameWorker
        self._worker = FrameWorker(
            self.pipeline, self._changer, self.cameras, lambda: self.settings,
            lambda: 1e-9 * self.get_clock().now().nanoseconds, self._explainer.explain)
        self._worker.start()
        self.get_logger().info(
            f'waiting for images on {", ".join(c.image_topic for c in self.cameras)}.')

    def _deactivate(self) -> None:
        lost = self._worker.lost if self._worker is not None else ''
        self._stop()
        if lost:
            raise DeviceLost(lost)

    def _stop(self) -> None:
        if self._worker is not None and not self._worker.stop(_DEACTIVATE_S):
            raise RuntimeError(f'the current frame has not ended within {_DEACTIVATE_S:.0f} s.')
        self._worker = None

    def _clean(self) -> None:
        if self._changer is not None:
            self._changer.close()
        for camera in self.cameras:
            camera.destroy()
        if self._set_verbs is not None:
            self.destroy_service(self._set_verbs)
        if self._query is not None:
            self._query.destroy()
        if self._vocabulary is not None:
            self.destroy_publisher(self._vocabulary)
        device = getattr(self.pipeline, 'device', None)
        self.cameras, self.pipeline = [], None
        self._changer = self._set_verbs = self._query = self._vocabulary = None
        self._health.cameras_changed()
        if device is not None and device.type == 'cuda' and not self.lost:
            import torch
            torch.cuda.empty_cache()

    def _look_after(self) -> None:
        """Follow listeners; go back to unconfigured, by the error, when the device is lost."""
        if self._worker is not None and self._worker.lost:
            self.trigger_deactivate()
        else:
            self._update_cameras()

    # Parameters and verbs

    def _on_set_parameters(self, changed: List[Parameter]) -> SetParametersResult:
        """Only judge: another callback may still refuse; rclpy has checked type and range."""
        reason = parameters.refusal(changed, self.settings) or self._unknown_names(
            {p.name: p.value for p in changed})
        if not reason and not self._apply_after:  # Humble: ours is the only callback
            self._apply(changed)
        return SetParametersResult(successful=not reason, reason=reason)

    def _unknown_names(self, values: Mapping[str, Any]) -> str:
        """Return why these filters make no sense: they name what the model does not look for."""
        if self.pipeline is None:
            return ''
        words = self.pipeline.vocabulary
        known: Dict[str, Tuple[str, ...]] = {}
        if self.settings.instances_source == 'detector':
            known['class_filter'] = words.objects
        if 'verbs' not in values:  # else they are about to change
            known['verb_filter'] = words.verb_names
        reasons = (parameters.unknown_name(name, values[name], known[name])
                   for name in known if values.get(name))
        return next(filter(None, reasons), '')

    def _apply(self, changed: List[Parameter]) -> None:
        values = {p.name: tuple(p.value) if isinstance(p.value, (list, tuple)) else p.value
                  for p in changed if p.name in parameters.ROWS}
        if not values:
            return
        self.settings = replace(self.settings, **values)
        if self.pipeline is None:
            return
        self._set_options()
        self._update_cameras()
        if 'verbs' in values or 'template' in values:
            self._changer.request(self.settings.verbs, self.settings.template)

    def _update_cameras(self) -> None:
        for camera in self.cameras:
            camera.update(self.settings)

    def _set_options(self) -> None:
        now = self.settings
        self.pipeline.options = replace(
            self.pipeline.options,
            instance_threshold=now.instance_threshold if now.instance_threshold >= 0 else None,
            triplet_threshold=now.triplet_threshold if now.triplet_threshold >= 0 else None,
            max_triplets=now.max_triplets, pair_budget=now.pair_budget or None,
            max_humans=now.max_humans, max_objects=now.max_objects, masks=now.masks,
            classes=_names(now.class_filter), verbs=_names(now.verb_filter))

    async def _on_set_verbs(self, request: SetVerbs.Request,
                            response: SetVerbs.Response) -> SetVerbs.Response:
        """Set the parameters, so that they stay true, and answer when the verbs are active."""
        answered = Answered()
        changer, template = self._changer, request.prompt_template or self.settings.template
        result = self.set_parameters_atomically([
            Parameter('verbs', Parameter.Type.STRING_ARRAY, list(request.verbs)),
            Parameter('template', Parameter.Type.STRING, template)])
        if result.successful:
            # Overtakes the request that the parameters made: the same verbs, but with an answer.
            changer.request(tuple(request.verbs), template, answered)
            await answer_when(answered)
            response.success, response.message, response.version = answered.result
        else:
            response.message = result.reason
            response.version = self.pipeline.prompts.current.version
        return response

    def _publish_vocabulary(self, prompts: Any) -> None:
        """Publish the verbs that are active now (from any thread)."""
        if prompts.unknown_objects:
            self._explainer.explain(f'objects {prompts.unknown_objects}', (
                f'verbs name the objects {", ".join(prompts.unknown_objects)}, which are not in '
                'the vocabulary: these verbs cannot occur with them.'))
        if prompts.approximate:
            self._explainer.explain(f'approximate {prompts.approximate}', (
                f'{", ".join(prompts.approximate)}: the head was trained with learned text that '
                'these were not part of; their embeddings are approximations.'))
        lost = self._unknown_names({'class_filter': self.settings.class_filter,
                                    'verb_filter': self.settings.verb_filter})
        if lost:
            self._explainer.explain(lost, lost)
        if self._vocabulary is not None and self.context.ok():
            self._vocabulary.publish(conversion.vocabulary(
                prompts.vocabulary, prompts.version, self.pipeline.model_id,
                self.get_clock().now().to_msg()))
            self.get_logger().info(
                f'prompt version {prompts.version}: {len(prompts.vocabulary.verbs)} verbs.')


def _names(value: Tuple[str, ...]) -> Optional[Tuple[str, ...]]:
    return None if value == ('',) else value
