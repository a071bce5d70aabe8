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
The process `hoi_node`: signals, start, spin, and an end without noise.

Exit code 0 after SIGINT or SIGTERM, 1 when the node cannot start or, having started by itself,
has lost its device (one sentence says why), 2 for an argument it does not know.
"""

import os
import signal
import sys
from typing import Any, List, Optional

_END_S = 1.0
_SPIN_S = 0.1


class _Stop:
    """
    Note SIGINT and SIGTERM; the spinning loop sees it within a tenth of a second.

    While something loads, which cannot be interrupted cleanly and has published nothing yet, the
    process ends at once. rclpy's own handlers would invalidate the context while the worker may
    be publishing, and an exception from a handler can surface in any `__del__`.
    """

    def __init__(self) -> None:
        self.requested = False
        self.node: Any = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number, frame) -> None:
        if not self.requested and (self.node is None or self.node.loading):
            os._exit(0)
        self.requested = True


def _say(sentence: str) -> None:
    print(f'hoi_node: {sentence}', file=sys.stderr, flush=True)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_installed() -> Optional[str]:
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        return f'ROS 2 is not there ({error}): source a ROS 2 install, or call make setup.'
    try:
        import hoi_msgs.msg  # noqa: F401
    except ImportError as error:
        return (f'the messages of hoi_msgs are not built ({error}): in the workspace call `colcon '
                'build --base-paths src/hoi_perception src/hoi_perception/hoi_msgs` and source '
                'install/setup.bash; without a ROS 2 install call `make setup`.')
    return None


def _run(stop: _Stop, arguments: List[str]) -> int:
    missing = _check_installed()
    if missing:
        _say(missing)
        return 1
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import remove_ros_args
    rest = remove_ros_args([sys.argv[0], *arguments])[1:]
    if rest:
        _say(f'argument {rest[0]!r} is not known: parameters follow --ros-args, as in '
             '`--ros-args -p bundle:=DIRECTORY`.')
        return 2
    node, code = None, 1
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        from hoi_perception.ros.node import HoiNode
        node = stop.node = HoiNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        starting = executor.create_task(node.start) if node.settings.autostart else None
        while not stop.requested and rclpy.ok():
            try:
                executor.spin_once(timeout_sec=_SPIN_S)
            except Exception as error:  # a failing callback must not end the node
                node.get_logger().error(f'{type(error).__name__}: {error}')
            if starting and (node.lost or starting.done() and not starting.result()):
                return code  # the node has logged the sentence
        code = 0
    except Exception as error:
        _say(f'cannot start: {_first_line(error)}')
    finally:
        _end(node, stop, code)
    return code


def _end(node, stop: _Stop, code: int) -> None:
    stop.requested = True  # from here on a further signal changes nothing
    import rclpy
    if node is not None and not node.close(_END_S):
        # The device still computes a frame; waiting for it would exceed two seconds.
        sys.stderr.flush()
        os._exit(code)
    if node is not None:
        node.destroy_node()
    rclpy.try_shutdown()


def main() -> None:
    """Run the node as a process of its own."""
    code = _run(_Stop(), sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything of ours is closed; taking PyTorch down would cost up to two more seconds.
    os._exit(code)


if __name__ == '__main__':
    main()
