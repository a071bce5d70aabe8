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

"""CL-HOI's head in the runtime: pipeline, export and TensorRT's registry."""

from importlib.util import find_spec

from bundles import CL_HOI_HEAD, tiny_bundle
from hoi_perception.core.errors import BundleError
from hoi_perception.core.scene import Instances
from hoi_perception.runtime.bundle import Buckets
from hoi_perception.runtime.engines.coverage import check_graphs, INSTALL
from hoi_perception.runtime.engines.export import export_graph
from hoi_perception.runtime.graphs import interaction_graph
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.verify import verify_heads
import numpy as np
import pytest
import torch

GIVEN = Instances([[10, 10, 60, 200], [200, 20, 260, 200], [50, 60, 120, 120], [90, 90, 140, 130]],
                  [0.9, 0.7, 0.8, 0.6], [0, 0, 1, 2])


@pytest.fixture(name='bundle', scope='module')
def _bundle(tmp_path_factory):
    buckets = Buckets(instances=(8, 30), pairs=(16, 435), rows=(8, 32))
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny', heads={'cl_hoi': CL_HOI_HEAD},
                       buckets=buckets)


@pytest.fixture(name='pipeline')
def _pipeline(bundle):
    return HoiPipeline(bundle, 'cpu', options=PipelineOptions(triplet_threshold=0.0, masks=False))


def _image(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (240, 320, 3), dtype=np.uint8)


def test_scenes_come_from_detected_and_from_given_boxes_and_with_other_verbs(pipeline, bundle):
    detected, given = pipeline.run([_image(), _image(1)], [None, GIVEN])
    assert len(detected.scene.triplets) and len(given.scene.triplets)
    assert detected.scene.model_id.endswith('/cl_hoi') and verify_heads(bundle) == ('cl_hoi',)
    pipeline.prompts.activate(pipeline.prompts.prepare(['carry: cup', 'push']))
    phrases = pipeline(_image(), GIVEN).phrases()
    assert any('carry cup' in phrase for phrase in phrases)


def test_the_exported_head_equals_eager_on_fuller_and_emptier_frames(pipeline, bundle):
    stage = pipeline._interact
    graph = interaction_graph(bundle, stage, 1, 30, 16, 8)
    assert list(graph.inputs) == [
        'pixels', 'boxes', 'scores', 'labels', 'box_mask', 'queries', 'human', 'object',
        'pair_mask', 'rows', 'validity', 'exponents']
    program = export_graph(graph).program.module()
    recorded = []
    handle = stage.module.register_forward_pre_hook(lambda _, given: recorded.append(given))
    for given in (GIVEN, GIVEN.take(np.arange(1, 4))):
        pipeline(_image(), given)
    handle.remove()
    for tensors in recorded:
        with torch.inference_mode():
            expected, got = stage.module(*tensors), program(*tensors)
        torch.testing.assert_close(got[0], expected[0], atol=1e-6, rtol=1e-5)
        assert (expected[0] > 0).any()


@pytest.mark.skipif(find_spec('torch_tensorrt') is None, reason=f'torch_tensorrt: {INSTALL}')
def test_tensorrt_would_take_the_whole_head_as_one_segment(pipeline, bundle):
    row, = check_graphs([interaction_graph(bundle, pipeline._interact, 1, 30, 16, 8)])
    assert row.full and (row.segments, row.torch_segments, row.breaks) == (1, 0, ()), row


@pytest.mark.parametrize('change, words', [
    ({'query_dim': 24}, 'does not fit the configuration'), ({'heads': 3}, 'cannot be built'),
    ({'colour': 1}, 'cannot be built.*colour')])
def test_a_head_that_does_not_fit_is_refused(bundle, change, words):
    head = CL_HOI_HEAD.model_copy(update={'config': {**CL_HOI_HEAD.config, **change}})
    spec = bundle.spec.model_copy(update={'heads': {'cl_hoi': head}})
    with pytest.raises(BundleError, match=words):
        HoiPipeline(type(bundle)(bundle.path, spec), 'cpu')
