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

"""Mask-pair mAP on scenes whose answer is known by hand."""

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import Instances, Mask, MaskKind, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.evaluation.mask_pairs import MaskPairEvaluator, run_lengths
import numpy as np
from pycocotools import mask as coco_mask
import pytest

WORLD = Vocabulary(('person', 'cup'), (Verb('hold'), Verb('lift')))
SWAPPED = Vocabulary(('cup', 'person'), (Verb('lift'), Verb('hold')), human=1)
HOLD, LIFT = ('hold', 'cup'), ('lift', 'cup')


def _mask(owner, x, width=10, kind=MaskKind.INSTANCE):
    return Mask(kind, owner, x, 5, np.ones((10, width), bool))


def _scene(triplets, masks, vocabulary=WORLD, width=100):
    """Rows of (human, object, verb name, score); even instances are persons, odd ones cups."""
    names = vocabulary.objects
    labels = [names.index('person' if i % 2 == 0 else 'cup') for i in range(6)]
    human, thing, verb, score = zip(*triplets) if triplets else ((), (), (), ())
    # Boxes are all the same: masks alone decide.
    return Scene(width, 20, vocabulary, Instances(np.tile([0, 0, 9, 9], (6, 1)), [1] * 6, labels),
                 Triplets(human, thing, [vocabulary.verb_names.index(v) for v in verb], score),
                 tuple(masks))


TRUTH = _scene([(0, 1, 'hold', 1)], [_mask(0, 0), _mask(1, 50)])
CASES = {
    'exact': ([(0, 1, 'hold', .9)], [_mask(0, 0), _mask(1, 50)], 1),
    'both at exactly one half': ([(0, 1, 'hold', .9)], [_mask(0, 0, 5), _mask(1, 50, 20)], 1),
    'the worse of the two counts': ([(0, 1, 'hold', .9)], [_mask(0, 0, 4), _mask(1, 50)], 0),
    'a wrong verb': ([(0, 1, 'lift', .9)], [_mask(0, 0), _mask(1, 50)], 0),
    'a false alarm first': ([(2, 1, 'hold', .9), (0, 1, 'hold', .8)],
                            [_mask(0, 0), _mask(1, 50), _mask(2, 30)], 1 / 2),
    'a duplicate after it': ([(0, 1, 'hold', .9), (2, 1, 'hold', .8)],
                             [_mask(0, 0), _mask(1, 50), _mask(2, 0)], 1),
    'an instance without mask overlaps nothing': ([(0, 3, 'hold', .9)],
                                                  [_mask(0, 0), _mask(1, 50)], 0),
    'masks of pairs are not masks of instances': (
        [(0, 1, 'hold', .9)], [_mask(0, 30), _mask(1, 50), _mask(0, 0, kind=MaskKind.UNION)], 0),
    'no triplets': ([], [], 0)}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize('vocabulary', [WORLD, SWAPPED], ids=['same', 'other vocabulary'])
def test_pairs_of_masks_by_hand(case, vocabulary):
    triplets, masks, ap = case
    evaluator = MaskPairEvaluator([HOLD])
    evaluator.add(_scene(triplets, masks, vocabulary), TRUTH)
    result = evaluator.result()
    assert result.full == pytest.approx(ap)
    assert (result.positives.tolist(), result.images) == ([1], 1)


def test_images_are_ranked_together_and_classes_averaged():
    evaluator = MaskPairEvaluator([HOLD, LIFT])
    masks = [_mask(0, 0), _mask(1, 50)]
    evaluator.add(_scene([(0, 1, 'hold', .9)], masks), _scene([], masks))
    evaluator.add(_scene([(0, 1, 'hold', .5), (0, 1, 'lift', .1)], masks), TRUTH)
    result = evaluator.result()
    np.testing.assert_allclose(result.ap, [1 / 2, 0])
    assert 'protocol mask_pairs_11_point, default setting' in str(result)


def test_a_triplet_without_object_matches_on_the_human_alone():
    scene = _scene([(0, NONE, 'hold', .9)], [_mask(0, 0)])
    evaluator = MaskPairEvaluator([('hold', '')])
    evaluator.add(scene, scene)
    assert evaluator.result().full == pytest.approx(1)


def test_run_lengths_are_of_the_image_and_empty_without_mask():
    encoded = run_lengths(_scene([], [_mask(1, 95)]))
    assert [e['size'] for e in encoded] == [[20, 100]] * 6
    assert coco_mask.area(encoded).tolist() == [0, 50, 0, 0, 0, 0]


def test_nothing_added_gives_an_empty_result():
    result = MaskPairEvaluator([HOLD]).result()
    assert (result.full, result.images, result.detections) == (0, 0, 0)


@pytest.mark.parametrize(('predicted', 'truth', 'part'), [
    (_scene([], [], width=50), TRUTH, 'the prediction is 50x20, the truth 100x20'),
    (_scene([(0, 1, 'hold', .9)], []), TRUTH, '1 triplets and no instance mask'),
    (TRUTH, _scene([(0, 1, 'hold', 1)], [_mask(0, 0)]), 'instance 1 of the truth'),
    (_scene([(0, 1, 'hold', np.nan)], [_mask(0, 0)]), TRUTH, 'scores holds nan')])
def test_scenes_that_cannot_be_compared_are_refused_with_a_sentence(predicted, truth, part):
    evaluator = MaskPairEvaluator([HOLD])
    with pytest.raises(HoiError) as error:
        evaluator.add(predicted, truth)
    assert part in str(error.value)
    assert evaluator.result().images == 0
