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
The criterion of Seg2HOI: verbs, classes, boxes and masks of matched queries, for every layer.

Weights are the specification's: those of CDN's and the H-Decoder's code for verbs, classes and
boxes, Mask-DINO's 5 and 5 for masks, half of that for intersections.
"""

from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Tuple

from hoi_perception.networks.seg2hoi import (
    mask_logits,
    Relations,
    rows_of,
    Seg2HoiInputs,
    Selected,
)
from hoi_perception.networks.seg2hoi_layers import centre_size, corners
from hoi_trainer.interaction.losses import focal_elements
from hoi_trainer.set_prediction.matcher import (
    assign,
    canonical,
    giou,
    matching_cost,
    VerbTargets,
)
from hoi_trainer.set_prediction.points import inside_either, PointSampling, read, sample_points
from hoi_trainer.set_prediction.targets import PairTargets
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


@dataclass(frozen=True)
class LossWeights:
    """
    Factor of each term; none: weight of the class of unmatched queries.

    boxes is the L1 distance of each of the two boxes, mask the cross-entropy at points.
    """

    verb: float = 2.0
    object: float = 1.0
    human: float = 1.0
    boxes: float = 2.5
    giou: float = 1.0
    mask: float = 5.0
    dice: float = 5.0
    intersection: float = 0.5
    none: float = 0.1
    alpha: float = 0.5
    gamma: float = 2.0


class MaskTargets(NamedTuple):
    """See `PseudoMasks`: (B, G, h, w) bool masks and (B, G) bool flags."""

    union: Tensor
    intersection: Tensor
    valid_union: Tensor
    valid_intersection: Tensor


@dataclass(frozen=True)
class SetCriterion:
    """The loss of a batch; human: the class that acts; masks: False leaves the mask terms out."""

    human: int
    weights: LossWeights = LossWeights()
    points: PointSampling = PointSampling()
    masks: bool = True

    def __call__(self, inputs: Seg2HoiInputs, chosen: Selected, layers: List[Relations],
                 verb_logits: List[Tensor], targets: PairTargets, verbs: VerbTargets,
                 masks: MaskTargets) -> Dict[str, Tensor]:
        """Return the weighted terms by name, summed over the layers; their sum is the loss."""
        total: Dict[str, Tensor] = {}
        for relations, logits in zip(layers, verb_logits):
            cost = matching_cost(inputs, chosen, relations, logits, targets, verbs)
            pair = assign(cost, chosen.humans)
            terms = {'verb': self.verb_loss(logits, chosen, pair, verbs),
                     **self.class_losses(relations, chosen, pair, targets),
                     **self.box_losses(relations, chosen, pair, targets)}
            if self.masks:
                terms.update(self.mask_losses(relations, inputs.pixels, pair, targets, masks))
            for name, value in terms.items():
                total[name] = total.get(name, 0.0) + value
        return total

    def verb_loss(self, logits: Tensor, chosen: Selected, pair: Tensor,
                  verbs: VerbTargets) -> Tensor:
        """Return the focal loss, per positive; unmatched queries should say nothing."""
        at, matched = pair.clamp(min=0), (pair >= 0)[..., None]
        goal = (rows_of(verbs.rows & verbs.valid, at) & matched).float()
        counted = torch.where(matched, rows_of(verbs.valid, at), verbs.seen)
        elements = focal_elements(logits, goal, self.weights.alpha, self.weights.gamma)
        elements = torch.where(counted & chosen.mask[..., None], elements, 0.0)
        return self.weights.verb * elements.sum() / goal.sum().clamp(min=1.0)

    def class_losses(self, relations: Relations, chosen: Selected, pair: Tensor,
                     targets: PairTargets) -> Dict[str, Tensor]:
        """Return the cross-entropy of object and human class over all real queries."""
        said = canonical(relations, chosen)
        matched, at = pair >= 0, pair.clamp(min=0)
        none = said.object_logits.shape[-1] - 1
        weight = torch.ones(none + 1, device=pair.device)
        weight[none] = self.weights.none
        without = matched & ~rows_of(targets.has_object(), at)
        label = torch.where(matched, rows_of(targets.labels, at), none)
        human = torch.where(matched, self.human, none)
        result = {}
        for name, logits, goal, counted, factor in (
                ('object', said.object_logits, label, chosen.mask & ~without,
                 self.weights.object),
                ('human', said.human_logits, human, chosen.mask, self.weights.human)):
            each = cross_entropy(logits.flatten(0, 1), goal.flatten(), weight, reduction='none')
            share = (weight[goal] * counted).sum().clamp(min=1e-6)
            result[name] = factor * (each * counted.flatten()).sum() / share
        return result

    def box_losses(self, relations: Relations, chosen: Selected, pair: Tensor,
                   targets: PairTargets) -> Dict[str, Tensor]:
        """Return L1 and GIoU of both boxes, per matched query."""
        said, at = canonical(relations, chosen), pair.clamp(min=0)
        matched = pair >= 0
        count = matched.sum().clamp(min=1)
        with_object = matched & rows_of(targets.has_object(), at)
        distance = overlap = relations.self_boxes.sum() * 0
        for boxes, truth, counted in ((said.human_boxes, targets.humans, matched),
                                      (said.object_boxes, targets.objects, with_object)):
            goal = rows_of(truth, at)
            distance = distance + ((boxes - centre_size(goal)).abs().sum(-1) * counted).sum()
            overlap = overlap + ((1 - giou(corners(boxes), goal)) * counted).sum()
        return {'boxes': self.weights.boxes * distance / count,
                'giou': self.weights.giou * overlap / count}

    def mask_losses(self, relations: Relations, pixels: Tensor, pair: Tensor,
                    targets: PairTargets, masks: MaskTargets) -> Dict[str, Tensor]:
        """Return cross-entropy and Dice loss of both masks where they are valid."""
        at, matched = pair.clamp(min=0), pair >= 0
        result = {}
        for name, embeddings, truth, valid, factor in (
                ('union', relations.union, masks.union, masks.valid_union, 1.0),
                ('intersection', relations.intersection, masks.intersection,
                 masks.valid_intersection, self.weights.intersection)):
            image, query = (matched & rows_of(valid, at)).nonzero(as_tuple=True)
            row = at[image, query]
            mask, dice = self._at_points(mask_logits(embeddings, pixels)[image, query],
                                         truth[image, row].float(), targets.humans[image, row],
                                         targets.objects[image, row])
            result[name] = factor * self.weights.mask * mask
            result[f'{name}_dice'] = factor * self.weights.dice * dice
        return result

    def _at_points(self, logits: Tensor, truth: Tensor, humans: Tensor,
                   objects: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the mean losses of (n, h, w) masks at points of their two boxes."""
        if not len(logits):
            return logits.sum(), logits.sum()
        points = sample_points(logits, humans, objects, self.points)
        counted = inside_either(points, humans, objects).float()
        said, goal = read(logits, points), read(truth, points)
        each = binary_cross_entropy_with_logits(said, goal, reduction='none') * counted
        mask = each.sum(1) / counted.sum(1).clamp(min=1)
        said, goal = said.sigmoid() * counted, goal * counted
        dice = 1 - (2 * (said * goal).sum(1) + 1) / (said.sum(1) + goal.sum(1) + 1)
        return mask.mean(), dice.mean()
