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

"""Recorded calls: nothing on a CPU, the same results on a GPU."""

from bundles import LAIN_HEAD, tiny_bundle
from hoi_perception.core.scene import Instances
from hoi_perception.runtime.cuda_graphs import replayed
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
import numpy as np
import pytest
import torch

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no CUDA device')
GIVEN = Instances([[10, 10, 60, 200], [200, 20, 260, 200], [50, 60, 120, 120]], [0.9, 0.7, 0.8],
                  [0, 0, 1])


def _double(tensor):
    return (2 * tensor,)


def test_on_a_cpu_a_call_stays_as_it_is():
    assert replayed(_double, (torch.ones(3),)) is _double


@needs_gpu
def test_a_replay_reads_new_inputs_and_leaves_earlier_results_alone():
    with torch.inference_mode():
        run = replayed(_double, (torch.ones(3, device='cuda'),))
        first, second = run(torch.full((3,), 5.0, device='cuda')), run(torch.zeros(3).cuda())
    assert run is not _double
    assert first[0].tolist() == [10, 10, 10] and second[0].tolist() == [0, 0, 0]


@needs_gpu
def test_what_speaks_with_the_host_is_not_recorded():
    def talkative(tensor):
        return (tensor * tensor.sum().item(),)
    with torch.inference_mode():
        assert replayed(talkative, (torch.ones(3, device='cuda'),)) is talkative
        assert talkative(torch.ones(3, device='cuda'))[0].tolist() == [3, 3, 3]


@needs_gpu
def test_a_frame_gives_the_same_triplets_on_both_devices(tmp_path):
    bundle = tiny_bundle(tmp_path / 'tiny', heads={'lain': LAIN_HEAD})
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    options = PipelineOptions(triplet_threshold=0.0, masks=False)
    cpu, gpu = (HoiPipeline(bundle, device, options=options)(image, GIVEN).triplets.scores
                for device in ('cpu', 'cuda'))
    np.testing.assert_allclose(gpu, cpu, atol=1e-3)
