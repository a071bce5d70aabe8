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

"""The scaled cosine classifier and what its rows begin as."""

from hoi_perception.networks.cosine_classifier import (
    CosineTextClassifier,
    fold_projection,
    GAMMA,
)
import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize


def test_logits_are_gamma_times_the_cosine_whatever_the_lengths():
    torch.manual_seed(0)
    rows, features = torch.randn(7, 12), torch.randn(2, 3, 12)
    classifier = CosineTextClassifier(rows, 30.0)
    expected = 30 * cosine_similarity(features[:, :, None], rows, dim=-1)
    torch.testing.assert_close(classifier(features), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(classifier(features * 100), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(CosineTextClassifier(rows * 9, 30.0)(features), expected,
                               atol=1e-5, rtol=1e-5)


def test_gamma_is_the_papers_and_stays_while_the_rows_are_trained():
    classifier = CosineTextClassifier(torch.randn(3, 4))
    assert pytest.approx(100.484, abs=1e-3) == GAMMA
    assert float(classifier.log_scale.exp()) == pytest.approx(GAMMA)
    assert [name for name, _ in classifier.named_parameters()] == ['weight']
    classifier(torch.randn(5, 4)).sum().backward()
    assert classifier.weight.grad.abs().sum() > 0


def test_half_precision_features_give_single_precision_logits():
    classifier = CosineTextClassifier(torch.randn(3, 4))
    assert classifier(torch.randn(2, 4).bfloat16()).dtype == torch.float32


def test_folded_rows_rank_features_as_the_projected_ones_are_ranked():
    torch.manual_seed(1)
    text, projection = normalize(torch.randn(5, 8), dim=-1), torch.randn(12, 8)
    features = torch.randn(4, 12)
    torch.testing.assert_close(features @ fold_projection(text, projection).T,
                               (features @ projection) @ text.T, atol=1e-5, rtol=1e-5)
