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

"""What ships must load, and find what its own world shows."""

from pathlib import Path

import hoi_perception
from hoi_perception.core.scene import MaskKind
from hoi_perception.evaluation.triplet_map import evaluate_scenes
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.scenes import scene_of, vocabulary_of
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_perception.runtime.pipeline import HoiPipeline
import numpy as np
import pytest

BAG = Path(hoi_perception.__file__).parent / 'demo_data' / 'synthetic_demo'
EVERY = 11


@pytest.fixture(scope='module')
def pairs():
    """Return (found, true) scenes of every eleventh frame of the demo bag."""
    pipeline = HoiPipeline(default_bundle_path(), 'cpu')
    with BagReader(BAG) as bag:
        truth = bag.ground_truth()
        names = vocabulary_of(truth.values())
        frames = list(bag.frames())[::EVERY]
        return [(pipeline(frame.rgb()), scene_of(truth[frame.key], names)) for frame in frames]


def test_the_shipped_bundle_is_complete_and_unaltered():
    bundle = Bundle.open(default_bundle_path())
    assert bundle.spec.name == 'synthetic_tiny'
    assert 'defr' in bundle.spec.heads
    assert len(bundle.spec.vocabulary.verbs) >= 14


def _overlap(box, boxes):
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = (high - low).clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return shared / ((box[2:] - box[:2]).prod() + areas - shared)


def test_nine_of_ten_people_and_things_of_the_demo_are_found_with_their_class(pairs):
    hits = total = 0
    for found, true in pairs:
        names = found.vocabulary.objects
        for box, label in zip(true.instances.boxes, true.instances.labels):
            same = np.array([names[i] == true.vocabulary.objects[label]
                             for i in found.instances.labels], dtype=bool)
            hits += bool(same.any()
                         and (_overlap(box, found.instances.boxes[same]) >= 0.5).any())
            total += 1
    assert total > 50
    assert hits >= 0.9 * total


def test_every_found_instance_has_a_mask_inside_its_box(pairs):
    for found, _ in pairs:
        masks = [m for m in found.masks if m.kind == MaskKind.INSTANCE]
        assert {m.owner for m in masks} == set(range(len(found.instances)))
        for mask in masks:
            x1, y1, x2, y2 = found.instances.boxes[mask.owner]
            assert mask.x >= np.floor(x1) and mask.y >= np.floor(y1)
            assert mask.x + mask.bitmap.shape[1] <= np.ceil(x2)
            assert mask.y + mask.bitmap.shape[0] <= np.ceil(y2)


def test_triplets_are_better_than_the_same_ones_with_shuffled_verbs(pairs):
    from dataclasses import replace
    generator = np.random.default_rng(0)

    def shuffled(scene):
        triplets = scene.triplets
        return replace(scene, triplets=replace(
            triplets, verb=generator.permutation(triplets.verb)))
    found = evaluate_scenes(pairs).full
    chance = evaluate_scenes((shuffled(scene), true) for scene, true in pairs).full
    assert found > chance
