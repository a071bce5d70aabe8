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

"""DEFR: our arithmetic against the outputs of the official implementation."""

import json

from hoi_perception.core.scoring import cosine_logits
from hoi_perception.networks.cosine_classifier import CosineTextClassifier, fold_projection
from hoi_perception.networks.region_readout import box_regions, masked_class_tokens
from hoi_trainer.image_classification.losses import focal_entries, lse_sign
from hoi_trainer.image_classification.readouts import masked_blocks
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
import pytest
from safetensors.torch import load_file
from shared_data import golden_case, golden_files
import torch

PLAIN = [file for file in golden_files('defr/*.safetensors') if '_mask' not in file.id]
MASKED = golden_files('defr/*_mask*.safetensors')


def _cases(tensors: dict, kind: str) -> dict:
    """Return the tensors of one kind by the name of their case."""
    found: dict = {}
    for key, value in tensors.items():
        if key.startswith(f'{kind}.'):
            _, name, part = key.split('.', 2)
            found.setdefault(name, {})[part] = value
    assert found, f'no case of {kind}'
    return found


def _masked(path) -> dict:
    """Return the tensors of a read-out without the prefix that all share, and its sizes."""
    tensors = load_file(golden_case(path))
    prefix = next(iter(tensors)).split('.')[0]
    assert all(key.startswith(f'{prefix}.') for key in tensors)
    index = json.loads(path.with_name(f'{path.stem.split("_")[0]}.json').read_text())
    return {**{key[len(prefix) + 1:]: value for key, value in tensors.items()},
            'sizes': index[f'{prefix}.']}


def _blocks(case: dict) -> list:
    """Return the masked blocks with their weights, first to last."""
    width, heads = case['tokens'].shape[-1], case['sizes']['heads']
    indices = sorted({int(key.split('.')[1]) for key in case
                      if key.startswith('w.') and key.split('.')[1].isdigit()})
    blocks = []
    for index in indices:
        block = ResidualAttentionBlock(width, heads, act_layer=QuickGELU)
        block.load_state_dict({key[len(f'w.{index}.'):]: value for key, value in case.items()
                               if key.startswith(f'w.{index}.')})
        blocks.append(block.eval())
    return blocks


def _region(case: dict) -> torch.Tensor:
    grid, patch = ((case['sizes'][name],) * 2 for name in ('grid', 'patch'))
    return box_regions(case['box_h'], grid, patch) | box_regions(case['box_o'], grid, patch)


@pytest.mark.parametrize('path', MASKED)
def test_regions_are_the_official_ones(path):
    case = _masked(path)
    assert torch.equal(_region(case), case['cls_row_masked'][:, 1:] == 0)


@pytest.mark.parametrize('path', MASKED)
def test_masked_class_tokens_equal_the_reference_with_minus_infinity(path):
    case = _masked(path)
    blocks, region = _blocks(case), _region(case)
    with torch.no_grad():
        ways = [masked_blocks(blocks, case['tokens'], region)]
        if len(blocks) == 1:  # what the runtime does, one token per pair
            ways.append(masked_class_tokens(blocks[0], case['tokens'], region[:, None])[:, 0])
        for x in ways:
            torch.testing.assert_close(x, case['neg_inf.cls_out'], atol=2e-5, rtol=0)
            x = torch.nn.functional.layer_norm(x, x.shape[-1:], case['w.ln_post.weight'],
                                               case['w.ln_post.bias'])
            scale = case['w.logit_scale']
            logits = cosine_logits(x, case['w.classifier'], scale)
            torch.testing.assert_close(logits, case['neg_inf.logits'], atol=2e-3, rtol=0)
            classifier = CosineTextClassifier(case['w.classifier'], float(scale.exp()))
            torch.testing.assert_close(classifier(x), logits, atol=2e-4, rtol=0)
            scores = logits.sigmoid() * case['prior'][:, 0] * case['prior'][:, 1]
            torch.testing.assert_close(scores, case['neg_inf.scores'], atol=2e-4, rtol=0)


@pytest.mark.parametrize('path', PLAIN)
def test_scaled_cosine_classifier_equals_the_reference(path):
    for name, case in sorted(_cases(load_file(golden_case(path)), 'clf').items()):
        if 'bias' in case:  # a linear layer on unit features, not the cosine classifier
            continue
        logits = cosine_logits(case['features'], case['weight'], case['log_scale_after'],
                               case.get('m_classifier'), bool(case['log_scale'] != 0))
        torch.testing.assert_close(logits, case['logits'], atol=1e-4, rtol=1e-5,
                                   msg=lambda m, name=name: f'{name}: {m}')


@pytest.mark.parametrize('path', PLAIN)
def test_the_classifier_starts_where_the_official_one_does(path):
    case = {key[len('init.'):]: value for key, value in load_file(golden_case(path)).items()
            if key.startswith('init.')}
    rows = fold_projection(case['clip_w'], case['clip_proj'])
    torch.testing.assert_close(rows, case['classifier_clip'], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(CosineTextClassifier(rows).weight.detach(),
                               case['classifier_clip_linear'], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('path', PLAIN)
def test_lse_sign_and_its_gradient_equal_the_reference(path):
    checked = 0
    for name, case in sorted(_cases(load_file(golden_case(path)), 'sign').items()):
        logits = case['logits'].clone().requires_grad_(True)
        loss = lse_sign(logits, case['targets'])
        loss.mean().backward()
        assert torch.equal(logits.detach(), case['logits']), f'{name}: the logits were changed'
        for ours, reference in ((loss.detach(), case['loss']),
                                (logits.grad, case['grad_of_mean'])):
            # Infinite logits are in some files on purpose; there the official loss is none.
            finite = torch.isfinite(reference)
            torch.testing.assert_close(ours[finite], reference[finite], atol=1e-5, rtol=1e-5,
                                       msg=lambda m, name=name: f'{name}: {m}')
            checked += int(finite.sum())
    assert checked


@pytest.mark.parametrize('path', PLAIN)
def test_focal_loss_equals_the_reference_entry_by_entry(path):
    tensors = load_file(golden_case(path))
    outputs = [key for key in tensors if key.startswith('focal.out_')]
    assert outputs
    for key in outputs:
        alpha, gamma = (float(part[1:]) for part in key[len('focal.out_'):].split('_'))
        ours = focal_entries(tensors['focal.pred'], tensors['focal.target'], alpha, gamma)
        torch.testing.assert_close(ours, tensors[key], atol=1e-6, rtol=1e-5)
