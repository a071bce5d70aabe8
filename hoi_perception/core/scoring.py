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
From pair features to scored triplets, as tensors of fixed shape.

A row is one phrase ('a person riding a bicycle'). Every object has a background phrase ('a person
and a bicycle'), which takes part in the softmax and is never a triplet by itself.
"""

from typing import NamedTuple, Optional, Union

import torch
from torch import Tensor

NEVER = -1e30
"""Stands for minus infinity where a row must not win, and keeps softmax of nothing finite."""


class ScoringRule(NamedTuple):
    """
    How logits become probabilities and meet the detector's scores.

    softmax: over the pair's valid phrases and its background phrase; otherwise sigmoid (DEFR).
    temperature: factor on the cosine. human_exponent, object_exponent: powers a, b of
    p * s_h^a * s_o^b (common practice 2.8, DEFR 6-7 and 3); numbers, or tensors of one element.
    """

    softmax: bool
    temperature: float
    human_exponent: Union[float, Tensor]
    object_exponent: Union[float, Tensor]


class Ranked(NamedTuple):
    """Best (pair, row) entries: scores (B, K) with 0 for padding, pair and row (B, K) int64."""

    scores: Tensor
    pair: Tensor
    row: Tensor


def row_probabilities(features: Tensor, rows: Tensor, valid: Tensor, background: Tensor,
                      background_valid: Tensor, rule: ScoringRule) -> Tensor:
    """
    Return the (B, P, R) probability of every phrase for every pair, 0 where it is not valid.

    features: (B, P, D) unit norm. rows: (R, D) unit norm, padding rows zero. valid: (B, P, R)
    bool, the phrase goes with the pair's object. background: (B, P, D) the object's background
    phrase.
    background_valid: (B, P) bool, False where a row already says the same.
    """
    logits = rule.temperature * features @ rows.T
    if not rule.softmax:
        return torch.sigmoid(logits) * valid
    nothing = rule.temperature * (features * background).sum(-1, keepdim=True)
    nothing = nothing.masked_fill(~background_valid[..., None], NEVER)
    logits = torch.cat([logits.masked_fill(~valid, NEVER), nothing], -1)
    return logits.softmax(-1)[..., :-1] * valid


def detector_prior(human_scores: Tensor, object_scores: Tensor, rule: ScoringRule) -> Tensor:
    """Return s_h^a * s_o^b, shape as given; scores are in 0..1."""
    return human_scores.pow(rule.human_exponent) * object_scores.pow(rule.object_exponent)


def top_triplets(probabilities: Tensor, prior: Tensor, pair_mask: Tensor, count: int) -> Ranked:
    """
    Return the `count` best (pair, row) entries per image, best first.

    probabilities: (B, P, R). prior: (B, P). pair_mask: (B, P) bool, False for padding. Where fewer
    entries exist than asked for, `count` is the number of entries.
    """
    scores = probabilities * (prior * pair_mask)[..., None]
    rows = scores.shape[-1]
    best = scores.flatten(1).topk(min(count, scores[0].numel()), dim=1)
    return Ranked(best.values, best.indices // rows, best.indices % rows)


def cosine_logits(features: Tensor, weight: Tensor, log_scale: Tensor,
                  mixing: Optional[Tensor] = None, normalise_features: bool = True) -> Tensor:
    """
    Return DEFR's scaled cosine exp(log_scale) * x.w / (|x| |w|), shape (n, classes).

    features: (n, D). weight: (classes, D). mixing: (classes, classes) matrix that recombines the
    rows before they are normalised (the 'i-' classifiers). Source: arXiv 2112.06392 section 3,
    including the released code's rule that features stay as they are when its scale is 0.
    """
    rows = weight if mixing is None else mixing @ weight
    rows = rows / rows.norm(dim=-1, keepdim=True)
    if normalise_features:
        features = features / features.norm(dim=-1, keepdim=True)
    logits: Tensor = log_scale.exp() * features @ rows.T
    return logits
