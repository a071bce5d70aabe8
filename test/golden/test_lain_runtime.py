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

"""
LAIN through the runtime, from what the detector said to triplets, against the released code.

The weights of a case are imported like a checkpoint (with a random DETR), then the runtime's own
stages select, pair, read and score. The image enters as CLIP's input, which is all a case holds.
"""

from dataclasses import replace
from typing import NamedTuple

from golden.lain_case import lain_cases
from hoi_perception.core.pairs import candidate_pairs, select_instances
from hoi_perception.networks.transformers_detectors import TransformersDetector
from hoi_perception.runtime.pair_batch import Chosen, pack_pairs
from hoi_perception.runtime.pipeline import HoiPipeline
from hoi_perception.runtime.preprocess import Placement
from hoi_trainer.lain_import import bundle as importing
from hoi_trainer.lain_import.checkpoint import SETTINGS
from lain_checkpoints import random_networks, released, save, SMALL
import numpy as np
import pytest
from safetensors.torch import load_file
from shared_data import golden_case
import torch
from torch import Tensor

LOGITS, SCORES = 2e-5, 2e-6
cases = pytest.mark.parametrize('case', lain_cases())


class _Said(NamedTuple):
    """What a DETR says of an image, batch of one."""

    logits: Tensor
    pred_boxes: Tensor
    last_hidden_state: Tensor


class _Prescribed(torch.nn.Module):
    """A detector that says what the case prescribes."""

    def __init__(self, tensors):
        super().__init__()
        self.said = _Said(*(tensors[f'in.{key}'][None]
                            for key in ('pred_logits', 'pred_boxes', 'feats')))

    def forward(self, pixel_values):
        return self.said


@pytest.fixture(scope='module')
def pipelines():
    return {}


def _pipeline(case, known, directory):
    key = (case.prefix, case['weights'])
    if key not in known:
        known[key] = _imported(case, directory)
    return known[key]


def _imported(case, directory):
    stem = f'{case.prefix}_weights_{case["weights"]}'
    text = case.directory / f'{stem}_text.safetensors'
    if not text.is_file():
        pytest.skip(f'{text.name} is not there, and a checkpoint holds its text')
    state = {**load_file(golden_case(case.directory / f'{stem}_visual.safetensors')),
             **load_file(text)}
    state.pop('_tokenized_prompts', None)
    queries, width = case.tensors['in.feats'].shape
    sizes = replace(SMALL, detector={**SMALL.detector, 'num_queries': queries, 'd_model': width})
    detector = released({'detector': random_networks(sizes).names()['detector']})
    context = state['clip_head.prompt_learner.ctx']
    with pytest.MonkeyPatch.context() as patch:
        # Cases have shorter contexts than any released setting.
        patch.setitem(SETTINGS, 'rf_uc', (context.ndim == 3, context.shape[-2]))
        imported = importing.import_lain(importing.ImportRequest(
            save({**state, **detector}, directory / f'{stem}.pth'), 'rf_uc'), directory / stem)
    return HoiPipeline(imported.bundle, 'cpu')


@cases
@torch.inference_mode()
def test_the_runtime_gives_the_released_triplets(case, pipelines, tmp_path):
    inputs = case.require('in.image', 'in.pred_logits', 'in.pred_boxes', 'in.feats')
    tensors, pipeline = case.tensors, _pipeline(case, pipelines, tmp_path)
    side = inputs[0].shape[-1]
    whole = Placement(1.0, 1.0, 0.0, 0.0, side, side)
    detect, interact = pipeline._detect, pipeline._interact
    detect.module.network = TransformersDetector(_Prescribed(tensors), len(inputs[1]),
                                                 clip_boxes=False)
    detect.network.softmax = True
    nothing = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    output, host = detect.detect([nothing])
    found = detect.find(host[0], whole, side, side)
    kept = select_instances(found.instances.scores, found.instances.labels, 0, 0.2, 3, 15, 15)
    chosen = found.instances.take(kept)
    pairs = candidate_pairs(chosen.scores, chosen.labels == 0, 435)
    assert len(pairs.human) == case['N'] and pairs.dropped == 0
    if not case['N']:
        return
    _same_instances(chosen, tensors)
    batch = pack_pairs([Chosen(chosen, pairs, found.rows[kept], whole)], 30, 435, output.queries,
                       interact.head.query_dim, pipeline.device)
    prompts = pipeline.prompts.current
    spec, module = interact.spec, interact.module
    x = interact.inputs(nothing, batch, prompts, (spec.human_exponent, spec.object_exponent))
    features = module.features(inputs[0][None], x)
    _same_logits(module, features[0], prompts, pairs, tensors)
    module.count = 435 * 117
    verdict, = interact.verdicts(module.rank(features, x), prompts, 0.0, module.count)
    _same_triplets(verdict, pairs, tensors)


def _same_instances(chosen, tensors):
    if 'props.boxes' in tensors:
        assert np.array_equal(chosen.labels, tensors['props.labels'])
        np.testing.assert_allclose(chosen.boxes, tensors['props.boxes'], atol=1e-4)
        np.testing.assert_allclose(chosen.scores, tensors['props.scores'], atol=SCORES)


def _same_logits(module, features, prompts, pairs, tensors):
    if not {'logits', 'pairs.h', 'pairs.o'} <= set(tensors):
        return
    ours = (module.temperature * features @ prompts.embeddings.T)[:len(pairs.human), :117]
    where = {pair: i for i, pair in enumerate(zip(pairs.human.tolist(), pairs.object.tolist()))}
    order = [where[pair] for pair in zip(tensors['pairs.h'].tolist(), tensors['pairs.o'].tolist())]
    torch.testing.assert_close(ours[order], tensors['logits'], atol=LOGITS, rtol=0)


def _same_triplets(verdict, pairs, tensors):
    if 'out.scores' not in tensors:
        return
    ours = {(int(h), int(o), int(v)): float(s) for h, o, v, s in zip(
        pairs.human[verdict.pair], pairs.object[verdict.pair], verdict.verb, verdict.scores)}
    human, thing = tensors['out.pairing'].tolist()
    theirs = dict(zip(zip(human, thing, tensors['out.labels'].tolist()),
                      tensors['out.scores'].tolist()))
    # A score too small for float32 is 0, which we do not call a triplet.
    assert {key for key, score in theirs.items() if score > 0} == set(ours)
    assert max(abs(ours[key] - theirs[key]) for key in ours) < SCORES
