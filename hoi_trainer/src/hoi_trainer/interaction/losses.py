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
Focal loss on scores that the detector's confidence has already been multiplied into.

With prior p = score of the human * score of the object and logit x, the network is asked for
sigmoid(x) such that p * sigmoid(x) is right: the loss acts on z = logit(p * sigmoid(x)). UPT,
PViC and LAIN compute z as log(p / (1 + exp(-x) - p) + 1e-8), which overflows for p -> 1 and large
x; here the same number comes from logaddexp and is finite for every p of 0..1 and every finite x.
"""

import math
from typing import Optional

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

FLOOR = math.log(1e-8)
ALPHA, GAMMA = 0.5, 0.2


def fused_logits(logits: Tensor, prior: Tensor) -> Tensor:
    """
    Return z with sigmoid(z) = prior * sigmoid(logits), not below ln 1e-8.

    prior: 0..1, broadcast against logits. The floor is that of the official code.
    """
    z = prior.log() - torch.logaddexp((-prior).log1p(), -logits)
    return torch.logaddexp(z, z.new_full((), FLOOR))


def focal_elements(logits: Tensor, targets: Tensor, alpha: float = ALPHA,
                   gamma: float = GAMMA) -> Tensor:
    """
    Return |1 - y - alpha| * (|y - sigmoid(x)| + 1e-6) ** gamma * BCE(x, y) per element.

    The 1e-6 inside the power keeps its gradient finite for gamma below 1 (it is the official
    code's).
    """
    weight = (1 - targets - alpha).abs()
    focus = ((targets - logits.sigmoid()).abs() + 1e-6) ** gamma
    return weight * focus * binary_cross_entropy_with_logits(logits, targets, reduction='none')


def prior_fused_focal_loss(logits: Tensor, prior: Tensor, labels: Tensor,
                           valid: Optional[Tensor] = None, alpha: float = ALPHA,
                           gamma: float = GAMMA, positives: Optional[Tensor] = None) -> Tensor:
    """
    Return the loss: sum over counted entries divided by the number of positive ones.

    logits, labels: (..., C). prior: broadcast against them, product of the detector's two scores.
    valid: entries that count, besides the rule that prior > 0 (padding, classes that cannot go
    with the object). positives: what to divide by, for example the mean over processes; default
    the positives among the counted entries, at least 1, so that a batch without any is finite.
    Computed in float32 whatever comes in.
    """
    logits, prior, labels = logits.float(), prior.float(), labels.float()
    counted = (prior > 0).expand(logits.shape)
    if valid is not None:
        counted = counted & valid
    elements = focal_elements(fused_logits(logits, prior), labels, alpha, gamma)
    total = torch.where(counted, elements, 0.0).sum()
    if positives is None:
        positives = positive_count(labels, counted)
    return total / positives.clamp(min=1.0)


def positive_count(labels: Tensor, counted: Tensor) -> Tensor:
    """Return the number of positive labels among the counted entries, a float scalar."""
    return (labels * counted).sum()
