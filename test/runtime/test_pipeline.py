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

"""The way of a frame: scenes, their consistency, and what happens at the edges."""

import dataclasses
import math

from bundles import tiny_bundle
from hoi_perception.core.errors import BundleError, FrameError, HoiError
from hoi_perception.core.scene import Instances, MaskKind
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions, STAGES
import numpy as np
import pytest
import torch


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')


@pytest.fixture
def pipeline(bundle):
    return HoiPipeline(bundle, 'cpu')


def _image(height=240, width=320, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


GIVEN = Instances([[10, 10, 60, 200], [50, 60, 120, 120], [200, 20, 260, 200], [90, 90, 140, 130]],
                  [0.9, 0.8, 0.7, 0.6], [0, 1, 0, 2])


def _check(scene):
    found, triplets = scene.instances, scene.triplets
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [scene.width, scene.height, scene.width, scene.height]).all()
    assert (found.labels[triplets.human] == scene.vocabulary.human).all()
    assert (triplets.human != triplets.object).all()
    assert (np.diff(triplets.scores) <= 1e-6).all()
    valid = scene.vocabulary.validity[triplets.verb, found.labels[triplets.object]]
    assert valid.all()
    for mask in scene.masks:
        rows, columns = mask.bitmap.shape
        assert 0 <= mask.x and mask.x + columns <= scene.width
        assert 0 <= mask.y and mask.y + rows <= scene.height


def test_a_frame_becomes_a_consistent_scene(pipeline):
    result, = pipeline.run([_image()])
    scene = result.scene
    _check(scene)
    assert (scene.width, scene.height, scene.prompt_version) == (320, 240, 1)
    assert len(scene.instances) and len(scene.triplets) and scene.model_id.endswith('/defr')
    assert set(STAGES) == set(result.stages)
    assert all(value > 0 for value in result.stages.values())


@pytest.mark.parametrize('size', [(1, 1), (1, 5000), (5000, 1), (7, 9), (1080, 1920)])
def test_any_size_of_image_is_answered(pipeline, size):
    _check(pipeline(_image(*size)))


def test_a_batch_gives_the_scenes_of_its_images_one_by_one(pipeline):
    images = [_image(seed=1), _image(100, 400, 2), _image(seed=3)]
    for result, image in zip(pipeline.run(images), images):
        alone = pipeline(image)
        np.testing.assert_allclose(result.scene.triplets.scores, alone.triplets.scores, atol=1e-5)
        np.testing.assert_allclose(result.scene.instances.boxes, alone.instances.boxes, atol=1e-2)


def test_the_same_frame_gives_the_same_scene(pipeline):
    first, second = pipeline(_image()), pipeline(_image())
    assert np.array_equal(first.triplets.scores, second.triplets.scores)
    assert first.phrases() == second.phrases()


@pytest.mark.parametrize('image', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), 'frame.jpg'])
def test_a_bad_frame_is_refused_and_the_next_one_answered(pipeline, image):
    with pytest.raises(FrameError):
        pipeline(image)
    _check(pipeline(_image()))


def test_given_instances_replace_the_detector(pipeline):
    pipeline.options = PipelineOptions(triplet_threshold=0.0)
    result, = pipeline.run([_image()], [GIVEN])
    assert result.stages['detect'] == 0
    scene = result.scene
    _check(scene)
    assert sorted(map(tuple, scene.instances.boxes)) == sorted(map(tuple, GIVEN.boxes))
    assert scene.masks == ()
    pairs = set(zip(scene.triplets.human.tolist(), scene.triplets.object.tolist()))
    assert len(pairs) == 6  # 2 people x 3 others, each with at least one valid verb


def test_detected_and_given_images_mix_in_one_batch(pipeline):
    results = pipeline.run([_image(), _image(seed=1)], [None, GIVEN])
    assert results[0].scene.masks and not results[1].scene.masks
    np.testing.assert_allclose(results[0].scene.instances.boxes,
                               pipeline(_image()).instances.boxes, atol=1e-2)


@pytest.mark.parametrize('labels', [[1, 1, 2, 3], [0, 0, 0, 0]])
def test_without_people_or_without_objects_nothing_fails(pipeline, labels):
    _check(pipeline(_image(), dataclasses.replace(GIVEN, labels=labels)))


