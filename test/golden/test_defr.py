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

from hoi_perception.core.scoring import cosine_logits
from hoi_perception.networks.region_readout import box_regions, masked_class_tokens
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
import pytest
from safetensors.torch import load_file
from shared_data import golden_case, golden_files
import torch

GRID, PATCH, HEADS = (7, 7), (32, 32), 2


def _block(case: dict) -> ResidualAttentionBlock:
    width = case['tokens'].shape[-1]
    block = ResidualAttentionBlock(width, HEADS, act_layer=QuickGELU)
    block.load_state_dict({k[len('w.0.'):]: v for k, v in case.items() if k.startswith('w.0.')})
    return block.eval()


def _mask1(path) -> dict:
    return {k[len('mask1.'):]: v for k, v in load_file(golden_case(path)).items()
            if k.startswith('mask1.')}


@pytest.mark.parametrize('path', golden_files('defr/*_mask1.safetensors'))
def test_regions_are_the_official_ones(path):
    case = _mask1(path)
    regions = [box_regions(case[name], GRID, PATCH) for name in ('box_h', 'box_o')]
    expected = case['cls_row_masked'][:, 1:] == 0
    assert torch.equal(regions[0] | regions[1], expected)


@pytest.mark.parametrize('path', golden_files('defr/*_mask1.safetensors'))
def test_masked_class_token_equals_the_reference_with_minus_infinity(path):
    case = _mask1(path)
    region = box_regions(case['box_h'], GRID, PATCH) | box_regions(case['box_o'], GRID, PATCH)
    with torch.no_grad():
        x = masked_class_tokens(_block(case), case['tokens'], region[:, None])[:, 0]
        width = x.shape[-1]
        torch.testing.assert_close(x, case['neg_inf.cls_out'], atol=2e-5, rtol=0)
        x = torch.nn.functional.layer_norm(x, (width,), case['w.ln_post.weight'],
                                           case['w.ln_post.bias'])
        logits = cosine_logits(x, case['w.classifier'], case['w.logit_scale'])
    torch.testing.assert_close(logits, case['neg_inf.logits'], atol=2e-3, rtol=0)
    scores = logits.sigmoid() * case['prior'][:, 0] * case['prior'][:, 1]
    torch.testing.assert_close(scores, case['neg_inf.scores'], atol=2e-4, rtol=0)


@pytest.mark.parametrize('path', golden_files('defr/[a-z].safetensors'))
def test_scaled_cosine_classifier_equals_the_reference(path):
    tensors = load_file(golden_case(path))
    names = {key.split('.')[1] for key in tensors if key.startswith('clf.')}
    assert names
    for name in sorted(names):
        case = {k.split('.', 2)[2]: v for k, v in tensors.items() if k.startswith(f'clf.{name}.')}
        if 'bias' in case:  # a linear layer on unit features, not the cosine classifier
            continue
        logits = cosine_logits(case['features'], case['weight'], case['log_scale_after'],
                               case.get('m_classifier'), bool(case['log_scale'] != 0))
        torch.testing.assert_close(logits, case['logits'], atol=1e-4, rtol=1e-5,
                                   msg=lambda m, name=name: f'{name}: {m}')
