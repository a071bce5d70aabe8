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

"""Contrastive training of an open_clip model as a Lightning module."""

import json
from pathlib import Path
import random
from typing import List, Optional, Sequence

from hoi_perception.networks.region_readout import masked_class_tokens
from hoi_trainer.clip.data import ClipBatch
from hoi_trainer.clip.pairs import TEMPLATES
from hoi_trainer.detector.module import parameter_groups
from hoi_trainer.synthetic.people import PARTS
from hoi_trainer.synthetic.vocabulary import OBJECTS
from hoi_trainer.training.weights import read_weights
from lightning.pytorch import LightningModule
from open_clip.model import CLIP, resize_pos_embed
from open_clip.tokenizer import SimpleTokenizer
import torch
from torch import nn, Tensor
from torch.nn import functional


def build_model(config: dict) -> CLIP:
    """Return an untrained model of an open_clip configuration mapping."""
    return CLIP(**config)


def tokenise(texts: Sequence[str], context: int) -> Tensor:
    """Return (len(texts), context) int64 tokens of the stock CLIP vocabulary."""
    return SimpleTokenizer(context_length=context)(list(texts))


def visual_tokens(model: CLIP, images: Tensor, keep: Tensor = None) -> Tensor:
    """
    Return the tokens before the last block, (B, 1 + n, width), class token first.

    images: (B, 3, S, S) normalised. keep: (B, n) int64 patches to keep, all without it.
    """
    visual = model.visual
    patches = visual.conv1(images).flatten(2).transpose(1, 2)
    position = visual.positional_embedding.to(patches.dtype)
    patches = patches + position[1:]
    if keep is not None:
        patches = patches.gather(1, keep[..., None].expand(-1, -1, patches.shape[-1]))
    first = (visual.class_embedding.to(patches.dtype) + position[0]).expand(len(patches), 1, -1)
    x = visual.ln_pre(torch.cat((first, patches), dim=1))
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    return x


def region_features(model: CLIP, tokens: Tensor, regions: Tensor) -> Tensor:
    """Return unit-norm features (B, R, D) of the class token seeing only regions (B, R, n)."""
    visual = model.visual
    read = masked_class_tokens(visual.transformer.resblocks[-1], tokens, regions)
    return functional.normalize(visual.ln_post(read) @ visual.proj, dim=-1)


