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

"""Boxes as `vision_msgs/Detection2DArray`, to and from other nodes; where it is installed."""

import math
from typing import Any

from hoi_msgs.msg import Instance, Instances
from hoi_perception.core.scene import NONE, Scene
from std_msgs.msg import Header

try:
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose
except ImportError:  # comes with a ROS install, not with the wheels
    Detection2DArray = None

MISSING = ('detections_2d was asked for, but vision_msgs is not installed, so nothing is '
           'published there: install it (apt install ros-$ROS_DISTRO-vision-msgs), or set '
           'detections_2d to false.')

UNHEARD = ('it is a vision_msgs/Detection2DArray, but vision_msgs is not installed here: install '
           'it (apt install ros-$ROS_DISTRO-vision-msgs), or publish hoi_msgs/Instances.')
_LARGEST_ID = 2 ** 63 - 1


def instances_of(message: Any) -> Instances:
    """
    Return given boxes as our own message, which is returned as it is.

    Of the hypotheses of a detection the best one counts; a box that is turned becomes the upright
    one around it. An id that is a number becomes the track id.
    """
    if isinstance(message, Instances):
        return message
    return Instances(header=message.header,
                     instances=[_instance(detection) for detection in message.detections])


def _instance(detection: Any) -> Instance:
    box = detection.bbox
    x, y = box.center.position.x, box.center.position.y
    cos, sin = abs(math.cos(box.center.theta)), abs(math.sin(box.center.theta))
    half_x = (cos * box.size_x + sin * box.size_y) / 2
    half_y = (sin * box.size_x + cos * box.size_y) / 2
    found = Instance(x1=x - half_x, y1=y - half_y, x2=x + half_x, y2=y + half_y)
    if detection.results:  # else it has no class and is counted as unusable
        best = max((result.hypothesis for result in detection.results), key=lambda h: h.score)
        found.class_name, found.score = best.class_id, best.score
    if detection.id.isdecimal():
        found.track_id = min(int(detection.id[:20]), _LARGEST_ID)
    return found


def detections_2d(scene: Scene, header: Header) -> Any:
    """
    Return the instances of a scene: class name, score, track id; pixels of the source image.

    Every detection carries the header of the image, because vision_msgs has one in each.
    """
    message = Detection2DArray(header=header)
    found = scene.instances
    for (x1, y1, x2, y2), score, label, track in zip(
            found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(),
            found.track_ids.tolist()):
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = scene.vocabulary.objects[label] if label != NONE else ''
        hypothesis.hypothesis.score = score
        detection = Detection2D(header=header, results=[hypothesis],
                                id=str(track) if track else '')
        detection.bbox.center.position.x, detection.bbox.center.position.y = (
            (x1 + x2) / 2, (y1 + y2) / 2)
        detection.bbox.size_x, detection.bbox.size_y = x2 - x1, y2 - y1
        message.detections.append(detection)
    return message
