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

"""Scenes to messages."""

import pytest

pytest.importorskip('hoi_msgs', reason='the messages of hoi_msgs are not built')
from hoi_perception.core.scene import Instances, Mask, MaskKind, Scene
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.ros import conversion
import numpy as np
from std_msgs.msg import Header

WORDS = Vocabulary(('person', 'ring'), (Verb('hold'),), 'a {verb} {article} {object}', 0)


def ring(size):
    y, x = np.mgrid[:size, :size] - size / 2
    return (np.hypot(x, y) < size / 2) & (np.hypot(x, y) > size / 4)


def test_masks_travel_exactly_with_their_holes_and_take_few_bytes():
    bitmap = ring(300)
    scene = Scene(1280, 720, WORDS, Instances(
        np.array([[100, 50, 400, 350]]), np.ones(1), np.ones(1, int)),
        masks=(Mask(MaskKind.INSTANCE, 0, 100, 50, bitmap),))
    message = conversion.masks(scene, Header(frame_id='camera'), 7)
    sent, = message.masks
    assert (sent.x, sent.y, sent.width, sent.height, sent.owner) == (100, 50, 300, 300, 0)
    assert (conversion.bitmap(sent) == bitmap).all() and not conversion.bitmap(sent)[150, 150]
    assert len(sent.data) < bitmap.size / 30, 'less than a fourth of packed bits'
    labels = conversion.label_image(scene)
    assert labels.shape == (720, 1280) and (labels[50:350, 100:400] == bitmap).all()
    assert labels.sum() == bitmap.sum()
