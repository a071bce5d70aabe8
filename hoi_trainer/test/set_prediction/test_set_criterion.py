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

"""Matching, criterion, pseudo-label masks and suppression of the set prediction."""

from hoi_perception.networks.detection import Detections
from hoi_perception.networks.pair_geometry import box_iou
from hoi_perception.networks.seg2hoi import Relations, Seg2HoiInputs, Selected
from hoi_perception.networks.seg2hoi_layers import centre_size
from hoi_trainer.set_prediction.criterion import MaskTargets, SetCriterion
from hoi_trainer.set_prediction.data import SetBatch
from hoi_trainer.set_prediction.evaluate import union_overlap
from hoi_trainer.set_prediction.matcher import assign, matching_cost, NEVER, VerbTargets
from hoi_trainer.set_prediction.points import PointSampling, read, sample_points
from hoi_trainer.set_prediction.pseudo_masks import (
    inside_boxes,
    pack,
    pseudo_masks,
    unpack,
)
from hoi_trainer.set_prediction.targets import PairTargets
from hoi_trainer.set_prediction.triplet_nms import triplet_nms
import numpy as np
import pytest
import torch

ROWS, CLASSES, SIZE = 5, 3, (8, 8)
# A person on the left, two things beside; slot 3 is padding.
BOXES = torch.tensor([[[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 0.5], [0.5, 0.5, 1.0, 1.0],
                       [0.0, 0.0, 0.0, 0.0]]])
LABELS = torch.tensor([[0, 1, 2, 0]])
HUMANS = 2  # places of the human branch: the person and a null query


def _scene():
    """Return inputs, queries and the two pairs (person, thing 1), (person, thing 2)."""
    mask = LABELS.new_tensor([[1, 1, 1, 0]]).bool()
    pixels = torch.where(inside_boxes(BOXES[0, :3], *SIZE), 1.0, -1.0)[None]
    inputs = Seg2HoiInputs(torch.randn(1, 4, 6), BOXES, torch.tensor([[0.9, 0.8, 0.7, 0.0]]),
                           LABELS, mask, pixels)
    chosen = Selected(torch.tensor([[0, 3, 0, 1, 2]]),
                      torch.tensor([[True, False, True, True, True]]), HUMANS)
    targets = PairTargets(BOXES[:, [0, 0]], BOXES[:, [1, 2]], torch.tensor([[1, 2]]),
                          torch.zeros(1, 2, ROWS, dtype=torch.bool),
                          torch.ones(1, 2, dtype=torch.bool))
    rows = torch.zeros(1, 2, ROWS, dtype=torch.bool)
    rows[0, 0, 1] = rows[0, 1, 3] = True
    valid = torch.zeros(1, 2, ROWS, dtype=torch.bool)
    valid[0, 0, :3] = valid[0, 1, 2:] = True
    return inputs, chosen, targets, VerbTargets(rows, valid, torch.ones(ROWS, dtype=torch.bool))


def _masks(targets, valid=True):
    cells = inside_boxes(torch.cat([targets.humans, targets.objects], 1), *SIZE)
    union, flags = cells[:, :2] | cells[:, 2:], torch.full((1, 2), valid)
    return MaskTargets(union, union, flags, flags)


def _relations(inputs, chosen, perfect=True):
    """Return what an all-knowing network says: queries 0 and 3 of pair 0, query 4 of pair 1."""
    partner = torch.tensor([[1, 3, 3, 0, 0]]) if perfect else torch.tensor([[2, 3, 3, 2, 1]])
    own = inputs.boxes[0, chosen.index]
    pair = inputs.boxes[0, partner]
    logits = [torch.full((1, 5, CLASSES + 1), -9.0) for _ in range(2)]
    for place, (mine, other) in enumerate(zip(chosen.index[0], partner[0])):
        for table, label in zip(logits, (LABELS[0, mine], LABELS[0, other])):
            real = bool(chosen.mask[0, place]) and place != 2
            table[0, place, int(label) if real else CLASSES] = 9.0
    # Pixels say +-1 per instance; the sum of two of them is above -1 where one of the two is.
    union = torch.zeros(1, 5, CLASSES + 1)
    union[..., -1] = 10.0
    for place in (0, 3, 4):
        union[0, place, chosen.index[0, place]] = 10.0
        union[0, place, partner[0, place]] = 10.0
    parts = (torch.randn(1, 5, 4), *logits, centre_size(own), centre_size(pair), union,
             union.clone())
    return Relations(*(part.requires_grad_() for part in parts))


def _verb_logits(verbs):
    logits = torch.full((1, 5, ROWS), -9.0)
    logits[0, [0, 3], 1] = 9.0
    logits[0, 4, 3] = 9.0
    return logits.requires_grad_()


