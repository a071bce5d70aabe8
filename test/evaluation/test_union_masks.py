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

"""Union masks of triplets: precision by them and their fit where the pair is found."""

from hoi_perception.core.scene import Instances, Mask, MaskKind, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.evaluation.union_masks import PROTOCOL, UnionIouCounter, UnionMaskEvaluator
import numpy as np
import pytest

WORLD = Vocabulary(('person', 'cup'), (Verb('hold'), Verb('lift')))
HOLD = [('hold', 'cup')]
BOXES = [[0, 0, 10, 20], [10, 0, 20, 20], [50, 0, 60, 20]]


def _mask(kind, owner, x, width):
    return Mask(kind, owner, x, 0, np.ones((20, width), bool))


BOTH = [_mask(MaskKind.INSTANCE, i, 10 * i if i < 2 else 50, 10) for i in range(3)]


def _scene(triplets, masks=(), boxes=BOXES):
    human, thing, verb, score = zip(*triplets) if triplets else ((), (), (), ())
    return Scene(100, 20, WORLD, Instances(boxes, [1] * 3, [0, 1, 1]),
                 Triplets(human, thing, verb, score), tuple(BOTH) + tuple(masks))


TRUTH = _scene([(0, 1, 0, 1)])


@pytest.mark.parametrize(('width', 'union', 'precision'), [(20, 1.0, 1), (10, 0.5, 1),
                                                           (9, 0.45, 0)])
def test_masks_of_its_own_are_compared_with_those_of_the_true_instances(width, union, precision):
    found = _scene([(0, 1, 0, 0.9)], [_mask(MaskKind.UNION, 0, 0, width)])
    evaluator, counter = UnionMaskEvaluator(HOLD), UnionIouCounter()
    evaluator.add(found, TRUTH)
    counter.add(found, TRUTH)
    result = counter.result()
    assert evaluator.result().full == pytest.approx(precision)
    assert evaluator.result().protocol == PROTOCOL
    assert result.values.tolist() == [union] and (result.found, result.truth) == (1, 1)
    assert result.classes == ('cup',)


def test_a_scene_without_union_masks_has_those_of_its_instances():
    counter = UnionIouCounter()
    counter.add(_scene([(0, 1, 0, 0.9)]), TRUTH)
    assert counter.result().mean == 1.0


@pytest.mark.parametrize('found', [
    _scene([]), _scene([(0, 2, 0, 0.9)]), _scene([(0, NONE, 1, 0.9)]),
    _scene([(0, 1, 0, 0.9)], boxes=[[70, 0, 80, 20], *BOXES[1:]])])
def test_a_pair_that_is_not_found_has_no_overlap_and_counts_as_missing(found):
    counter = UnionIouCounter()
    counter.add(found, TRUTH)
    assert (counter.result().found, counter.result().truth) == (0, 1)
    assert np.isnan(counter.result().mean)


def test_another_verb_still_finds_the_pair_and_its_best_triplet_counts():
    masks = [_mask(MaskKind.UNION, 0, 0, 10), _mask(MaskKind.UNION, 1, 0, 20)]
    counter = UnionIouCounter()
    counter.add(_scene([(0, 1, 1, 0.9), (0, 1, 0, 0.8)], masks), TRUTH)
    assert counter.result().values.tolist() == [0.5]
    evaluator = UnionMaskEvaluator(HOLD)
    evaluator.add(_scene([(0, 1, 1, 0.9), (0, 1, 0, 0.8)], masks), TRUTH)
    assert evaluator.result().full == pytest.approx(1)
