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

"""Losses over the logits of all classes of an image, each (B,), one value per image."""

from typing import Callable, Dict

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
POSITIVE_WEIGHT = 10.0
"""Of a positive entry in `weighted_bce`, as in pairwise body-part attention (arXiv 1807.10889)."""


def lse_sign(logits: Tensor, targets: Tensor) -> Tensor:
    """
    Return DEFR's LSE-Sign, log(1 + sum_i exp(-y_i s_i)), y_i = 1 where targets is 1, else -1.

    logits, targets: (B, C). Its gradient is a softmax over violations: the worst class takes most
    of it. Computed in single precision whatever the logits' type; the logits are left as they
    are. Source: arXiv 2112.06392.
    """
    logits = logits.float()
    violations = torch.where(targets == 1, -logits, logits)
    return torch.cat([torch.zeros_like(violations[:, :1]), violations], 1).logsumexp(1)


def focal_entries(logits: Tensor, targets: Tensor, alpha: float = FOCAL_ALPHA,
                  gamma: float = FOCAL_GAMMA) -> Tensor:
    """Return the focal loss of every entry, (B, C) as given: alpha_t (1 - p_t)^gamma * BCE."""
    logits, positive = logits.float(), (targets == 1).float()
    miss = torch.where(targets == 1, torch.sigmoid(-logits), torch.sigmoid(logits))
    weight = alpha * positive + (1 - alpha) * (1 - positive)
    return weight * miss ** gamma * binary_cross_entropy_with_logits(logits, positive,
                                                                     reduction='none')


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the focal loss, summed over classes."""
    return focal_entries(logits, targets).sum(1)


def bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Return binary cross-entropy, summed over classes."""
    return binary_cross_entropy_with_logits(logits.float(), (targets == 1).float(),
                                            reduction='none').sum(1)


def weighted_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Return binary cross-entropy in which a positive weighs `POSITIVE_WEIGHT`, summed."""
    weight = logits.new_tensor(POSITIVE_WEIGHT, dtype=torch.float32)
    return binary_cross_entropy_with_logits(logits.float(), (targets == 1).float(),
                                            pos_weight=weight, reduction='none').sum(1)


LOSSES: Dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    'lse_sign': lse_sign, 'bce': bce, 'weighted_bce': weighted_bce, 'focal': focal}
