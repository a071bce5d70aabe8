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

"""Boxes of another detector: whatever the numbers are, the network gets none it cannot use."""

from types import SimpleNamespace

from bundles import LAIN_HEAD, tiny_bundle
from hoi_perception.replay import given_boxes
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
import numpy as np
import pytest

OBJECTS = ('person', 'bicycle')


def _instance(box, score=0.9, name='person'):
    return SimpleNamespace(x1=box[0], y1=box[1], x2=box[2], y2=box[3], score=score,
                           class_name=name, track_id=0)


@pytest.mark.parametrize('box', [
    (0, 0, float('nan'), 5), (0, 0, float('inf'), 5), (0, 0, 3e38, 5), (-1e30, 0, 5, 5),
    (0, 0, 100001, 5), (5, 0, 5, 5), (0, 9, 5, 5)])
def test_a_box_that_is_no_place_is_left_out_with_a_sentence(box):
    kept, faults = given_boxes.instances(
        SimpleNamespace(instances=[_instance(box), _instance((1, 2, 30, 40))]), OBJECTS)
    assert len(kept) == 1 and kept.boxes[0].tolist() == [1, 2, 30, 40]
    assert len(faults) == 1 and 'instance 0 has the box' in faults[0]


@pytest.fixture(scope='module')
def pipeline(tmp_path_factory):
    return HoiPipeline(tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny',
                                   heads={'lain': LAIN_HEAD}), 'cpu',
                       options=PipelineOptions(triplet_threshold=0.0, masks=False))


def test_any_bits_may_come_as_boxes(pipeline):
    """Damaged messages hold floats of every size; none may reach the head as NaN or infinity."""
    dice, image = np.random.default_rng(0), np.zeros((64, 96, 3), np.uint8)
    objects, used = pipeline.vocabulary.objects, 0
    for _ in range(40):
        bits = dice.integers(0, 2 ** 32, (12, 4), dtype=np.uint32).view(np.float32)
        wide = np.sort(dice.choice([-1e5, -1.0, 0.0, 1e-30, 20.0, 64.0, 1e5], (12, 4)), axis=1)
        boxes = [*bits, *wide[:, [0, 1, 2, 3]]]
        kept, _ = given_boxes.instances(SimpleNamespace(instances=[
            _instance([float(v) for v in box], name=objects[row % 2])
            for row, box in enumerate(boxes)]), objects)
        scene = pipeline(image, kept)
        used += len(kept)
        assert np.isfinite(scene.triplets.scores).all()
    assert used > 40
