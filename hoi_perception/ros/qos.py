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

"""Quality of service of every topic, in one place; fresh profiles because overrides alter them."""

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble's name of the module
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

__all__ = ['PublisherEventCallbacks', 'SubscriptionEventCallbacks', 'UnsupportedEventTypeError',
           'sensor', 'boxes', 'result', 'events', 'latched', 'overridable']


def sensor() -> QoSProfile:
    """Return that of images: best effort matches every camera, and only the newest counts."""
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=1,
                      reliability=QoSReliabilityPolicy.BEST_EFFORT)


def boxes() -> QoSProfile:
    """Return that of given boxes: each is wanted, but the publisher may be best effort."""
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=10,
                      reliability=QoSReliabilityPolicy.BEST_EFFORT)


def result() -> QoSProfile:
    """Return that of results: a reliable publisher serves reliable and best-effort listeners."""
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=5,
                      reliability=QoSReliabilityPolicy.RELIABLE)


def events() -> QoSProfile:
    """Return that of events: all of a frame at once, and none may be lost."""
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=100,
                      reliability=QoSReliabilityPolicy.RELIABLE)


def latched() -> QoSProfile:
    """Return that of the vocabulary: late listeners get the last one."""
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=1,
                      reliability=QoSReliabilityPolicy.RELIABLE,
                      durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


def overridable() -> QoSOverridingOptions:
    """Let users change history, depth and reliability by parameters `qos_overrides.*`."""
    return QoSOverridingOptions.with_default_policies()
