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

"""From features to ranked triplets."""

from hoi_perception.core.scoring import (
    detector_prior,
    row_probabilities,
    ScoringRule,
    top_triplets,
)
import torch
from torch.nn.functional import normalize

SOFTMAX = ScoringRule(True, 10.0, 1.0, 1.0)
SIGMOID = SOFTMAX._replace(softmax=False)


def _case():
    torch.manual_seed(0)
    features = normalize(torch.randn(1, 3, 8), dim=-1)
    rows = normalize(torch.randn(4, 8), dim=-1)
    background = normalize(torch.randn(1, 3, 8), dim=-1)
    valid = torch.tensor([[[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]]).bool()
    return features, rows, valid, background, torch.ones(1, 3, dtype=torch.bool)


def test_softmax_runs_over_the_valid_phrases_and_the_background():
    features, rows, valid, background, with_background = _case()
    got = row_probabilities(features, rows, valid, background, with_background, SOFTMAX)
    logits = torch.stack([10 * features[0, 0] @ rows[0], 10 * features[0, 0] @ rows[1],
                          10 * features[0, 0] @ background[0, 0]])
    torch.testing.assert_close(got[0, 0, :2], logits.softmax(0)[:2])
    assert (got[~valid] == 0).all() and torch.isfinite(got).all()


def test_without_the_background_the_valid_phrases_share_everything():
    features, rows, valid, background, _ = _case()
    got = row_probabilities(features, rows, valid, background,
                            torch.zeros(1, 3, dtype=torch.bool), SOFTMAX)
    torch.testing.assert_close(got.sum(-1), torch.tensor([[1., 1., 0.]]))


def test_sigmoid_scores_every_phrase_by_itself():
    features, rows, valid, background, with_background = _case()
    got = row_probabilities(features, rows, valid, background, with_background, SIGMOID)
    torch.testing.assert_close(got, torch.sigmoid(10 * features @ rows.T) * valid)


def test_padding_pairs_never_win_and_the_best_comes_first():
    probabilities = torch.tensor([[[.5, .1], [.9, .8], [.2, .7]]])
    prior = detector_prior(torch.tensor([[1., 1., .5]]), torch.tensor([[1., 1., .5]]),
                           SOFTMAX._replace(human_exponent=2.0))
    ranked = top_triplets(probabilities, prior, torch.tensor([[True, False, True]]), 3)
    assert ranked.pair.tolist() == [[0, 0, 2]] and ranked.row.tolist() == [[0, 1, 1]]
    torch.testing.assert_close(ranked.scores, torch.tensor([[.5, .1, .7 * .125]]))


def test_asking_for_more_than_there_is_gives_what_there_is():
    ranked = top_triplets(torch.rand(2, 2, 3), torch.ones(2, 2), torch.ones(2, 2).bool(), 100)
    assert ranked.scores.shape == (2, 6)
