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

from typing import Any, List, Tuple

from builtin_interfaces.msg import Duration, Time
from hoi_msgs.msg import HoiEvent
from hoi_perception.core.scene import Scene
from hoi_perception.ros.cameras import Camera
from hoi_perception.ros.parameters import Settings
from hoi_perception.runtime.events import Event
from hoi_perception.runtime.following import FollowOptions, Rule, rule_of, stamp_fault
from std_msgs.msg import Header

_SECOND = 1_000_000_000


def rule(settings: Settings, thresholds: Any) -> Rule:
    """
    Return what the parameters mean with a bundle.

    thresholds: those of the bundle and its head (`hoi_perception.runtime.bundle.Thresholds`).
    """
    return rule_of(thresholds, FollowOptions(
        settings.instance_threshold, settings.triplet_threshold, settings.event_on,
        settings.event_off, settings.event_on_time, settings.event_off_time,
        settings.event_smoothing, settings.track_max_age))


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
