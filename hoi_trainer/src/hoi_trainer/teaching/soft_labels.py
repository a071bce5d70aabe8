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
Which of the unlabelled pairs show what the teacher said about their image.

Source: arXiv 2410.15657, equations 11-14; the formulas are reconstructions. Where the teacher
says where, boxes decide (`association.pair_labels`). Ours: the softmax over the image's phrases
has the phrase of a pair that does nothing beside them, or an image with one phrase would give all
of its pairs the same label.
"""

from hoi_trainer.interaction.association import pair_labels
from hoi_trainer.teaching.text import PhraseTable, Taught
import torch
from torch import Tensor

LEAST = 0.5
"""Labels below this part of an interaction's best pair are none."""
HIDDEN = -1e4


def soft_labels(crops: Tensor, classes: Tensor, mask: Tensor, taught: Taught,
                table: PhraseTable) -> Tensor:
    """
    Return (B, P, K) labels in 0..1: how much a pair shows each interaction of its image.

    crops: (B, P, D) CLIP's features of the pairs' union boxes, unit norm. classes: (B, P) int64
    class of the pair's object. mask: (B, P) bool. Interactions with boxes are left at 0.
    """
    said = (taught.verbs >= 0) & taught.humans.isnan().any(-1)
    phrases = table.phrases[taught.verbs.clamp(min=0), taught.columns]
    raw = crops @ phrases.transpose(1, 2)
    idle = crops @ table.background[taught.columns].transpose(1, 2)
    counted = said[:, None]
    doing = torch.cat([torch.where(counted, raw, HIDDEN),
                       torch.where(_first(taught.columns, said)[:, None], idle, HIDDEN)], -1)
    verb = (table.scale * doing).softmax(-1)[..., :raw.shape[-1]]
    thing = _share(table.scale * crops @ table.objects[taught.things].transpose(1, 2),
                   _first(taught.things, said), taught.things)
    fits = table.fits[taught.things].gather(2, classes[:, None].expand(-1, raw.shape[-1], -1))
    fits = fits.transpose(1, 2) & mask[..., None]
    # Without any fitting pair the best one is kept, if it stands out from the others.
    shown = torch.where(mask[..., None], raw, HIDDEN)
    count = mask.sum(1)[:, None, None].clamp(min=1)
    mean = (raw * mask[..., None]).sum(1, keepdim=True) / count
    best = (shown == shown.amax(1, keepdim=True)) & (shown > mean + 1e-6)
    lost = ~fits.any(1, keepdim=True)
    labels = torch.where(lost, best.float(), verb * thing * fits)
    labels = labels / labels.amax(1, keepdim=True).clamp(min=1e-6)
    labels = torch.where((labels >= LEAST) & counted, labels, 0.0)
    return (labels * taught.confidence[:, None]).detach()


def boxed_labels(human_boxes: Tensor, object_boxes: Tensor, mask: Tensor, taught: Taught
                 ) -> Tensor:
    """
    Return (B, P, K) labels, 1 where a pair overlaps the boxes that the teacher gave.

    human_boxes, object_boxes: (B, P, 4) xyxy in pixels of the source.
    """
    number = torch.arange(taught.verbs.shape[1], device=mask.device).expand_as(taught.verbs)
    placed = (taught.verbs >= 0) & ~taught.humans.isnan().any(-1)
    shown = pair_labels(human_boxes, object_boxes, taught.humans, taught.objects,
                        torch.where(placed, number, -1), taught.verbs.shape[1])
    return shown * mask[..., None] * taught.confidence[:, None]


def _first(items: Tensor, said: Tensor) -> Tensor:
    """Return (B, K) bool: the first interaction of each item that is said."""
    same = (items[:, :, None] == items[:, None]) & said[:, None]
    return said & ~same.tril(-1).any(-1)


def _share(logits: Tensor, first: Tensor, items: Tensor) -> Tensor:
    """Return the (B, P, K) softmax over distinct items, equal items having equal shares."""
    # An item's share is that of its first interaction, all repeats read it there.
    leader = (items[:, :, None] == items[:, None]) & first[:, None]
    shares = torch.where(first[:, None], logits, HIDDEN).softmax(-1)
    return shares @ leader.float().transpose(1, 2)
