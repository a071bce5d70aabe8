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

"""What keeps frames or results from getting through: one sentence each, with topic and cure."""

from typing import Any, NamedTuple, Optional

from hoi_perception.ros.statistics import Snapshot
from rclpy.qos import qos_policy_name_from_kind, QoSReliabilityPolicy

STALE_AFTER_S = 3.0


class Trouble(NamedTuple):
    """A kind that can be counted on, and a sentence for people."""

    kind: str
    sentence: str


class Input(NamedTuple):
    """
    What is known about the input of one camera.

    topic, other_topic: that subscribed to and that of the other transport, in full. expected: the
    message type. subscribed_s: for how long. incompatible: of the last publisher that cannot be
    heard, or empty.
    """

    topic: str
    other_topic: str
    expected: str
    subscribed_s: float
    incompatible: str


def input_trouble(node: Any, camera: Input, seen: Snapshot) -> Optional[Trouble]:
    """Return why no frame comes in, or None while frames come or were not due yet."""
    idle_s = camera.subscribed_s if seen.idle_s is None else min(seen.idle_s, camera.subscribed_s)
    if idle_s <= STALE_AFTER_S:
        return None
    publishers = node.get_publishers_info_by_topic(camera.topic)
    if not publishers:
        if node.count_publishers(camera.other_topic):
            return Trouble('other_transport', (
                f'nobody publishes {camera.topic}, but {camera.other_topic} is published: set '
                'image_transport (or compressed_cameras) to what the camera sends.'))
        return Trouble('no_publisher', f'nobody publishes {camera.topic}: start the camera or '
                       'remap the topic.')
    types = sorted({info.topic_type for info in publishers} - {camera.expected})
    if types:
        return Trouble('other_type', (
            f'{camera.topic} is published as {", ".join(types)}, expected {camera.expected}: '
            'remap the topic to the one with images.'))
    if camera.incompatible:
        return Trouble('incompatible', camera.incompatible)
    return Trouble('silent', (
        f'{camera.topic} has a publisher ({_names(publishers)}) but no frame has come for '
        f'{idle_s:.0f} s: check that the camera streams, and for large images the buffers of the '
        'middleware and the network.'))


def incompatible_publisher(node: Any, topic: str, event: Any) -> str:
    """Explain a publisher that offers less than our subscription asks for."""
    policy = _policy(event)
    unheard = [info for info in node.get_publishers_info_by_topic(topic)
               if policy != 'reliability'
               or info.qos_profile.reliability == QoSReliabilityPolicy.BEST_EFFORT]
    return (f'{topic} of {_names(unheard)} cannot be received, because its {policy} is less than '
            f'the subscription asks for: remove the override '
            f'qos_overrides.{topic}.subscription.{policy} of this node, or change the camera.')


def incompatible_listener(node: Any, topic: str, event: Any) -> str:
    """Explain a listener that asks for more than our publisher offers."""
    policy = _policy(event)
    return (f'a listener of {topic} gets nothing, because it asks for a {policy} that is not '
            'offered: let it subscribe reliable or best effort and volatile, or set '
            f'qos_overrides.{topic}.publisher.{policy} of this node.')


def too_old(age_s: float, limit_s: float) -> str:
    """Explain a frame beyond the age limit; the topic comes before the sentence."""
    return (f'a frame was {age_s:.2f} s old when its turn came, the limit max_age is {limit_s:g} '
            's: synchronize the clocks, set use_sim_time for a bag, or raise max_age.')


def in_the_future(age_s: float) -> str:
    """Explain a stamp ahead of the node's clock; the topic comes before the sentence."""
    return (f'stamps lie {-age_s:.2f} s in the future: synchronize the clocks of camera and '
            'computer (chrony, PTP), or set use_sim_time alike on both.')


def _policy(event: Any) -> str:
    return qos_policy_name_from_kind(event.last_policy_kind).lower()


def _names(publishers: Any) -> str:
    names = {f'{info.node_namespace.rstrip("/")}/{info.node_name}' for info in publishers
             if 'UNKNOWN' not in info.node_name}  # the middleware finds topics before nodes
    return ', '.join(sorted(names)) or 'a node without a name'