@pytest.mark.parametrize('given', [
    Instances.empty(), Instances([[1, 1, 9, 9]], [0.9], [0]),
    Instances([[1, 1, 9, 9]], [0.9], [1])])
def test_too_few_instances_for_a_pair_give_no_triplets(pipeline, given):
    scene = pipeline(_image(), given)
    assert len(scene.instances) == len(given) and len(scene.triplets) == 0


@pytest.mark.parametrize(('change', 'words'), [
    ({'boxes': np.full((4, 4), np.nan)}, 'NaN'), ({'scores': [np.inf, 0, 0, 0]}, 'NaN'),
    ({'boxes': np.full((4, 4), 3e38)}, 'within 100000 pixels'),
    ({'scores': [1.5, 0, 0, 0]}, 'outside 0..1'), ({'labels': [0, 1, 2, 99]}, 'label 99'),
    ({'labels': [-1, 1, 2, 3]}, 'objects')])
def test_unusable_given_instances_are_refused(pipeline, change, words):
    with pytest.raises(HoiError, match=words):
        pipeline(_image(), dataclasses.replace(GIVEN, **change))


def test_given_lists_must_match_the_images(pipeline):
    with pytest.raises(HoiError, match='1 lists'):
        pipeline.run([_image(), _image()], [GIVEN])


def test_pairs_beyond_the_budget_are_counted_and_the_best_kept(pipeline):
    everything = pipeline(_image(), GIVEN)
    pipeline.options = PipelineOptions(pair_budget=2)
    scene = pipeline(_image(), GIVEN)
    assert everything.dropped_pairs == 0 and scene.dropped_pairs == 4
    pairs = {frozenset(scores) for scores in zip(
        scene.instances.scores[scene.triplets.human].tolist(),
        scene.instances.scores[scene.triplets.object].tolist())}
    expected = [frozenset(np.float32(p).tolist()) for p in ([0.9, 0.8], [0.9, 0.7])]
    assert pairs <= set(expected)


def test_padding_to_another_bucket_changes_no_score(pipeline, bundle):
    spec = bundle.spec.model_copy(update={
        'buckets': bundle.spec.buckets.model_copy(update={'pairs': (435,), 'rows': (640,)})})
    wide = HoiPipeline(dataclasses.replace(bundle, spec=spec), 'cpu')
    np.testing.assert_allclose(pipeline(_image(), GIVEN).triplets.scores,
                               wide(_image(), GIVEN).triplets.scores, atol=1e-6)


def test_thresholds_and_limits_act_live(pipeline):
    scores = pipeline(_image()).triplets.scores
    middle = float(np.median(scores))
    pipeline.options = PipelineOptions(triplet_threshold=middle)
    assert len(pipeline(_image()).triplets) == (scores >= middle).sum()
    pipeline.options = dataclasses.replace(pipeline.options, max_triplets=3)
    assert len(pipeline(_image()).triplets) == 3


def test_a_class_filter_keeps_people_and_only_the_wanted_objects(pipeline):
    everything = pipeline(_image())
    names = {everything.vocabulary.objects[label] for label in everything.instances.labels}
    assert len(names) > 2, 'the test needs several classes'
    pipeline.options = PipelineOptions(classes=('Cup',))
    scene = pipeline(_image())
    _check(scene)
    assert {scene.vocabulary.objects[label] for label in scene.instances.labels} == {
        'person', 'cup'}
    things = scene.instances.labels[scene.triplets.object]
    assert len(things) and {scene.vocabulary.objects[label] for label in things} == {'cup'}
    pipeline.options = PipelineOptions(classes=('no such thing',))
    assert len(pipeline(_image()).triplets) == 0


def test_a_verb_filter_leaves_the_other_triplets_as_they_are(pipeline):
    pipeline.options = PipelineOptions(max_triplets=200, triplet_threshold=0.0)
    everything = pipeline(_image()).triplets
    ride = everything.verb == 0
    assert 3 < ride.sum() < len(ride)
    pipeline.options = PipelineOptions(max_triplets=3, triplet_threshold=0.0, verbs=('Ride',))
    scene = pipeline(_image())
    _check(scene)
    assert scene.triplets.verb.tolist() == [0, 0, 0]
    np.testing.assert_allclose(scene.triplets.scores, everything.scores[ride][:3])


