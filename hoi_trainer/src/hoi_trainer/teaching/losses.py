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
Four losses that tie what was said about images to pairs that nobody labelled.

Source: arXiv 2410.15657, equations 5-16, whose formulas are reconstructed in the specification.
All cosines are between unit vectors and multiplied by `scale`, 1 / tau.
"""

from typing import NamedTuple, Optional

from hoi_trainer.distillation.phrases import NOBODY
from hoi_trainer.interaction.losses import ALPHA, fused_logits, GAMMA
from hoi_trainer.teaching.text import PhraseTable
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize, softplus

HIDDEN = -1e4
SMOOTH_ABOVE, SMOOTH_TEMPERATURE = 8, 0.07
"""Best matches among more items are means weighted by a softmax, so that all items learn."""


class Batch(NamedTuple):
    """
    Everything that the losses read of B images, batch first, so that it can be gathered.

    features: (B, P, D) unit norm. context: (B, C, D) context tokens. mask: (B, P) bool. prior:
    (B, P) product of the detector's scores. classes: (B, P) int64 class of the pair's object.
    labels: (B, P, K) which interactions of the image a pair shows. verbs to word_mask: see
    `Taught`.
    """

    features: Tensor
    context: Tensor
    mask: Tensor
    prior: Tensor
    classes: Tensor
    labels: Tensor
    verbs: Tensor
    columns: Tensor
    negatives: Tensor
    caption: Tensor
    words: Tensor
    word_mask: Tensor


class ClHoiLosses(NamedTuple):
    """Scalars, 0 where nothing was said."""

    context: Tensor
    image_to_text: Tensor
    text_to_image: Tensor
    relation: Tensor


def best_match(cosines: Tensor, mask: Optional[Tensor] = None) -> Tensor:
    """Return the best of the last axis; more than `SMOOTH_ABOVE` items share it by a softmax."""
    hidden = cosines if mask is None else torch.where(mask, cosines, HIDDEN)
    if cosines.shape[-1] <= SMOOTH_ABOVE:
        return hidden.amax(-1)
    return ((hidden / SMOOTH_TEMPERATURE).softmax(-1) * cosines).sum(-1)


def context_loss(batch: Batch, scale: Tensor) -> Tensor:
    """Return eq. 7: the context tokens of an image resemble the words of its caption."""
    cosines = torch.einsum('akd,bld->abkl', normalize(batch.context, dim=-1), batch.words)
    words = batch.word_mask[None, :, None]
    to_text = best_match(cosines, words.expand_as(cosines)).mean(-1)
    count = batch.word_mask.sum(-1).clamp(min=1)
    to_image = (best_match(cosines.transpose(2, 3)) * batch.word_mask).sum(-1) / count
    spoken = (batch.caption != NOBODY) & batch.word_mask.any(-1)
    own = torch.eye(len(spoken), dtype=torch.bool, device=spoken.device)
    same = batch.caption[:, None] == batch.caption
    # A caption counts once: the first image that has it stands for the others.
    once = ~(same.tril(-1).any(-1)) & spoken
    first = _info_nce(scale * to_text, own, own | ~same & once)
    second = _info_nce((scale * to_image).T, own, own | ~same & spoken)
    return _mean((first + second) / 2, spoken)


def image_to_text_loss(batch: Batch, table: PhraseTable, scale: Tensor) -> Tensor:
    """Return eq. 8: the mean of an image's pairs prefers the verbs said to all other verbs."""
    weights = batch.mask[..., None].to(batch.features.dtype)
    mean = normalize((batch.features * weights).sum(1), dim=-1)
    cosines = (mean @ table.phrases.flatten(0, 1).T).unflatten(-1, table.phrases.shape[:2])
    # The phrase of every verb with the object of each interaction, (B, K, V).
    columns = batch.columns[:, :, None].expand(-1, -1, cosines.shape[1])
    logits = scale * cosines.gather(2, columns.transpose(1, 2)).transpose(1, 2)
    said = (batch.verbs >= 0) & batch.mask.any(1, keepdim=True)
    rivals = heard(batch, len(table.phrases)) & ~_own(batch, len(table.phrases))
    chosen = _one_of(batch.verbs, logits.shape[-1])
    each = _info_nce(logits, chosen, chosen | rivals[:, None])
    per_image = (each * said).sum(1) / said.sum(1).clamp(min=1)
    return _mean(per_image, said.any(1))


