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
UPT and PViC: pair geometry, association and loss against the official functions.

Compared of every set found: spatial, assoc (labels and both priors), loss, elem, focal. Not
compared: pvic_pe, because no network here uses PViC's positional embedding.
"""

from hoi_perception.networks.pair_geometry import pair_geometry
from hoi_trainer.interaction.association import pair_labels
from hoi_trainer.interaction.losses import (
    focal_elements,
    fused_logits,
    prior_fused_focal_loss,
)
import pytest
from safetensors.torch import load_file
from shared_data import golden_case, golden_files
import torch

SETS = golden_files('upt_pvic/*.safetensors')


def _groups(path, prefix: str) -> list:
    """Return the tensors of each `<prefix>.<name>.` as one dictionary per name."""
    tensors = load_file(golden_case(path))
    names = sorted({key.split('.')[1] for key in tensors if key.startswith(f'{prefix}.')}, key=int)
    assert names, f'{path} has no {prefix}'
    return [{key.split('.', 2)[2]: value for key, value in tensors.items()
             if key.startswith(f'{prefix}.{name}.')} for name in names]


def _settings(tensors: dict, prefix: str, suffix: str) -> list:
    """Return (key, alpha, gamma) of keys such as `loss.a0.5_g0.2.value`."""
    found = []
    for key in sorted(tensors):
        if key.startswith(prefix) and key.endswith(suffix):
            alpha, gamma = key[len(prefix):len(key) - len(suffix)].split('_g')
            found.append((key[:len(key) - len(suffix)], float(alpha.lstrip('a')), float(gamma)))
    assert found, f'no {prefix}*{suffix}'
    return found


def _rounding(prior: torch.Tensor, logit: torch.Tensor) -> torch.Tensor:
    """
    Return how far the official fused logit may be off in float32.

    Its denominator 1 + exp(-x) - p is a difference of numbers near 1 + exp(-x), rounded to their
    last bit twice: where little is left of it, the logarithm is off by the relative error.
    """
    p, x = prior.double(), logit.double()
    return 1.2e-7 * (1 + (-x).exp()) / ((1 - p) + (-x).exp())


@pytest.mark.parametrize('path', SETS)
def test_geometry_equals_the_official_encoding(path):
    for case in _groups(path, 'spatial'):
        height, width = case['image_hw'].tolist()
        ours = pair_geometry(case['boxes_h'], case['boxes_o'], width, height, official=True)
        torch.testing.assert_close(ours, case['enc'], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('path', SETS)
def test_our_geometry_is_bounded_on_the_same_boxes(path):
    for case in _groups(path, 'spatial'):
        height, width = case['image_hw'].tolist()
        ours = pair_geometry(case['boxes_h'], case['boxes_o'], width, height)
        assert ours.shape == case['enc'].shape and torch.isfinite(ours).all()
        assert ours.min() > -9.3 and ours.max() <= 10


def _labels(case: dict) -> torch.Tensor:
    height, width = case['image_hw'].tolist()
    scale = torch.tensor([width, height, width, height])
    humans, objects = (torch.cat([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], 1)
                       * scale for box in (case['gt_boxes_h'], case['gt_boxes_o']))
    return pair_labels(case['boxes'][case['x_keep']], case['boxes'][case['y_keep']], humans,
                       objects, case['gt_verb'], case['out_labels'].shape[1])


@pytest.mark.parametrize('path', SETS)
def test_labels_equal_the_official_association(path):
    for case in _groups(path, 'assoc'):
        assert torch.equal(_labels(case), case['out_labels'].float())


@pytest.mark.parametrize('path', SETS)
def test_detector_priors_equal_the_official_ones_on_valid_verbs(path):
    for case in _groups(path, 'assoc'):
        sides = torch.stack([case['scores'][case['x_keep']], case['scores'][case['y_keep']]])
        for name, exponent in (('prior_train', 1.0), ('prior_test', 2.8)):
            ours = (sides ** exponent)[..., None] * (case[name] > 0)
            torch.testing.assert_close(ours, case[name], rtol=0, atol=2e-6)


@pytest.mark.parametrize('path', SETS)
def test_loss_and_its_gradient_equal_the_official_ones(path):
    tensors, cases = load_file(golden_case(path)), _groups(path, 'assoc')
    labels = torch.cat([case['out_labels'] for case in cases]).float()
    prior = torch.cat([case['prior_train'].prod(0) for case in cases])
    plain = torch.cat([case['logits'] for case in cases])
    stacked = torch.stack([plain, 0.5 * plain - 0.3])
    for key, alpha, gamma in _settings(tensors, 'loss.', '.grad_logits'):
        if key.endswith('.pvic'):
            continue
        for name, logits, targets in (
                ('', plain, labels), ('pvic_', stacked, labels.expand_as(stacked))):
            x = logits.clone().requires_grad_()
            loss = prior_fused_focal_loss(x, prior, targets, alpha=alpha, gamma=gamma)
            loss.backward()
            torch.testing.assert_close(loss, tensors[f'{key}.{name}value'], rtol=2e-6, atol=2e-6)
            torch.testing.assert_close(x.grad, tensors[f'{key}.{name}grad_logits'], rtol=1e-4,
                                       atol=2e-6)


@pytest.mark.parametrize('path', SETS)
def test_fused_logits_equal_the_official_ones_where_those_are_finite(path):
    tensors = load_file(golden_case(path))
    prior, logit, official = (tensors[f'elem.{name}'] for name in ('prior', 'logit', 'fused'))
    ours, finite = fused_logits(logit, prior), torch.isfinite(official)
    assert torch.isfinite(ours).all()
    assert (ours - official).abs()[finite].le(
        (2e-6 * official.abs() + _rounding(prior, logit))[finite] + 2e-6).all()
    p, x = prior.double(), logit.double()
    exact = ((p / ((1 - p) + (-x).exp())) + 1e-8).log()
    torch.testing.assert_close(ours.double(), exact, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize('path', SETS)
def test_elements_are_finite_everywhere_and_official_where_those_are_finite(path):
    tensors = load_file(golden_case(path))
    prior, logit = tensors['elem.prior'], tensors['elem.logit']
    off = _rounding(prior, logit)
    for target in (0, 1):
        for key, alpha, gamma in _settings(tensors, f'elem.loss_y{target}_', ''):
            x = logit.clone().requires_grad_()
            y = torch.full_like(x, float(target))
            elements = focal_elements(fused_logits(x, prior), y, alpha, gamma)
            elements.sum().backward()
            for ours, name in ((elements, key), (x.grad, key.replace('loss', 'grad'))):
                assert torch.isfinite(ours).all()
                official = tensors[name]
                finite = torch.isfinite(official)
                allowed = 2e-6 + 1e-4 * official.abs() + 2 * off * (1 + official.abs())
                assert (ours - official).abs()[finite].le(allowed[finite]).all(), name


@pytest.mark.parametrize('path', SETS)
def test_focal_loss_equals_the_official_one(path):
    tensors = load_file(golden_case(path))
    for key, alpha, gamma in _settings(tensors, 'focal.', '_sum'):
        elements = focal_elements(tensors['focal.x'], tensors['focal.y'].float(), alpha,
                                  gamma)
        torch.testing.assert_close(elements.sum(), tensors[f'{key}_sum'], rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(elements.mean(), tensors[f'{key}_mean'], rtol=2e-6, atol=2e-6)