def test_exponents_weigh_the_detectors_scores(pipeline):
    pipeline.options = PipelineOptions(human_exponent=0.0, object_exponent=0.0)
    flat = pipeline(_image(), GIVEN)
    pipeline.options = PipelineOptions(human_exponent=2.0, object_exponent=1.0)
    scene = pipeline(_image(), GIVEN)
    prior = dict(zip(_keys(flat), flat.triplets.scores))
    for key, score, human, thing in zip(_keys(scene), scene.triplets.scores,
                                        scene.triplets.human, scene.triplets.object):
        a, b = scene.instances.scores[human], scene.instances.scores[thing]
        assert math.isclose(score, prior[key] * a * a * b, rel_tol=1e-4)


def _keys(scene):
    boxes = scene.instances.boxes
    return [(tuple(boxes[h]), v, tuple(boxes[o])) for h, v, o in zip(
        scene.triplets.human, scene.triplets.verb, scene.triplets.object)]


@pytest.mark.parametrize('change', [{'instance_threshold': 2.0}, {'max_triplets': 0},
                                    {'max_triplets': 201}, {'pair_budget': 0},
                                    {'human_exponent': -1.0}])
def test_options_out_of_range_are_refused(change):
    with pytest.raises(HoiError, match=next(iter(change))):
        PipelineOptions(**change)


def test_nan_means_the_bundles_value(pipeline):
    scene = pipeline(_image())
    pipeline.options = PipelineOptions(triplet_threshold=math.nan, human_exponent=math.nan)
    assert np.array_equal(pipeline(_image()).triplets.scores, scene.triplets.scores)


def test_masks_can_be_switched_off_and_belong_to_instances_and_triplets(pipeline):
    scene = pipeline(_image())
    for mask in scene.masks:
        owners = scene.instances if mask.kind == MaskKind.INSTANCE else scene.triplets
        assert 0 <= mask.owner < len(owners)
        if mask.kind == MaskKind.UNION:
            parts = [scene.mask_of(int(i[mask.owner])).full(320, 240)
                     for i in (scene.triplets.human, scene.triplets.object)]
            assert np.array_equal(mask.full(320, 240), parts[0] | parts[1])
            inner = scene.mask_of(mask.owner, MaskKind.INTERSECTION)
            assert (parts[0] & parts[1]).any() == (inner is not None)
    pipeline.options = PipelineOptions(masks=False)
    assert pipeline(_image()).masks == ()


def test_new_verbs_show_up_in_the_next_scene_with_a_higher_version(pipeline):
    version = pipeline.prompts.activate(pipeline.prompts.prepare(['carry: cup', 'meet: person']))
    scene = pipeline(_image(), GIVEN)
    assert scene.prompt_version == version == 2
    assert {p.split()[1] for p in scene.phrases()} == {'carry', 'meet'}


def test_no_interaction_is_a_triplet_only_when_asked_for(pipeline):
    assert not any('no_interaction' in p for p in pipeline(_image(), GIVEN).phrases())
    names = ['no_interaction: bicycle, cup', 'ride: bicycle']
    pipeline.prompts.activate(pipeline.prompts.prepare(names))
    assert any('no_interaction' in p for p in pipeline(_image(), GIVEN).phrases())


@pytest.mark.parametrize('stage', ['detector', 'head'])
def test_networks_that_return_nan_are_refused_with_a_sentence(pipeline, stage):
    bad = pipeline._detect.network.classify.bias if stage == 'detector' \
        else pipeline._interact.trunk.visual.ln_post.weight
    with torch.no_grad():
        bad.fill_(torch.nan)
    with pytest.raises(HoiError, match='NaN'):
        pipeline(_image())


def test_an_unknown_head_or_device_is_refused(bundle):
    with pytest.raises(BundleError, match='which has defr'):
        HoiPipeline(bundle, 'cpu', head='lain')
    with pytest.raises(BundleError, match='device'):
        HoiPipeline(bundle, 'warp')
