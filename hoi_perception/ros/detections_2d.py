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

from typing import Any

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
