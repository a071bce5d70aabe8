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
How one camera is followed over time: what node and replay must have in common.

Both give their scenes to a `runtime.events.Timeline` with the rule made here.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Tuple

from hoi_perception.runtime.smoothing import Hysteresis

_SECOND = 1_000_000_000
_LEAST_ON = 0.05
"""Bundles may let triplets of any score through; events need some evidence."""


@dataclass(frozen=True)
class FollowOptions:
    """
    The parameters of the node about tracks and events, with its defaults.

    Below 0 means: instance_threshold, triplet_threshold as in the bundle, event_on as the triplet
    threshold and at least 0.05, event_off half of event_on. Times in seconds.
    """

    instance_threshold: float = -1.0
    triplet_threshold: float = -1.0
    event_on: float = -1.0
    event_off: float = -1.0
    event_on_time: float = 0.3
    event_off_time: float = 0.5
    event_smoothing: float = 0.2
    track_max_age: float = 2.0


class Rule(NamedTuple):
    """Which instances begin a track, and when an interaction is believed."""

    confident: float
    hysteresis: Hysteresis


def rule_of(thresholds: Any, options: FollowOptions) -> Rule:
    """
    Return what the options mean with a bundle.

    thresholds: those of the bundle and its head (`hoi_perception.runtime.bundle.Thresholds`).
    """
    instance, triplet = options.instance_threshold, options.triplet_threshold
    instance = instance if instance >= 0 else thresholds.instance
    triplet = triplet if triplet >= 0 else thresholds.triplet
    on = options.event_on if options.event_on >= 0 else max(triplet, _LEAST_ON)
    off = min(options.event_off, on) if options.event_off >= 0 else on / 2
    return Rule(instance + (1 - instance) / 8, Hysteresis(
        on, off, options.event_on_time, options.event_off_time, options.event_smoothing,
        options.track_max_age))


def stamp_fault(stamp: Any) -> Tuple[str, str]:
    """
    Return kind and explanation of an odd stamp, or two empty strings.

    stamp: a `builtin_interfaces/Time` of rclpy or rosbags.
    """
    if stamp.nanosec >= _SECOND:
        return 'nanosec_too_large', (
            f'image stamp has nanosec {stamp.nanosec}, expected less than 1000000000')
    if stamp.sec < 0:
        return 'negative', f'image stamp is negative ({stamp.sec} s)'
    if stamp.sec == 0 and stamp.nanosec == 0:
        return 'zero', 'image stamp is zero'
    return '', ''
