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

"""Seg2HOI in the pipeline: instances of the frame, masks of its own, one graph without pairs."""

from importlib.util import find_spec

from bundles import LAIN_HEAD, OBJECTS, SEG2HOI_HEAD, tiny_bundle
from hoi_perception.core.errors import BundleError, HoiError
from hoi_perception.core.scene import Instances, MaskKind
from hoi_perception.runtime.bundle import Buckets, HeadSpec
from hoi_perception.runtime.engines.coverage import check_graphs
from hoi_perception.runtime.engines.export import export_graph
from hoi_perception.runtime.graphs import bundle_graphs, head_buckets, relation_graph
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.query import ask_image, is_seen
from hoi_perception.runtime.relation_stage import RelationRanked, RelationStage
import numpy as np
from pydantic import ValidationError
import pytest
import torch

CPU = torch.device('cpu')
ALL = PipelineOptions(triplet_threshold=0.0, instance_threshold=0.2)


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny',
                       heads={'seg2hoi': SEG2HOI_HEAD, 'lain': LAIN_HEAD},
                       buckets=Buckets(instances=(8, 30), pairs=(16, 435), rows=(8, 32)))


@pytest.fixture(name='pipeline')
def _pipeline(bundle):
    return HoiPipeline(bundle, 'cpu', 'seg2hoi', ALL)


def _image(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (240, 320, 3), dtype=np.uint8)


def _key(scene):
    t = scene.triplets
    return list(zip(t.human.tolist(), t.object.tolist(), t.verb.tolist(),
                    t.scores.round(5).tolist()))


def test_triplets_name_instances_of_the_frame_and_each_only_once(pipeline):
    scene = pipeline(_image())
    t, labels = scene.triplets, scene.instances.labels
    assert len(t) > 3 and (np.diff(t.scores) <= 0).all()
    assert (labels[t.human] == 0).all() and (t.human != t.object).all()
    assert scene.vocabulary.validity[t.verb, labels[t.object]].all()
    assert len({row[:3] for row in _key(scene)}) == len(t)


def test_every_triplet_has_a_union_mask_within_its_two_boxes(pipeline):
    scene = pipeline(_image())
    boxes = scene.instances.boxes
    for kind in (MaskKind.UNION, MaskKind.INTERSECTION):
        masks = [mask for mask in scene.masks if mask.kind == kind]
        assert masks and {mask.owner for mask in masks} <= set(range(len(scene.triplets)))
        for mask in masks:
            near = np.zeros((240, 320), bool)
            for index in (scene.triplets.human[mask.owner], scene.triplets.object[mask.owner]):
                x1, y1 = np.floor(boxes[index, :2]).astype(int)
                x2, y2 = np.ceil(boxes[index, 2:]).astype(int)
                near[y1:y2, x1:x2] = True
            assert not (mask.full(320, 240) & ~near).any()
    assert {m.owner for m in scene.masks if m.kind == MaskKind.UNION} == set(
        range(len(scene.triplets)))
    pipeline.options = PipelineOptions(triplet_threshold=0.0, masks=False)
    bare = pipeline(_image())
    assert not bare.masks and len(bare.triplets)


def test_the_batch_a_frame_comes_in_and_other_frames_change_nothing(pipeline):
    images = [_image(seed) for seed in range(3)]
    alone = [_key(pipeline(image)) for image in images]
    assert [_key(result.scene) for result in pipeline.run(images)] == alone


def test_options_and_verbs_work_as_for_other_heads(pipeline):
    scene = pipeline(_image())
    pipeline.options = PipelineOptions(triplet_threshold=0.0, max_triplets=2)
    assert _key(pipeline(_image())) == _key(scene)[:2]
    pipeline.options = PipelineOptions(triplet_threshold=0.0, verbs=('hold',))
    held = pipeline(_image())
    assert {held.vocabulary.verb_names[v] for v in held.triplets.verb} <= {'hold'}
    pipeline.prompts.activate(pipeline.prompts.prepare(['lift', 'carry: cup']))
    pipeline.options = ALL
    assert set(pipeline(_image()).vocabulary.verb_names) == {'lift', 'carry'}


