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

"""Inputs of real frames, for engines to be compared on."""

from bundles import LAIN_HEAD, tiny_bundle
from hoi_perception.runtime.bundle import Buckets
from hoi_perception.runtime.engines.recorded import PER_BUCKET, record
from hoi_perception.runtime.graphs import bundle_graphs
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
import numpy as np
import pytest
import torch


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny', heads={'lain': LAIN_HEAD},
                       buckets=Buckets(instances=(30,), pairs=(16, 64), rows=(8,)))


@pytest.mark.parametrize('batch', [1, 2])
def test_every_network_is_recorded_in_the_shapes_that_engines_are_built_for(bundle, batch):
    options = PipelineOptions(instance_threshold=0.4)
    pipeline = HoiPipeline(bundle, 'cpu', options=options, engines=None)
    frames = [np.random.default_rng(seed).integers(0, 255, (120, 160, 3), dtype=np.uint8)
              for seed in range(4)]
    recorded = record(pipeline, frames, batch)
    graphs = {(graph.name, graph.bucket): graph
              for graph in bundle_graphs(bundle, 'lain', torch.device('cpu'), batch)}
    assert set(recorded) <= set(graphs) and len({name for name, _ in recorded}) == 2
    for key, inputs in recorded.items():
        assert 1 <= len(inputs) <= PER_BUCKET
        for tensors in inputs:
            for tensor, example in zip(tensors, graphs[key].inputs.values()):
                assert (tensor.shape, tensor.dtype) == (example.shape, example.dtype)
    assert pipeline.options is options
    assert not any(stage.recorder for stage in pipeline.stages)
    assert set(pipeline.eager_calls.values()) == {0}, 'frames that nobody sent do not count'


def test_no_frames_record_nothing(bundle):
    assert record(HoiPipeline(bundle, 'cpu', engines=None), []) == {}
