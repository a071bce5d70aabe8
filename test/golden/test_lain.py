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
LAIN in its `official` form against the outputs of the released code.

Tokens are compared per stream, because ours keeps no joint sequence: a pair's token, the class
token and the patches at the entrance of every block.

Not compared, because our formulation does not have them:
- `mid.layer0_roi_feats`: `down_proj2` comes before RoIAlign, so 768-channel regions never exist;
  `layer0_roi_down_ln` is the same point after the projection.
- class token and patches in the last `mid.block*_out`, and the class token in
  `mid.final_ho_cls_tokens`: nothing reads them, so the last block does not compute them.
"""

import json

from golden.lain_case import (
    allowed_verbs,
    HUMAN,
    inputs_of,
    lain_cases,
    LainCase,
    official_proposals,
    released_name,
    watching,
)
from hoi_perception.core.pairs import enumerate_pairs
from hoi_perception.core.scoring import detector_prior, ScoringRule
from hoi_perception.networks.lain import LainInputs
from hoi_perception.networks.lain_text import verb_features
from hoi_trainer.interaction.association import pair_labels
from hoi_trainer.interaction.losses import prior_fused_focal_loss
import pytest
import torch
from torch import Tensor

EXPONENT = 2.8
TOKENS, SCORES = 2e-5, 2e-6
cases = pytest.mark.parametrize('case', lain_cases())


def _close(got: Tensor, expected: Tensor, what: str, atol: float = TOKENS) -> None:
    torch.testing.assert_close(got, expected, atol=atol, rtol=1e-6,
                               msg=lambda text: f'{what}: {text}')


def _with_pairs(case: LainCase) -> LainInputs:
    if case.entry and case['file'] != 'absent' and case['returned_none']:
        pytest.skip('no pairs in this image')
    return inputs_of(case)


@cases
def test_the_same_boxes_take_part_and_form_the_same_pairs(case):
    case.require('in.pred_logits', 'in.pred_boxes', 'in.feats')
    tensors = case.tensors
    found = official_proposals(tensors, case.models.trunk.visual.image_size[1])
    assert len(found.boxes) == case['n_boxes']
    assert int((found.labels == HUMAN).sum()) == case['n_human']
    for name, got in zip(('boxes', 'scores', 'labels', 'feat'), found):
        if f'props.{name}' in tensors:
            atol = {'boxes': TOKENS, 'scores': SCORES}.get(name, 0)
            _close(got, tensors[f'props.{name}'], name, atol)
    human, thing = enumerate_pairs((found.labels == HUMAN).numpy())
    if case['returned_none']:
        assert case['N'] == 0
        return
    assert len(human) == case['N']
    for name, got in (('h', human), ('o', thing), ('object', found.labels.numpy()[thing])):
        if f'pairs.{name}' in tensors:
            assert torch.from_numpy(got).equal(tensors[f'pairs.{name}']), name


@cases
def test_an_image_without_a_human_or_a_second_box_has_no_pairs(case):
    if not case['returned_none']:
        pytest.skip('this image has pairs')
    assert inputs_of(case).human.numel() == 0


@cases
@torch.no_grad()
def test_the_map_of_detections(case):
    expected, = case.require('priors')
    _close(case.models.head.layout(inputs_of(case)).prior[0], expected, 'priors')


@cases
def test_the_detector_s_part_of_the_score(case):
    inputs = _with_pairs(case)
    expected, = case.require('prior_scores')
    labels, scores = inputs.labels[0], inputs.scores[0]
    allowed = allowed_verbs()[labels[inputs.object[0]]]
    got = torch.stack([scores[inputs.human[0]], scores[inputs.object[0]]]).pow(EXPONENT)
    _close(got[..., None] * allowed, expected, 'prior_scores', SCORES)


@cases
@torch.no_grad()
def test_the_first_locality_adapter(case):
    inputs, head = _with_pairs(case), case.models.head
    tokens, = case.require('mid.tokens_after_ln_pre')
    adapter, layout = head.adapters[0], head.layout(inputs)
    patches = tokens[None, inputs.human.shape[1] + 1:]
    with watching(ln3=adapter.ln3, ln2=adapter.ln2) as seen:
        update = adapter.locality(patches, layout.prior)
    for name, got in (('ln3_in', seen['ln3'][0][0]), ('ln2_out', seen['ln2'][1][0]),
                      ('locality_out', update[0])):
        if f'mid.layer0_{name}' in case.tensors:
            _close(got, case.tensors[f'mid.layer0_{name}'], name)


@cases
@torch.no_grad()
def test_the_first_interaction_adapter(case):
    inputs, head = _with_pairs(case), case.models.head
    tokens, = case.require('mid.tokens_after_ln_pre')
    adapter, layout, count = head.adapters[0], head.layout(inputs), inputs.human.shape[1] + 1
    patches = tokens[None, count:]
    patches = patches + adapter.locality(patches, layout.prior)
    with watching(ln=adapter.ln, context=adapter.mhsa_layers[0], mutual=adapter.mhsa_layers3[0],
                  cross=adapter.mhsa_layers2[0]) as seen:
        update = adapter.interaction(tokens[None, :count], patches, layout, head.folded()[0])
    outputs = {
        'roi_down_ln': seen['ln'][1][0],
        'context_tokens': seen['context'][1][0].transpose(0, 1),
        'mutual_out': seen['mutual'][1].squeeze(0).transpose(0, 1),
        'ho_cross_out': seen['cross'][1].squeeze(-2).flatten(1, 2),
        'interaction_out': update[0]}
    for name, got in outputs.items():
        if f'mid.layer0_{name}' in case.tensors:
            _close(got, case.tensors[f'mid.layer0_{name}'], name)


@cases
@torch.no_grad()
def test_the_tokens_of_every_stream_after_every_block(case):
    inputs, (trunk, head, *_) = _with_pairs(case), case.models
    pairs, last = inputs.human.shape[1], len(head.adapters) - 1
    modules = {f'block{i - 1}': adapter for i, adapter in enumerate(head.adapters)}
    with watching(ln_post=trunk.ln_post, **modules) as seen:
        head(inputs)
    streams = {'pairs': slice(0, pairs), 'class': slice(pairs, pairs + 1),
               'patches': slice(pairs + 1, None)}
    points = {'tokens_after_ln_pre': seen['block-1'][0][0]}
    points.update({f'block{i}_out': seen[f'block{i}'][0][0] for i in range(last)})
    for point, got in points.items():
        for stream, where in streams.items():
            if f'mid.{point}' in case.tensors:
                _close(got[where], case.tensors[f'mid.{point}'][where], f'{point}, {stream}')
    final = {f'block{last}_out': seen['ln_post'][0][0],
             'final_ho_cls_tokens': (seen['ln_post'][1] @ trunk.proj)[0]}
    for point, got in final.items():
        if f'mid.{point}' in case.tensors:
            _close(got, case.tensors[f'mid.{point}'][:pairs], f'{point}, pairs')


@cases
@torch.no_grad()
def test_the_text_features(case):
    expected, = case.require('text_features')
    models = case.models
    if models.text is None:
        pytest.skip('the weights of the text tower are not there')
    _close(verb_features(models.text, models.prompts), expected, 'text_features')


@cases
@torch.no_grad()
def test_logits_and_everything_that_comes_out(case):
    inputs, models, tensors = _with_pairs(case), case.models, case.tensors
    text, expected = case.require('text_features', 'logits')
    logits = models.head.logit_scale.exp() * models.head(inputs)[0] @ text.T
    _close(logits, expected, 'logits')
    if 'out.scores' not in tensors:
        pytest.skip('scores are not there')
    rule = ScoringRule(False, float(models.head.logit_scale.exp()), EXPONENT, EXPONENT)
    human, thing = inputs.human[0], inputs.object[0]
    objects = inputs.labels[0, thing]
    prior = detector_prior(inputs.scores[0, human], inputs.scores[0, thing], rule)
    allowed = allowed_verbs()[objects] & (prior > 0)[:, None]
    pair, verb = allowed.nonzero().unbind(1)
    scores = logits.sigmoid() * prior[:, None]
    _close(scores[pair, verb], tensors['out.scores'], 'scores', SCORES)
    assert torch.stack([human[pair], thing[pair]]).equal(tensors['out.pairing'])
    assert verb.equal(tensors['out.labels'])
    assert objects[pair].equal(tensors['out.objects'])
    assert tensors['out.size'].tolist() == list(models.trunk.visual.image_size)
    _close(inputs.boxes[0], tensors['out.boxes'], 'boxes')


def _target_boxes(case: LainCase, which: str) -> Tensor:
    centre, size = case.tensors[f'train.target.boxes_{which}'].split(2, -1)
    height, width = case.tensors['train.target.size']
    return torch.cat([centre - size / 2, centre + size / 2], -1) * torch.stack([width, height] * 2)


@cases
def test_training_labels_loss_and_gradients(case):
    expected, = case.require('train.loss')
    inputs, models, tensors = _with_pairs(case), case.models, case.tensors
    human, thing = inputs.human[0], inputs.object[0]
    labels = pair_labels(inputs.boxes[0, human], inputs.boxes[0, thing], _target_boxes(case, 'h'),
                         _target_boxes(case, 'o'), tensors['train.target.labels'], 117)
    if 'train.assoc_labels' in tensors:
        assert labels.equal(tensors['train.assoc_labels'])
    parts = {'head': models.head, 'trunk': models.trunk.visual, 'text': models.text,
             'prompts': models.prompts}
    for part in parts.values():
        if part is not None:
            part.requires_grad_(True).zero_grad()
    try:
        text = tensors['text_features'] if models.text is None else \
            verb_features(models.text, models.prompts)
        logits = models.head.logit_scale.exp() * models.head(inputs)[0] @ text.T
        prior = (inputs.scores[0, human] * inputs.scores[0, thing])[:, None]
        allowed = allowed_verbs()[inputs.labels[0, thing]]
        loss = prior_fused_focal_loss(logits, prior, labels, allowed)
        loss.backward()
    finally:
        models.trunk.visual.requires_grad_(False)
    torch.testing.assert_close(loss.detach(), expected[0], rtol=1e-5, atol=0)
    _check_gradients(case, parts)


def _check_gradients(case: LainCase, parts: dict) -> None:
    """Compare the gradient norms of all parameters, frozen ones included."""
    path = case.directory / f'{case["case"]}_train.json'
    if not path.is_file():
        path = case.directory / f'{case.prefix}_{case["case"]}_train.json'
    if not path.is_file():
        return
    norms = json.loads(path.read_text())['grad_norm']
    got = {released_name(name, owner): parameter.grad for owner, part in parts.items()
           if part is not None for name, parameter in part.named_parameters()}
    compared = sorted(set(norms) & set(got))
    assert len(compared) == len(norms) or parts['text'] is None, sorted(set(norms) - set(got))
    largest = max(norms.values())
    for name in compared:
        assert float(got[name].norm()) == pytest.approx(
            norms[name], rel=1e-4, abs=1e-6 * largest), name
