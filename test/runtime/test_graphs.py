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

"""Graphs of fixed shapes: the pipeline runs them, exports equal them, verbs are only inputs."""

from bundles import LAIN_HEAD, tiny_bundle, tiny_spec
from hoi_perception.core.errors import BundleError
from hoi_perception.core.scene import Instances
from hoi_perception.runtime.bundle import Buckets, ClipSpec, HeadSpec, ImageSpec
from hoi_perception.runtime.engines.export import export_graph
from hoi_perception.runtime.graphs import (
    bundle_graphs,
    detector_graph,
    frame_buckets,
    interaction_graph,
)
from hoi_perception.runtime.options import MAX_TRIPLETS
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
import numpy as np
import pytest
import torch

CPU = torch.device('cpu')
HEADS = {'lain': LAIN_HEAD, 'defr': HeadSpec(), 'defr_sigmoid': HeadSpec(activation='sigmoid')}
GIVEN = Instances([[10, 10, 60, 200], [200, 20, 260, 200], [50, 60, 120, 120], [90, 90, 140, 130]],
                  [0.9, 0.7, 0.8, 0.6], [0, 0, 1, 2])
VERBS = ['carry: cup', 'meet: person', 'push', 'look at: bicycle, umbrella']


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    buckets = Buckets(instances=(8, 30), pairs=(16, 435), rows=(8, 32))
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny', heads=HEADS, buckets=buckets)


def _pipeline(bundle, head='lain'):
    return HoiPipeline(bundle, 'cpu', head, PipelineOptions(triplet_threshold=0.0, masks=False))


def _image(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (240, 320, 3), dtype=np.uint8)


def _recording(stage, pipeline, calls):
    """Return what the stage gives its module in the next calls of the pipeline."""
    recorded = []
    handle = stage.module.register_forward_pre_hook(lambda _, given: recorded.append(given))
    for arguments in calls:
        pipeline(*arguments)
    handle.remove()
    return recorded


def _same(ours, expected):
    for name, got, wanted in zip(('scores', 'pair', 'row'), ours, expected):
        if name == 'scores':
            torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)
            counts = wanted > 1e-4
        else:
            assert got.dtype == torch.int64 and torch.equal(got[counts], wanted[counts])


@pytest.mark.parametrize('head', HEADS)
def test_an_exported_head_equals_eager_on_fuller_and_emptier_frames_and_other_verbs(head, bundle):
    pipeline = _pipeline(bundle, head)
    stage = pipeline._interact
    graph = interaction_graph(bundle, stage, 1, 30, 16, 8)
    program = export_graph(graph).program.module()
    three = GIVEN.take(np.arange(1, 4))
    inputs = _recording(stage, pipeline, [(_image(), GIVEN), (_image(1), three)])
    pipeline.prompts.activate(pipeline.prompts.prepare(VERBS))
    pipeline.options = PipelineOptions(human_exponent=2.0, object_exponent=0.0)
    inputs += _recording(stage, pipeline, [(_image(2), GIVEN)])
    assert len(inputs) == 3
    for given in inputs:
        assert len(given) == len(graph.inputs)
        for tensor, (name, example) in zip(given, graph.inputs.items()):
            assert (tensor.shape, tensor.dtype) == (example.shape, example.dtype), name
            assert tensor.is_contiguous() and example.is_contiguous(), name
        with torch.inference_mode():
            expected = stage.module(*given)
            _same(program(*given), expected)
        assert (expected[0] > 0).any() and not torch.equal(expected[0], inputs[0][0])


@pytest.mark.parametrize('head', HEADS)
def test_no_number_of_the_interaction_goes_through_the_host(head, bundle):
    """Operators that read a value, or whose size depends on one, would be in the graph."""
    graph = interaction_graph(bundle, _pipeline(bundle, head)._interact, 1, 8, 16, 8)
    program = export_graph(graph).program
    names = {str(node.target) for node in program.graph.nodes}
    reading = ('aten.item', '_local_scalar_dense', 'nonzero', 'masked_select', '_assert_scalar',
               'unique', 'sym_')
    assert not [name for name in names if any(word in name for word in reading)]
    assert not program.range_constraints
    inputs = program.graph_signature.user_inputs
    used = {node.name for node in program.graph.nodes if node.users}
    assert len(inputs) == len(graph.inputs) and set(inputs) <= used


@pytest.mark.parametrize('head', HEADS)
def test_logits_keep_32_bits_where_networks_run_with_16(head, bundle):
    module, kept = _pipeline(bundle, head)._interact.module, []
    graph = interaction_graph(bundle, _pipeline(bundle, head)._interact, 1, 8, 16, 8)
    rank, module.rank = module.rank, lambda *given: kept.append(given) or rank(*given)
    with torch.inference_mode():
        with torch.autocast('cpu', torch.bfloat16):
            scores = module(*graph.inputs.values())[0]
        assert torch.equal(scores, rank(*kept[0]).scores)
    assert scores.dtype == kept[0][0].dtype == torch.float32


def test_a_head_takes_only_what_it_reads(bundle):
    names = {head: list(interaction_graph(bundle, _pipeline(bundle, head)._interact, 1, 8, 16,
                                          8).inputs) for head in HEADS}
    assert names['lain'] == ['pixels', 'boxes', 'scores', 'labels', 'box_mask', 'queries', 'human',
                             'object', 'pair_mask', 'object_embeddings', 'rows', 'validity',
                             'exponents']
    assert names['defr'] == ['pixels', 'boxes', 'scores', 'labels', 'human', 'object', 'pair_mask',
                             'rows', 'validity', 'background', 'background_valid', 'exponents']
    assert set(names['defr']) - set(names['defr_sigmoid']) == {'background', 'background_valid'}