def _pairs(perfect=True):
    inputs, chosen, targets, verbs = _scene()
    relations = _relations(inputs, chosen, perfect)
    cost = matching_cost(inputs, chosen, relations, _verb_logits(verbs), targets, verbs)
    return cost, assign(cost, chosen.humans), inputs, chosen, targets, verbs, relations


def test_each_branch_answers_for_the_pairs_on_whose_side_its_queries_are():
    _, pair, *_ = _pairs()
    assert pair.tolist() == [[0, -1, -1, 0, 1]]


def test_a_person_with_two_objects_is_one_human_query_and_two_object_queries():
    _, pair, *_ = _pairs(perfect=False)
    human, things = pair[0, :HUMANS], pair[0, HUMANS:]
    assert (human >= 0).sum() == 1 and sorted(things[things >= 0].tolist()) == [0, 1]


def test_null_queries_never_match_and_padding_is_never_matched():
    cost, pair, inputs, chosen, targets, verbs, relations = _pairs()
    assert (cost[0, 1] >= NEVER).all() and pair[0, 1] == -1
    padded = targets._replace(mask=torch.tensor([[True, False]]))
    cost = matching_cost(inputs, chosen, relations, _verb_logits(verbs), padded, verbs)
    assert assign(cost, chosen.humans).tolist() == [[0, -1, -1, 0, -1]]


def test_assignment_minimises_the_sum_and_not_each_cost():
    cost = torch.tensor([[[1.0, 2.0], [1.1, 9.0]]])
    assert assign(cost, 2).tolist() == [[1, 0]]


def _terms(perfect=True, valid=True, **changes):
    _, _, inputs, chosen, targets, verbs, relations = _pairs(perfect)
    criterion = SetCriterion(0, points=PointSampling(64), **changes)
    return criterion(inputs, chosen, [relations] * 2, [_verb_logits(verbs)] * 2, targets, verbs,
                     _masks(targets, valid)), relations


def test_what_is_right_costs_nothing_and_what_is_wrong_costs():
    torch.manual_seed(0)
    right, wrong = _terms()[0], _terms(perfect=False)[0]
    for name in ('verb', 'object', 'human', 'boxes', 'giou'):
        assert float(right[name].detach()) < 0.01, name
    # Points are read between cells, where the best mask is in doubt as well.
    assert wrong['union'] > 2 * right['union'] and wrong['union_dice'] > right['union_dice']
    assert all(wrong[name] > right[name] + 0.1 for name in ('human', 'boxes', 'giou'))


def test_a_pair_without_masks_has_no_mask_loss_and_still_a_box_loss():
    terms, relations = _terms(perfect=False, valid=False)
    assert all(terms[name] == 0 for name in terms if 'union' in name or 'inter' in name)
    assert terms['boxes'] > 0.1
    sum(terms.values()).backward()
    assert relations.union.grad.abs().sum() == 0 and relations.pair_boxes.grad.abs().sum() > 0


def test_masks_can_be_left_out():
    assert not [name for name in _terms(masks=False)[0] if 'union' in name]


def test_an_image_without_annotated_pairs_teaches_only_that_nothing_happens():
    inputs, chosen, targets, verbs = _scene()
    relations = _relations(inputs, chosen)
    empty = targets._replace(mask=torch.zeros(1, 2, dtype=torch.bool))
    none = verbs._replace(rows=verbs.rows & False, valid=verbs.valid & False)
    terms = SetCriterion(0)(inputs, chosen, [relations], [_verb_logits(verbs)], empty, none,
                            _masks(targets))
    assert all(torch.isfinite(value) for value in terms.values())
    assert terms['boxes'] == 0 and terms['verb'] > 1


def test_a_pair_without_an_object_takes_no_part_in_object_terms():
    _, _, inputs, chosen, targets, verbs, relations = _pairs()
    bare = targets._replace(objects=torch.zeros_like(targets.objects))
    terms = SetCriterion(0, masks=False)(inputs, chosen, [relations], [_verb_logits(verbs)], bare,
                                         verbs, _masks(targets))
    (terms['object'] + terms['boxes']).backward()
    assert relations.pair_logits.grad[0, 0].abs().sum() == 0
    assert relations.pair_boxes.grad[0, 0].abs().sum() == 0
    assert relations.self_logits.grad[0, 3].abs().sum() > 0  # it is nobody's object now


