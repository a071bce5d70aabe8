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

"""Write sequences as a rosbag2 (mcap): JPEG camera frames and a ground-truth topic."""

from pathlib import Path

import cv2
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import COMPRESSED_IMAGE, DETECTIONS
from hoi_trainer.synthetic.dataset import WORLD_SEED
from hoi_trainer.synthetic.sequences import render_sequence, SequenceFrame
from hoi_trainer.synthetic.vocabulary import OBJECTS, VERBS
import numpy as np

IMAGE_TOPIC = '/camera/image/compressed'
TRUTH_TOPIC = '/ground_truth'
FRAME_ID = 'camera_optical_frame'
MODEL_ID = 'synthetic ground truth'
START = 1_700_000_000
"""Stamp of the first frame in seconds; any time will do, but it must not be 0."""


def _truth(bag: BagWriter, header, number: int, frame: SequenceFrame):
    unknown = np.full(3, np.nan, np.float32)
    record = frame.record
    instances = [bag.message(
        'hoi_msgs/msg/Instance', x1=float(b[0]), y1=float(b[1]), x2=float(b[2]), y2=float(b[3]),
        score=1.0, label=label, class_name=OBJECTS[label], track_id=int(identity),
        position=unknown, extent=unknown)
        for b, label, identity in zip(record['boxes'], record['labels'], frame.ids)]
    triplets = [bag.message(
        'hoi_msgs/msg/HoiTriplet', human=h, object=o, verb=v, verb_name=VERBS[v], score=1.0,
        # One identity per person, verb and thing: 4 and 8 bits hold every index there is.
        interaction_id=int(frame.ids[h]) << 16 | (v + 1) << 8 | int(frame.ids[o]))
        for h, v, o in record['triplets']]
    return bag.message(DETECTIONS, header=header, frame_seq=number, width=record['width'],
                       height=record['height'], model_id=MODEL_ID, prompt_version=0,
                       instances=instances, triplets=triplets)


def write_demo_bag(path, seconds: float = 20.0, rate: float = 11.0, scenes: int = 2,
                   size=(640, 480), quality: int = 75, noise: float = 1.5, first: int = 0,
                   seed: int = WORLD_SEED) -> Path:
    """
    Write the demo: `scenes` sequences one after the other, `seconds` in all.

    Topics: `/camera/image/compressed` (sensor_msgs/CompressedImage, JPEG) and `/ground_truth`
    (hoi_msgs/HoiDetections, same headers). An existing bag at that path is replaced.
    """
    frames = round(seconds * rate / scenes)
    with BagWriter(path) as bag:
        time_type, header_type = 'builtin_interfaces/msg/Time', 'std_msgs/msg/Header'
        number = 0
        for index in range(first, first + scenes):
            for frame in render_sequence(index, frames, rate, size, 'demo', seed, noise):
                nanoseconds = START * 10 ** 9 + round(number * 1e9 / rate)
                stamp = bag.message(time_type, sec=nanoseconds // 10 ** 9,
                                    nanosec=nanoseconds % 10 ** 9)
                header = bag.message(header_type, stamp=stamp, frame_id=FRAME_ID)
                number += 1
                _, jpeg = cv2.imencode('.jpg', cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR),
                                       [cv2.IMWRITE_JPEG_QUALITY, quality])
                bag.write(IMAGE_TOPIC, COMPRESSED_IMAGE, nanoseconds, bag.message(
                    COMPRESSED_IMAGE, header=header, format='jpeg', data=jpeg.ravel()))
                bag.write(TRUTH_TOPIC, DETECTIONS, nanoseconds,
                          _truth(bag, header, number, frame))
    return Path(path)