def text_to_image_loss(batch: Batch, table: PhraseTable, scale: Tensor) -> Tensor:
    """Return eq. 9: a phrase prefers the pairs of its image, negative verbs find none there."""
    exists = batch.mask.any(1)
    phrases = table.phrases[batch.verbs.clamp(min=0), batch.columns]
    best = scale * _best_pair(phrases, batch)
    said = (batch.verbs >= 0) & exists[:, None]
    own = torch.eye(len(exists), dtype=torch.bool, device=exists.device)[:, None]
    shows = _own(batch, len(table.phrases)).T[batch.verbs.clamp(min=0)]
    positive = _mean(_info_nce(best, own, own | ~shows & exists), said)
    absent = table.phrases[batch.negatives, batch.columns[:, :1].expand_as(batch.negatives)]
    found = torch.einsum('bmd,bpd->bmp', absent, batch.features)
    found = scale * torch.where(batch.mask[:, None], found, HIDDEN).amax(-1)
    return positive + _mean(softplus(found), said.any(1)[:, None].expand_as(found))


def relation_loss(batch: Batch, table: PhraseTable, scale: Tensor) -> Tensor:
    """
    Return eq. 16, fused with the detector's scores, divided by the sum of the labels.

    Every pair is asked about every verb that was heard in the batch, with its own object.
    """
    verbs = len(table.phrases)
    cosines = (batch.features @ table.phrases.flatten(0, 1).T).unflatten(
        -1, table.phrases.shape[:2])
    classes = batch.classes[..., None, None].expand(-1, -1, verbs, 1)
    logits = scale * cosines.gather(3, classes)[..., 0]
    chosen = _one_of(batch.verbs, verbs).to(batch.labels.dtype)
    labels = (batch.labels[..., None] * chosen[:, None]).amax(2)
    counted = (batch.mask & (batch.prior > 0))[..., None] & heard(batch, verbs)
    fused = fused_logits(logits.float(), batch.prior.float()[..., None])
    total = torch.where(counted, soft_focal_elements(fused, labels), 0.0).sum()
    return total / (labels * counted).sum().clamp(min=1.0)


def soft_focal_elements(logits: Tensor, targets: Tensor, alpha: float = ALPHA,
                        gamma: float = GAMMA) -> Tensor:
    """Return the focal loss of targets in 0..1; that of `focal_elements` for 0 and 1."""
    weight = targets * alpha + (1 - targets) * (1 - alpha)
    focus = ((targets - logits.sigmoid()).abs() + 1e-6) ** gamma
    return weight * focus * binary_cross_entropy_with_logits(logits, targets, reduction='none')


def heard(batch: Batch, verbs: int) -> Tensor:
    """Return (V,) bool: verbs said or drawn as negatives for any image of the batch."""
    return (_one_of(batch.verbs, verbs).flatten(0, 1).any(0)
            | _one_of(batch.negatives, verbs).flatten(0, 1).any(0))


def _one_of(verbs: Tensor, count: int) -> Tensor:
    """Return (..., V) bool, all False for padding."""
    return verbs[..., None] == torch.arange(count, device=verbs.device)


def _own(batch: Batch, verbs: int) -> Tensor:
    """Return (B, V) bool: verbs said about each image."""
    return _one_of(batch.verbs, verbs).any(1)


def _best_pair(phrases: Tensor, batch: Batch) -> Tensor:
    """Return (B, K, B') cosines of phrases (B, K, D) with the best pair of each image."""
    cosines = torch.einsum('bkd,jpd->bkjp', phrases, batch.features)
    return torch.where(batch.mask, cosines, HIDDEN).amax(-1)


def _info_nce(logits: Tensor, chosen: Tensor, counted: Tensor) -> Tensor:
    """Return -log of the chosen entry's softmax among the counted ones along the last axis."""
    own = torch.where(chosen, logits, HIDDEN).logsumexp(-1)
    return torch.where(counted, logits, HIDDEN).logsumexp(-1) - own


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return torch.where(counted, values, 0.0).sum() / counted.sum().clamp(min=1)
