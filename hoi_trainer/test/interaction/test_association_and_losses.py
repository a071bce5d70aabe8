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

"""Tests of pair labels and of the loss where the official one breaks."""

from hoi_trainer.interaction.association import pair_labels
from hoi_trainer.interaction.losses import fused_logits, prior_fused_focal_loss
import pytest
import torch

A, B, FAR = [0.0, 0, 10, 10], [20.0, 0, 30, 10], [50.0, 50, 60, 60]


@pytest.mark.parametrize('human, thing, expected', [
    (A, B, [1, 0, 1]),                      # two annotations of the same pair
    (B, A, [0, 0, 0]),                      # the other way round is another pair
    ([0.0, 0, 10, 5], B, [1, 0, 1]),        # IoU of exactly one half counts
    ([0.0, 0, 10, 4.9], B, [0, 0, 0]),
    (A, FAR, [0, 0, 0])])
def test_a_pair_takes_every_class_of_annotations_that_both_its_boxes_cover(human, thing, expected):
    gt_human, gt_object = torch.tensor([A, A, A]), torch.tensor([B, B, B])
    labels = pair_labels(torch.tensor([human]), torch.tensor([thing]), gt_human, gt_object,
                         torch.tensor([0, 2, -1]), 3)
    assert labels.tolist() == [expected]


def test_one_annotation_labels_every_detection_that_covers_it():
    humans = torch.tensor([A, [0.5, 0, 10, 10], FAR])
    labels = pair_labels(humans, torch.tensor([B] * 3), torch.tensor([A]), torch.tensor([B]),
                         torch.tensor([1]), 2)
    assert labels[:, 1].tolist() == [1, 1, 0] and labels[:, 0].sum() == 0


def test_a_batch_gives_what_its_images_give():
    torch.manual_seed(0)
    boxes = torch.rand(4, 3, 6, 2, 2) * 20
    humans, objects, gt_h, gt_o = torch.cat(
        [boxes.min(-2).values, boxes.max(-2).values], -1)
    classes = torch.randint(-1, 3, (3, 6))
    batch = pair_labels(humans, objects, gt_h, gt_o, classes, 3)
    for i in range(3):
        assert torch.equal(batch[i], pair_labels(humans[i], objects[i], gt_h[i], gt_o[i],
                                                 classes[i], 3))


@pytest.mark.parametrize('prior', [0.0, 1e-30, 0.5, 1 - 2 ** -24, 1.0])
@pytest.mark.parametrize('logit', [-1e4, -95.0, 0.0, 20.0, 1e4])
@pytest.mark.parametrize('label', [0.0, 1.0])
def test_loss_and_gradient_are_finite_everywhere(prior, logit, label):
    x = torch.tensor([[logit]], requires_grad=True)
    loss = prior_fused_focal_loss(x, torch.tensor([[prior]]), torch.tensor([[label]]))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(x.grad).all()


def test_the_fused_logit_is_that_of_the_product():
    prior, logit = torch.tensor([0.2, 0.9, 1.0]), torch.tensor([1.0, -2.0, 3.0])
    torch.testing.assert_close(fused_logits(logit, prior).sigmoid(), prior * logit.sigmoid())


def test_a_batch_without_positives_has_a_finite_loss():
    x = torch.zeros(2, 3, requires_grad=True)
    loss = prior_fused_focal_loss(x, torch.full((2, 3), 0.5), torch.zeros(2, 3))
    loss.backward()
    assert torch.isfinite(loss) and loss > 0 and torch.isfinite(x.grad).all()


def test_what_is_not_valid_or_has_no_prior_changes_nothing():
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 5), (torch.rand(4, 5) > 0.7).float()
    prior, valid = torch.rand(4, 5), torch.rand(4, 5) > 0.3
    prior[0] = 0
    loss = prior_fused_focal_loss(logits, prior, labels, valid)
    hidden = ~valid | (prior == 0)
    changed = torch.where(hidden, torch.full_like(logits, 9.0), logits)
    turned = torch.where(hidden, 1 - labels, labels)
    torch.testing.assert_close(prior_fused_focal_loss(changed, prior, turned, valid), loss)