def test_given_boxes_take_the_query_of_what_is_detected_there(pipeline):
    scene = pipeline(_image())
    given = pipeline(_image(), scene.instances)
    assert len(given.triplets) and not given.masks
    assert np.array_equal(given.instances.boxes[given.triplets.human[:1]],
                          scene.instances.boxes[scene.triplets.human[:1]])


def test_a_point_or_box_brings_an_instance_that_was_not_confident_enough(pipeline):
    scene = pipeline(_image())
    scores, labels = scene.instances.scores, scene.instances.labels
    _, thing = min((scores[o], o) for h, o in zip(scene.triplets.human, scene.triplets.object)
                   if scores[h] > scores[o] and labels[o] != 0)
    box = scene.instances.boxes[thing]
    pipeline.options = PipelineOptions(
        triplet_threshold=0.0, instance_threshold=float(scores[thing]) + 1e-4, min_per_side=0)
    assert not (pipeline(_image()).instances.boxes == box).all(1).any()
    asked, = pipeline.run([_image()], focus=[box])
    row, = np.flatnonzero((asked.scene.instances.boxes == box).all(1))
    assert row in asked.scene.triplets.object
    answer = ask_image(pipeline, _image(), box.tolist(), 0.0)
    assert len(answer.scene.triplets) and (answer.scene.triplets.object == row).any()
    assert {mask.owner for mask in answer.scene.masks if mask.kind == MaskKind.UNION} == set(
        range(len(answer.scene.triplets)))
    with pytest.raises(HoiError, match='one per image'):
        pipeline.run([_image()], focus=[None, None])


def test_a_prompt_brings_its_own_triplets_however_many_others_score_better(pipeline):
    pipeline.options = PipelineOptions(triplet_threshold=0.0, instance_threshold=1.0,
                                       max_triplets=200)
    everything = pipeline(_image())
    triplets, (boxes, labels) = everything.triplets, (everything.instances.boxes,
                                                      everything.instances.labels)
    pipeline.options = PipelineOptions(triplet_threshold=0.0, instance_threshold=1.0,
                                       max_triplets=1)
    scene = pipeline(_image())
    assert len(scene.triplets) == 1 and len(scene.instances) == 2
    worst = next(row for row in triplets.human.tolist()[::-1] + triplets.object.tolist()[::-1]
                 if not is_seen(scene, boxes[row].tolist()))
    box = boxes[worst]
    best = triplets.scores[(triplets.human == worst) | (triplets.object == worst)].max()
    for prompt, expected in ((box.tolist(), best), (int(labels[worst]), None)):
        asked = pipeline.run([_image()], focus=[prompt])[0].scene
        assert len(asked.triplets) == 1
        assert expected is None or asked.triplets.scores[0] == pytest.approx(expected, abs=1e-6)
        assert labels[worst] in asked.instances.labels[
            [asked.triplets.human[0], asked.triplets.object[0]]]
        assert {mask.kind for mask in asked.masks} >= {MaskKind.INSTANCE, MaskKind.UNION}


def test_the_object_of_a_phrase_is_looked_for_however_low_its_score(pipeline):
    everything = pipeline(_image())
    words, labels = everything.vocabulary, everything.instances.labels
    verb, thing = next((int(v), int(o)) for v, o in zip(
        everything.triplets.verb[::-1], everything.triplets.object[::-1]) if labels[o] != 0)
    phrase = f'{words.verbs[verb].name} {words.objects[labels[thing]]}'
    pipeline.options = PipelineOptions(triplet_threshold=0.0, instance_threshold=1.0,
                                       classes=(words.objects[labels[thing]],))
    answer = ask_image(pipeline, _image(), phrase, 0.0)
    assert len(answer.scene.triplets) and set(answer.scene.triplets.verb.tolist()) == {verb}
    assert set(answer.scene.instances.labels[answer.scene.triplets.object].tolist()) == {
        labels[thing]}
    with pytest.raises(HoiError, match='no object of the'):
        ask_image(pipeline, _image(), 'hold zebra', 0.0)


