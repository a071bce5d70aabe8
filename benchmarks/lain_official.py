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
The released LAIN code as callables with the weights of our head; nothing of it is kept here.

Its sources are those of a checkout of github.com/OreoChocolate/LAIN.
"""

from contextlib import contextmanager
import os
from pathlib import Path
import sys
from types import ModuleType, SimpleNamespace
from typing import Callable, Iterator, Tuple
from unittest import mock

from hoi_perception.networks.lain import Lain, LainInputs
from hoi_perception.networks.lain_adapters import take
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize

VERBS, SIDE = 117, 224
EXPONENT = 2.8
"""Of the detector's scores, as the released code has it."""
Outputs = Tuple[Tensor, Tensor]


@contextmanager
def official_sources(checkout: Path) -> Iterator[None]:
    """
    Make the released modules importable, and their hard-wired `.cuda()` do nothing.

    They expect to be imported from their own folder. `wandb`, which only training calls, is
    replaced by an empty module.
    """
    before = Path.cwd()
    with mock.patch.object(sys, 'path', [str(checkout.resolve()), *sys.path]), \
            mock.patch.object(torch.Tensor, 'cuda', lambda self, *_, **__: self), \
            mock.patch.dict(sys.modules, wandb=ModuleType('wandb')):
        os.chdir(checkout)
        try:
            import models.LAIN  # noqa: F401
        finally:
            os.chdir(before)
        yield


def official_encoder(head: Lain) -> nn.Module:
    """Return the released image encoder with the weights of our head."""
    from CLIP.clip import VisionTransformer
    trunk = head.trunk
    blocks = len(head.adapters)
    encoder = VisionTransformer(
        SIDE, trunk.patch[0], trunk.width, blocks, trunk.width // 64, trunk.embed_dim,
        args=SimpleNamespace(adapt_dim=head.config.adapter_dim, adapter_num_layers=1,
                             adapter_alpha=1.0))
    weights = dict(trunk.visual.state_dict())
    for name, value in head.adapters.state_dict().items():
        block, rest = name.split('.', 1)
        weights[f'transformer.resblocks.{block}.adaptermlp.{rest}'] = value
    encoder.load_state_dict(weights)
    return encoder.eval().requires_grad_(False)


def official_model(head: Lain, objects: Tensor, texts: Tensor, validity: Tensor) -> nn.Module:
    """
    Return the released model with our weights; it has no detector, whose results are given.

    objects: (81, d) embeddings. texts: (117, D) unit norm. validity: (117, 80) bool.
    """
    from models.LAIN import LAIN
    clip = nn.Module()
    clip.image_encoder = official_encoder(head)
    arguments = SimpleNamespace(
        dataset='hicodet', hyper_lambda=EXPONENT, adapt_dim=head.config.adapter_dim,
        use_insadapter=True, use_hotoken=True, use_prior=True, use_prompt=True)
    model = LAIN(arguments, nn.Module(), nn.Module(), clip, objects, human_idx=0,
                 num_classes=VERBS, object_class_to_target_class=[
                     column.nonzero()[:, 0].tolist() for column in validity.T])
    model.query_proj.load_state_dict(head.query_proj.state_dict())
    model.priors_downproj.load_state_dict(head.priors_downproj.state_dict())
    model.logit_scale_text.data.copy_(head.logit_scale)
    model.tp = texts
    return model.eval().requires_grad_(False)


def encoder_call(encoder: nn.Module, head: Lain, data: LainInputs) -> Callable[[], Tensor]:
    """Return a call of the released encoder that gives unit-norm pair features."""
    human, thing = data.human[0], data.object[0]
    prior = head.layout(data).prior[0]
    queries = torch.cat([take(data.queries, data.human), take(data.queries, data.object)], -1)
    tokens = head.query_proj(queries)[0]
    count, patches = len(human) + 1, prior.shape[0] * prior.shape[1]
    mask = torch.zeros(count + patches, count + patches, dtype=torch.bool)
    mask[:count, :count] = ~torch.eye(count, dtype=torch.bool)
    mask[-patches - 1:, :-patches - 1] = True

    def run() -> Tensor:
        found, _ = encoder(data.images, prior, tokens, mask, (data.boxes[0], human, thing))
        return normalize(found[:, :-1], dim=-1)
    return run


def official_stage(model: nn.Module, data: LainInputs) -> Callable[[], Outputs]:
    """Return a call that gives the logits (P, 117) and priors (2, P, 117) of the released code."""
    from models.LAIN import nested_tensor_from_tensor_list
    image, sizes = nested_tensor_from_tensor_list([data.images[0]]), torch.tensor([[SIDE, SIDE]])
    found = [{'boxes': data.boxes[0], 'scores': data.scores[0], 'labels': data.labels[0],
              'feat': data.queries[0]}]

    def run() -> Outputs:
        logits, prior, *_ = model.compute_sim_scores(found, image, model.get_prior(found, sizes))
        return logits[0], prior[0]
    return run
