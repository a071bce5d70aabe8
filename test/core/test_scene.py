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

from hoi_perception.core import (
    Instances,
    Mask,
    MaskKind,
    NONE,
    parse_verbs,
    Scene,
    Triplets,
    Vocabulary,
)
import numpy as np
import pytest


@pytest.fixture
def scene():
    vocabulary = Vocabulary(('person', 'cup'), parse_verbs(['hold', 'walk']))
    instances = Instances([[0, 0, 10, 20], [5, 5, 8, 8]], [0.9, 0.8], [0, 1])
    triplets = Triplets([0, 0], [1, NONE], [0, 1], [0.7, 0.6])
    mask = Mask(MaskKind.INSTANCE, 1, 5, 5, np.ones((3, 3), bool))
    return Scene(32, 24, vocabulary, instances, triplets, (mask,))


def test_triplets_are_put_in_words_with_and_without_an_object(scene):
    assert scene.phrases() == ('person hold cup', 'person walk')


def test_a_mask_is_found_by_owner_and_kind(scene):
    assert scene.mask_of(1) is scene.masks[0]
    assert scene.mask_of(0) is None
    assert scene.mask_of(1, MaskKind.UNION) is None


@pytest.mark.parametrize('x, y, pixels', [
    (5, 5, 9), (-1, -1, 4), (31, 0, 3), (32, 0, 0), (0, 30, 0)])
def test_a_mask_lands_on_the_canvas_and_is_cut_at_its_border(x, y, pixels):
    full = Mask(MaskKind.INSTANCE, 0, x, y, np.ones((3, 3), bool)).full(32, 24)
    assert full.shape == (24, 32)
    assert full.sum() == pixels


def test_arrays_get_their_types_and_missing_identities_are_zero():
    instances = Instances([[0, 0, 1, 1]], [1], [0])
    assert instances.boxes.dtype == np.float32
    assert instances.labels.dtype == np.int64
    assert instances.track_ids.tolist() == [0]
    assert Triplets([0], [0], [0], [1]).ids.tolist() == [0]


@pytest.mark.parametrize('make, name', [
    (lambda: Instances(np.zeros((2, 4)), np.zeros(1), np.zeros(1)), 'boxes'),
    (lambda: Instances(np.zeros((1, 4)), np.zeros(1), np.zeros(2)), 'labels'),
    (lambda: Triplets([0], [0, 1], [0], [1]), 'object'),
])
def test_arrays_of_different_length_are_refused_by_name(make, name):
    with pytest.raises(ValueError, match=name):
        make()


def test_nothing_has_length_zero():
    assert (len(Instances.empty()), len(Triplets.empty())) == (0, 0)