def test_an_exported_detector_equals_eager_from_bytes_on(bundle):
    pipeline = _pipeline(bundle)
    graph = detector_graph(bundle, pipeline._detect.network, CPU)
    program = export_graph(graph).program.module()
    given, = _recording(pipeline._detect, pipeline, [(_image(3),)])
    assert given[0].dtype == torch.uint8 and given[0].shape == graph.inputs['pixels'].shape
    with torch.inference_mode():
        for exported, expected in zip(program(*given), pipeline._detect.module(*given)):
            torch.testing.assert_close(exported, expected, atol=1e-5, rtol=1e-5)
    assert graph.outputs == ('boxes', 'scores', 'labels', 'queries', 'coefficients', 'prototypes')


@pytest.mark.parametrize('batch', [1, 2])
def test_what_stands_in_for_a_graph_runs_in_its_bucket_and_nowhere_else(batch, bundle):
    pipeline, calls = _pipeline(bundle), []
    detect, interact = pipeline._detect, pipeline._interact
    images = [_image(seed) for seed in range(batch)]
    expected = [result.scene.triplets.scores for result in pipeline.run(images)]

    def replacing(name, module):
        return lambda *tensors: calls.append(name) or module(*tensors)

    graph = detector_graph(bundle, detect.network, CPU, batch)
    detect.engines[graph.bucket] = replacing('detector', graph.module)
    for instances, pairs in frame_buckets(bundle):
        graph = interaction_graph(bundle, interact, batch, instances, pairs, 8)
        interact.engines[graph.bucket] = replacing(graph.name, graph.module)
    scores = [result.scene.triplets.scores for result in pipeline.run(images)]
    assert calls == ['detector', 'interaction/lain']
    assert all(np.array_equal(*pair) for pair in zip(scores, expected))
    pipeline.run([_image()] * 3)
    pipeline.prompts.activate(pipeline.prompts.prepare(VERBS, objects=map(str, range(13))))
    pipeline.run(images, [GIVEN] * batch)
    assert len(calls) == 2  # another batch and more objects than there is room for are not theirs


def test_a_bundle_lists_its_detector_once_and_every_bucket_of_its_frames(bundle):
    graphs = list(bundle_graphs(bundle, 'lain', CPU, batch=2))
    assert [graph.name for graph in graphs] == ['detector'] + ['interaction/lain'] * 4
    assert len({graph.bucket for graph in graphs}) == 5
    assert graphs[0].bucket == 'batch2-64x96'
    assert graphs[1].bucket == 'batch2-instances30-pairs16-rows8-objects16'
    assert len(list(bundle_graphs(bundle, 'lain', CPU, rows=[32]))) == 3


@pytest.mark.parametrize(('instances', 'pairs', 'expected'), [
    ((8, 16, 30, 200), (16, 64, 435), [(30, 16), (30, 64), (30, 435)]),
    ((4, 30), (16, 500), [(30, 16), (30, 500)]), ((8,), (16, 64, 435), [(8, 16), (8, 64)]),
    ((30,), (8, 435, 900), [(30, 8), (30, 435), (30, 900)]), ((200,), (435,), [(200, 435)])])
def test_buckets_that_no_frame_falls_into_are_not_listed(instances, pairs, expected, bundle):
    spec = bundle.spec.model_copy(update={'buckets': Buckets(instances=instances, pairs=pairs)})
    assert list(frame_buckets(type(bundle)(bundle.path, spec))) == expected


@pytest.mark.parametrize(('pairs', 'rows', 'count'), [(435, 8, MAX_TRIPLETS), (16, 8, 128)])
def test_as_many_entries_are_ranked_as_there_are_but_no_more_than_the_limit(pairs, rows, count,
                                                                            bundle):
    graph = interaction_graph(bundle, _pipeline(bundle)._interact, 1, 30, pairs, rows)
    with torch.inference_mode():
        scores, pair, row = graph.module(*graph.inputs.values())
    assert graph.outputs == ('scores', 'pair', 'row')
    assert scores.shape == pair.shape == row.shape == (1, count)
    assert (scores.diff() <= 0).all() and 0 < scores[0, 0] <= 1
    assert pair.max() < pairs and row.max() < rows


def test_images_that_keep_their_shape_give_a_graph_per_camera(bundle):
    detector = bundle.spec.detector.model_copy(update={'preprocessing': ImageSpec(
        height=64, width=96, resize='shortest_edge')})
    keeping = type(bundle)(bundle.path, bundle.spec.model_copy(update={'detector': detector}))
    network = _pipeline(bundle)._detect.network
    with pytest.raises(BundleError, match='needs images of'):
        detector_graph(keeping, network, CPU, camera=(100, 400))
    assert detector_graph(keeping, network, CPU, camera=(128, 192)).bucket == 'batch1-64x96'
    clip = ClipSpec(config=tiny_spec().clip.config, preprocessing=ImageSpec(
        height=64, width=64, resize='shortest_edge'))
    keeping = type(bundle)(bundle.path, bundle.spec.model_copy(update={'clip': clip}))
    with pytest.raises(BundleError, match='shortest edge'):
        interaction_graph(keeping, _pipeline(bundle)._interact, 1, 8, 16, 8)
