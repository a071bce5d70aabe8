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

"""Give the scenes of a camera their ids, and say what began or ended."""

from typing import Any, List, NamedTuple, Tuple

from builtin_interfaces.msg import Duration, Time
from hoi_msgs.msg import HoiEvent
from hoi_perception.core.scene import Scene
from hoi_perception.ros.cameras import Camera, stamp_fault
from hoi_perception.ros.parameters import Settings
from hoi_perception.runtime.events import Event
from hoi_perception.runtime.smoothing import Hysteresis
from std_msgs.msg import Header

_SECOND = 1_000_000_000
_LEAST_ON = 0.05
"""Bundles may let triplets of any score through; events need some evidence."""


class Rule(NamedTuple):
    """Which instances begin a track, and when an interaction is believed."""

    confident: float
    hysteresis: Hysteresis


def rule(settings: Settings, thresholds: Any) -> Rule:
    """
    Return what the parameters mean with a bundle.

    thresholds: those of the bundle (`hoi_perception.runtime.bundle.Thresholds`).
    """
    instance, triplet = settings.instance_threshold, settings.triplet_threshold
    instance = instance if instance >= 0 else thresholds.instance
    triplet = triplet if triplet >= 0 else thresholds.triplet
    on = settings.event_on if settings.event_on >= 0 else max(triplet, _LEAST_ON)
    off = min(settings.event_off, on) if settings.event_off >= 0 else on / 2
    return Rule(instance + (1 - instance) / 8, Hysteresis(
        on, off, settings.event_on_time, settings.event_off_time, settings.event_smoothing,
        settings.track_max_age))


def follow(camera: Camera, scene: Scene, header: Header, frame_seq: int, settings: Settings,
           thresholds: Any) -> Tuple[Scene, List[HoiEvent]]:
    """Return the scene with ids, and the events it brings; a frame without a time has no ids."""
    if not settings.track:
        return scene, [_message(event, header, frame_seq) for event in camera.timeline.reset()]
    if stamp_fault(header.stamp)[0]:
        return scene, []
    moment = camera.timeline.update(scene, header.stamp.sec * _SECOND + header.stamp.nanosec,
                                    *rule(settings, thresholds))
    if moment.note:  # the camera has said so itself unless it was paused meanwhile
        camera.explain('time', moment.note)
    return moment.scene, [_message(event, header, frame_seq) for event in moment.events]


def _message(event: Event, header: Header, frame_seq: int) -> HoiEvent:
    start, lasted = divmod(event.start_ns, _SECOND), divmod(event.duration_ns, _SECOND)
    return HoiEvent(
        header=header, frame_seq=frame_seq, kind=int(event.kind),
        interaction_id=event.interaction_id, human_track_id=event.human_track,
        object_track_id=event.object_track, human_class=event.human_class,
        verb_name=event.verb_name, object_class=event.object_class, score=event.score,
        start=Time(sec=start[0], nanosec=start[1]),
        duration=Duration(sec=lasted[0], nanosec=lasted[1]))
