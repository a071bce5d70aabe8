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

"""Real photographs with the boxes of a real detector, through the `instances` input."""

import json

from hoi_msgs.msg import HoiDetections, Instance, Instances
from hoi_perception.replay.bag_reader import BagReader
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from shared_data import require_shared
from std_msgs.msg import Header

pytestmark = pytest.mark.xdist_group('ros_inputs')

TOPIC = 'image/compressed'


def boxes_of(name, header, detections):
    """Return the detector's rows for a photo as a message, each [class, score, xyxy]."""
    rows = next(rows for path, rows in detections.items() if path.endswith(name))
    message = Instances(header=header)
    for label, score, (x1, y1, x2, y2) in rows:
        message.instances.append(Instance(class_name=label, score=score, x1=x1, y1=y1, x2=x2,
                                          y2=y2))
    return message


def test_photos_with_boxes_of_another_detector_are_all_answered(graph):
    detections = json.loads(require_shared('data/detections/yolox_nano_th0.3.json').read_text())
    bag = require_shared('data/bags/vcoco_photos_compressed_mcap')
    node = graph.node('instances_source:=topic', 'image_transport:=compressed',
                      'triplet_threshold:=0.0')
    peer = graph.peer()
    results = peer.listen(HoiDetections, 'detections')
    assert peer.set_parameters(verbs=['hold', 'sit on: chair, bench', 'look at'])[0].successful
    instances = peer.publisher(Instances, 'instances')
    with BagReader(bag) as reader:
        photos = [(f.message.header, bytes(f.message.data), f.rgb().shape)
                  for f in reader.frames()]
    assert len(photos) == 10
    for source, data, (height, width, _) in photos:
        header = Header(frame_id=source.frame_id)
        header.stamp.sec, header.stamp.nanosec = source.stamp.sec, source.stamp.nanosec
        given = boxes_of(source.frame_id, header, detections)
        instances.publish(given)
        answer = peer.answer(CompressedImage(header=header, format='jpeg', data=data), TOPIC)
        assert answer is not None, node.log
        assert (answer.width, answer.height) == (width, height)
        found = {(i.class_name, round(i.x1), round(i.y1)) for i in answer.instances}
        confident = [i for i in given.instances if i.score >= 0.5]
        assert {(i.class_name, round(max(i.x1, 0)), round(max(i.y1, 0)))
                for i in confident[:10]} <= found
        for triplet in answer.triplets:
            assert answer.instances[triplet.human].class_name == 'person'
            assert np.isfinite(triplet.score)
    people = sum(any(i.class_name == 'person' for i in r.instances) for r in results)
    assert people >= 5
    assert any(r.triplets for r in results)