def test_a_frame_without_people_has_no_triplets(pipeline):
    nobody = Instances([[10, 10, 60, 200], [90, 90, 140, 130]], [0.9, 0.6], [1, 2])
    assert not len(pipeline(_image(), nobody).triplets)


def test_the_exported_graph_equals_eager_on_real_frames_and_other_verbs(bundle, pipeline):
    stage, recorded = pipeline._interact, []
    graph = relation_graph(bundle, stage, 1, 30, 8)
    program = export_graph(graph).program
    stage.recorder = lambda bucket, tensors: recorded.append((bucket, tensors))
    pipeline(_image(1))
    pipeline.prompts.activate(pipeline.prompts.prepare(['carry: cup', 'push']))
    pipeline(_image(2))
    assert {bucket for bucket, _ in recorded} == {graph.bucket}
    for _, tensors in recorded:
        with torch.inference_mode():
            got, expected = program.module()(*tensors), stage.module(*tensors)
        torch.testing.assert_close(got[0], expected[0], atol=1e-5, rtol=1e-4)
        sure = expected[0] > 1e-3
        assert torch.equal(got[1][sure], expected[1][sure])
    names = {str(node.target) for node in program.graph.nodes}
    reading = ('nonzero', 'aten.item', '_local_scalar_dense', '_assert_scalar')
    assert not [name for name in names if any(word in name for word in reading)]


@pytest.mark.skipif(find_spec('torch_tensorrt') is None, reason='torch_tensorrt is absent')
def test_the_graph_is_one_tensorrt_segment(bundle, pipeline):
    row, = check_graphs([relation_graph(bundle, pipeline._interact, 1, 30, 8)])
    assert row.full, row


def test_there_is_one_graph_per_bucket_of_rows_and_none_per_pairs(bundle):
    names = [graph.name for graph in bundle_graphs(bundle, 'seg2hoi', CPU)]
    assert names == ['detector', 'interaction/seg2hoi', 'interaction/seg2hoi']
    buckets = list(head_buckets(bundle, RelationStage(bundle, 'seg2hoi', CPU), 1, 8))
    assert [bucket.name for bucket in buckets] == [bucket.make().bucket for bucket in buckets]


def test_what_both_branches_tell_counts_once_with_the_better_score(pipeline):
    ranked = RelationRanked(torch.tensor([[0.9, 0.8, 0.7, 0.0]]), torch.tensor([[3, 3, 5, 6]]),
                            torch.tensor([[0, 0, 0, 0]]), torch.randn(1, 4, 5),
                            torch.randn(1, 4, 5))
    verdict, = pipeline._interact.verdicts(ranked, pipeline.prompts.current, 0.0, 9, 4)
    assert verdict.scores.round(1).tolist() == [0.9, 0.7]
    assert (verdict.human.tolist(), verdict.object.tolist()) == ([0, 1], [3, 1])
    assert torch.equal(verdict.union, ranked.union[0, [0, 2]])


@pytest.mark.parametrize(('changes', 'words'), [
    ({'pixel_dim': 5}, 'pixel embedding'), ({'query_dim': 20}, 'were not trained together'),
    ({'classes': len(OBJECTS) + 1}, 'was made for')])
def test_a_head_of_another_trunk_or_vocabulary_is_refused(tmp_path, changes, words):
    head = HeadSpec(**{**SEG2HOI_HEAD.model_dump(),
                       'config': {**SEG2HOI_HEAD.config, **changes}})
    with pytest.raises(BundleError, match=words):
        HoiPipeline(tiny_bundle(tmp_path / 'b', heads={'seg2hoi': head}), 'cpu')


def test_a_softmax_over_phrases_is_no_setting_of_it():
    with pytest.raises(ValidationError, match='sigmoid'):
        HeadSpec(kind='seg2hoi', config={}, activation='softmax')