def test_the_union_of_a_perfect_predictor_is_the_union_of_both_masks():
    _, pair, inputs, chosen, targets, _, relations = _pairs()
    logits = torch.einsum('bqm,bmhw->bqhw', relations.union[..., :-1], inputs.pixels)
    logits = logits + relations.union[..., -1][..., None, None]
    batch = SetBatch(inputs, targets, _masks(targets), torch.zeros(1))
    assert union_overlap(batch, logits, pair).tolist() == [1.0, 1.0, 1.0]


def _found(shift=0.0):
    """Return a trunk's output with one map per instance: a person, a cup, another cup."""
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 1.0], [0.5 + shift, 0.25, 0.9 + shift, 0.5],
                           [0.55, 0.3, 0.95, 0.55]]])
    maps = torch.where(inside_boxes(boxes[0], 16, 16), 1.0, -1.0)[None]
    return Detections(boxes, torch.tensor([[0.9, 0.8, 0.3]]), torch.tensor([[0, 2, 2]]),
                      torch.zeros(1, 3, 4), torch.eye(3)[None], maps)


def _labelled(found, human, thing, label=2):
    boxes = [torch.tensor([[box]], dtype=torch.float32) for box in (human, thing)]
    return pseudo_masks(found, *boxes, torch.tensor([[label]]), torch.tensor([[True]]), 0)


def test_touching_masks_have_a_contact_band_and_distant_ones_no_intersection():
    person, cup = [0.0, 0.0, 0.5, 1.0], [0.5, 0.25, 0.9, 0.5]
    near = _labelled(_found(), person, cup)
    maps = _found().prototypes[0] > 0
    assert torch.equal(near.union[0, 0], maps[0] | maps[1])
    assert near.valid_union.all() and near.valid_intersection.all() and near.contact.all()
    assert 4 <= int(near.intersection.sum()) < 20
    far = _labelled(_found(0.1), person, [0.6, 0.25, 1.0, 0.5])
    assert far.valid_union.all() and not far.valid_intersection.any()
    assert not far.intersection.any()


@pytest.mark.parametrize(('human', 'thing', 'label', 'valid'), [
    ([0, 0, 0.5, 1], [0.5, 0.25, 0.9, 0.5], 2, True),
    ([0, 0, 0.5, 1], [0.5, 0.25, 0.9, 0.5], 1, True),  # no such class: any class by overlap
    ([0.5, 0.25, 0.9, 0.5], [0, 0, 0.5, 1], 2, False),  # no person there
    ([0, 0, 0.5, 1], [0.8, 0.8, 1, 1], 2, False)])
def test_a_mask_needs_an_instance_on_both_sides(human, thing, label, valid):
    masks = _labelled(_found(), human, thing, label)
    assert bool(masks.valid_union) == valid and bool(masks.union.any()) == valid


def test_masks_survive_packing():
    masks = torch.rand(2, 3, 7, 9) > 0.5
    assert torch.equal(unpack(torch.from_numpy(pack(masks)), 7, 9), masks)


def test_points_lie_in_the_boxes_and_mostly_where_the_network_is_unsure():
    torch.manual_seed(0)
    logits = torch.full((1, 16, 16), 8.0)
    logits[0, :, 8:] = -8.0
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    points = sample_points(logits, boxes, boxes, PointSampling(200))
    near = (points[0, :, 0] - 0.5).abs() < 1.01 / 16
    assert points.shape == (1, 200, 2) and ((points >= 0) & (points <= 1)).all()
    assert near.float().mean() > 0.2  # 2 of 16 columns hold 0.125 of the image
    torch.testing.assert_close(read(logits, torch.tensor([[[0.1, 0.5]]])), torch.tensor([[8.0]]))


def _one_by_one(humans, objects, classes, scores):
    kept = []
    for i in np.argsort(-scores.numpy(), kind='stable'):
        product = [float(box_iou(humans[i], humans[j]) * box_iou(objects[i], objects[j]))
                   for j in kept if classes[i] == classes[j]]
        if scores[i] > 0 and max(product, default=0.0) <= 0.7:
            kept.append(int(i))
    return sorted(kept)


@pytest.mark.parametrize('seed', range(4))
def test_suppression_equals_the_loop_over_falling_scores(seed):
    dice = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, 3, 60, 2, generator=dice) * 0.1
    humans, objects = torch.cat([corner, corner + 0.5], -1)
    classes = torch.randint(0, 2, (3, 60), generator=dice)
    scores = (torch.rand(3, 60, generator=dice) - 0.1).clamp(min=0).mul(20).round() / 20
    keep = triplet_nms(humans, objects, classes, scores)
    for image in range(3):
        expected = _one_by_one(humans[image], objects[image], classes[image], scores[image])
        assert keep[image].nonzero()[:, 0].tolist() == expected
        assert 1 < len(expected) < 55
