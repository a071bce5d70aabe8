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

"""Short bags made in a test: camera frames with ground truth in the format of the demo bag."""

from io import BytesIO

from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import COMPRESSED_IMAGE, DETECTIONS
import numpy as np
from PIL import Image

NAN3 = np.full(3, np.nan, np.float32)


def header(writer, sec, nanosec, frame_id='camera'):
    make = writer.message
    return make('std_msgs/msg/Header', frame_id=frame_id,
                stamp=make('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec))


def instance(writer, box, label, name):
    return writer.message(
        'hoi_msgs/msg/Instance', x1=float(box[0]), y1=float(box[1]), x2=float(box[2]),
        y2=float(box[3]), score=1.0, label=label, class_name=name, track_id=0, position=NAN3,
        extent=NAN3)


def ground_truth_message(writer, sec, nanosec):
    make = writer.message
    return make(
        DETECTIONS, header=header(writer, sec, nanosec), frame_seq=0, width=128, height=96,
        model_id='ground truth', prompt_version=0,
        instances=[instance(writer, (10, 20, 60, 90), 0, 'person'),
                   instance(writer, (12, 50, 70, 95), 1, 'bicycle')],
        triplets=[make('hoi_msgs/msg/HoiTriplet', human=0, object=1, verb=0, verb_name='ride',
                       score=1.0, interaction_id=0)])


def jpeg(seed, size=(128, 96)):
    shape = (size[1] // 8, size[0] // 8, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(buffer, 'JPEG')
    return np.frombuffer(buffer.getvalue(), np.uint8)


def demo_bag(path, frames, storage='mcap', period_ns=200_000_000, spoiled=()):
    """Write a bag like the shipped one; frames in `spoiled` hold no readable JPEG."""
    with BagWriter(path, storage) as writer:
        for i in range(frames):
            time = 100 * 10**9 + i * period_ns
            stamp = divmod(time, 10**9)
            data = np.zeros(50, np.uint8) if i in spoiled else jpeg(i)
            writer.write('/camera/image/compressed', COMPRESSED_IMAGE, time, writer.message(
                COMPRESSED_IMAGE, header=header(writer, *stamp), format='jpeg', data=data))
            writer.write('/ground_truth', DETECTIONS, time, ground_truth_message(writer, *stamp))
    return path