def contrastive_loss(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """
    Return the two-sided cross-entropy with several right answers per row and column.

    logits, truth: (R, K) read-outs against captions; truth marks what holds. weight: (R,).
    """
    goal = truth / truth.sum(1, keepdim=True).clamp(min=1.0)
    by_view = -(goal * logits.log_softmax(1)).sum(1)
    by_view = (by_view * weight).sum() / weight.sum().clamp(min=1.0)
    used = truth * weight[:, None]
    total = used.sum(0)
    masked = logits.masked_fill(weight[:, None] == 0, -1e4)
    by_text = -(used * masked.log_softmax(0)).sum(0) / total.clamp(min=1e-6)
    present = (total > 0).float()
    by_text = (by_text * present).sum() / present.sum().clamp(min=1.0)
    # The best by_text can be is log(positives); count it for less, it is the coarser signal.
    return by_view + 0.25 * by_text


class ClipModule(LightningModule):
    """
    A small CLIP and its training.

    model: path of an open_clip model config (JSON). image_size: side of its image in place of the
    config's. start_from: weights written by an earlier run, whose position embedding is resized
    if need be (half-size images teach most of it in a quarter of the time). patch_dropout:
    largest share of patches left out of a training view; the share is drawn anew for each batch,
    so that the class token copes with missing patches. content_weight: weight of two auxiliary
    losses that ask each patch token which objects and which parts of a body (hands and their
    shape, feet, the way a face is turned) the patch shows; without them a transformer of this
    size sees tens of thousands of pairs before it tells objects apart.
    """

    def __init__(self, model: str, learning_rate: float = 1e-3, weight_decay: float = 0.1,
                 patch_dropout: float = 0.5, image_size: Optional[int] = None,
                 start_from: Optional[str] = None, content_weight: float = 2.0) -> None:
        super().__init__()
        self.network_config = json.loads(Path(model).read_text())
        if image_size:
            self.network_config['vision_cfg']['image_size'] = image_size
        self.network = build_model(self.network_config)
        if start_from:
            state = read_weights(Path(start_from))[1]
            resize_pos_embed(state, self.network)
            self.network.load_state_dict(state)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.patch_dropout, self.content_weight = patch_dropout, content_weight
        self.content = nn.Linear(self.network.visual.class_embedding.shape[0], 1 + len(OBJECTS))
        self.parts = nn.Linear(self.network.visual.class_embedding.shape[0], len(PARTS))
        nn.init.constant_(self.parts.bias, -4.0)  # most patches show none
        self.tokens: List[Tensor] = []

    def on_fit_start(self) -> None:
        """Tokenise every caption in every template, once."""
        texts = self.trainer.datamodule.captions.texts
        self.tokens = [tokenise([template.format(text) for text in texts],
                                self.network.context_length).to(self.device)
                       for template in TEMPLATES]

    def text_features(self) -> Tensor:
        """Return unit-norm features (K, D) of all captions, each in a random template."""
        choice = torch.randint(len(TEMPLATES), (len(self.tokens[0]),), device=self.device)
        stacked = torch.stack(self.tokens)
        tokens = stacked[choice, torch.arange(len(choice), device=self.device)]
        return self.network.encode_text(tokens, normalize=True)

    def _kept_patches(self, count: int, patches: int) -> Tensor:
        share = 1 - random.uniform(0, self.patch_dropout)
        order = torch.rand(count, patches, device=self.device).argsort(1)
        return order[:, :max(int(patches * share), 1)]

    def loss(self, batch: ClipBatch, stage: str) -> Tensor:
        """Return the contrastive loss and log it with the share of right best captions."""
        keep, regions, weight = None, batch.regions, batch.weight
        content, parts = batch.content, batch.parts
        if stage == 'train' and self.patch_dropout > 0:
            keep = self._kept_patches(len(regions), regions.shape[-1])
            regions = regions.gather(2, keep[:, None].expand(-1, regions.shape[1], -1))
            weight = weight * (regions.sum(-1) > 0)
            content = content.gather(1, keep[..., None].expand(-1, -1, content.shape[-1]))
            parts = parts.gather(1, keep[..., None].expand(-1, -1, parts.shape[-1]))
        tokens = visual_tokens(self.network, batch.images, keep)
        views = region_features(self.network, tokens, regions).flatten(0, 1)
        texts = self.text_features()
        with torch.autocast(self.device.type, enabled=False):
            scale = self.network.logit_scale.exp().clamp(max=100.0)
            logits = scale * views.float() @ texts.float().T
            truth, weight = batch.truth.flatten(0, 1), weight.flatten()
            loss = contrastive_loss(logits, truth, weight)
            shown = self.content(tokens[:, 1:].float()).log_softmax(-1)
            content_loss = -(content * shown).sum(-1).mean()
            parts_loss = functional.binary_cross_entropy_with_logits(
                self.parts(tokens[:, 1:].float()), parts, reduction='none').sum(-1).mean()
        with torch.no_grad():
            right = truth.gather(1, logits.argmax(1, keepdim=True))[:, 0] > 0
            accuracy = (right * weight).sum() / weight.sum().clamp(min=1.0)
        self.log_dict({f'{stage}/loss': loss.detach(), f'{stage}/accuracy': accuracy,
                       f'{stage}/content': content_loss.detach(),
                       f'{stage}/parts': parts_loss.detach()}, batch_size=len(batch.images))
        return loss + self.content_weight * (content_loss + 2 * parts_loss)

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self.loss(batch, 'train')

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """Log the loss of a batch."""
        self.loss(batch, 'val')

    def configure_optimizers(self):
        """Return AdamW."""
        return torch.optim.AdamW(parameter_groups(self, self.weight_decay),
                                 lr=self.learning_rate, betas=(0.9, 0.98))
