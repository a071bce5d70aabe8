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
A lifecycle node that says why a transition failed, and loads while its executor goes on.

rclpy swallows exceptions of transition callbacks, lets impossible transitions end the process and
blocks every other callback during configure; this class mends all three (rclpy 7.1.6).
"""

from typing import Callable, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.ros.loading import Loaded, Loading
from hoi_perception.ros.waiting import until
from lifecycle_msgs.msg import Transition
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

_PROGRESS_S = 1.0


class DeviceLost(Exception):
    """The device answers no call of this process any more."""


class LoadingNode(LifecycleNode):
    """
    The machine of states; a node fills in `_load`, `_configure`, `_activate`, `_stop`, `_clean`.

    `failure` says in one sentence why the last transition did not succeed; `loading` is true
    while configure runs; `lost` says why this process cannot use its device any more, and then
    only a new process helps.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.failure, self.lost, self.loading = '', '', False
        self._loading: Optional[Loading] = None
        # Callbacks that wait for another thread; in the default group all others would wait too.
        self._waiting = ReentrantCallbackGroup()
        self._guard_transitions()

    def _load(self) -> Loading:
        """Return what will load the model when it is started."""
        raise NotImplementedError

    def _configure(self, loaded: Loaded) -> None:
        """Make publishers and services around a loaded model."""
        raise NotImplementedError

    def _activate(self) -> None:
        """Begin to work."""
        raise NotImplementedError

    def _deactivate(self) -> None:
        """Stop working; raises `DeviceLost` where the device is the reason."""
        raise NotImplementedError

    def _stop(self) -> None:
        """Stop working for whatever reason."""
        raise NotImplementedError

    def _clean(self) -> None:
        """Undo configure."""
        raise NotImplementedError

    def _shut_down(self) -> None:
        self._stop()
        self._clean()

    @property
    def state(self) -> str:
        """The lifecycle state in words."""
        return str(self._state_machine.current_state[1])

    async def start(self) -> bool:
        """Configure and activate in the executor; return whether the node is active."""
        return (await self.configure() == TransitionCallbackReturn.SUCCESS
                and self.trigger_activate() == TransitionCallbackReturn.SUCCESS)

    async def configure(self) -> TransitionCallbackReturn:
        """
        Do as `trigger_configure`, with the executor free while the model loads.

        Raises rclpy's error where the state does not allow it.
        """
        machine, clock = self._state_machine, Clock(clock_type=ClockType.STEADY_TIME)
        number, label = machine.current_state
        before, loading = LifecycleState(state_id=number, label=label), self._load()
        machine.trigger_transition_by_id(Transition.TRANSITION_CONFIGURE, True)
        self._loading, self.loading = loading, True
        loading.start()
        progress = self.create_timer(
            _PROGRESS_S, lambda: self.get_logger().info(loading.progress), clock=clock)
        await until(loading.ended.is_set)
        self.destroy_timer(progress)
        outcome = self.on_configure(before)
        machine.trigger_transition_by_label(outcome.to_label(), True)
        if outcome == TransitionCallbackReturn.ERROR:
            machine.trigger_transition_by_label(self.on_error(before).to_label(), True)
        return outcome

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the model unless that is done, create publishers and services."""
        loading, self._loading = self._loading, None
        try:
            return self._transition(
                'configure', lambda: self._configure((loading or self._load()).result()),
                lambda: super(LoadingNode, self).on_configure(state))
        finally:
            self.loading = False

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to work."""
        return self._transition('activate', self._activate,
                                lambda: super(LoadingNode, self).on_activate(state),
                                inner_first=True)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop taking frames; the model stays on the device."""
        return self._transition('deactivate', self._deactivate,
                                lambda: super(LoadingNode, self).on_deactivate(state))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and everything made by configure."""
        return self._transition('clean up', self._clean,
                                lambda: super(LoadingNode, self).on_cleanup(state),
                                inner_first=True)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End from any state."""
        return self._transition('shut down', self._shut_down,
                                lambda: super(LoadingNode, self).on_shutdown(state),
                                inner_first=True)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to unconfigured; the cause is in the log and in /diagnostics."""
        try:
            self._shut_down()
        except Exception as error:  # nothing may keep the node from coming back
            self.get_logger().error(f'while cleaning up after an error: {error}')
        return TransitionCallbackReturn.SUCCESS

    def _transition(self, name: str, own: Callable[[], None], inherited: Callable,
                    inner_first: bool = False) -> TransitionCallbackReturn:
        try:
            if inner_first:
                inherited()
            own()
            if not inner_first:
                inherited()
        except HoiError as error:
            self.failure = f'cannot {name}: {error}'
            self.get_logger().error(self.failure)
            if name == 'configure':
                self._clean()
            return TransitionCallbackReturn.FAILURE
        except DeviceLost as error:
            self.failure = self.lost = str(error)
            self.get_logger().error(self.failure)
            return TransitionCallbackReturn.ERROR
        except Exception as error:
            self.failure = f'cannot {name}: {type(error).__name__}: {error}'
            self.get_logger().error(self.failure)
            return TransitionCallbackReturn.ERROR
        self.failure = ''
        return TransitionCallbackReturn.SUCCESS

    def _guard_transitions(self) -> None:
        """Refuse impossible transitions; rclpy lets them end the process (7.1.6)."""
        service = getattr(self, '_service_change_state', None)
        if service is None:
            return
        inner = service.callback

        async def change_state(request, response):
            asked = request.transition
            try:
                if asked.label != 'configure' and (
                        asked.label or asked.id != Transition.TRANSITION_CONFIGURE):
                    return inner(request, response)
                outcome = await self.configure()
                response.success = outcome == TransitionCallbackReturn.SUCCESS
            except Exception as error:
                self.get_logger().error(
                    f'transition {asked.label or asked.id} is not possible in state '
                    f'{self.state}: {str(error).splitlines()[0]}')
                response.success = False
            return response
        service.callback, service.callback_group = change_state, self._waiting
        self._waiting.add_entity(service)
