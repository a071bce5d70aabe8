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

"""What each kind of head makes of a batch: logits and probabilities of the prompt rows."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Callable, Union

from hoi_perception.core.errors import BundleError
from hoi_perception.core.scoring import row_probabilities, ScoringRule
from hoi_perception.networks.cl_hoi import ClHoi, ClHoiConfig
from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.networks.lain import Lain, LainConfig
from hoi_perception.networks.region_readout import RegionReadout
from hoi_perception.networks.rmlr import Rmlr, RmlrConfig
from hoi_trainer.interaction.class_and_boxes import ClassAndBoxes
from hoi_trainer.interaction.data import HeadBatch
from hoi_trainer.interaction.rows import PromptRows
from hoi_trainer.training.weights import read_weights
import torch
from torch import nn, Tensor
from torch.nn.attention import sdpa_kernel, SDPBackend


def lain_logits(network: Union[Lain, Rmlr, ClHoi], batch: HeadBatch, rows: PromptRows) -> Tensor:
    """Return (B, P, R) scaled cosines of pair features and prompts."""
    # On the CPU the fused attention is several times slower on so few tokens.
    on_cpu = batch.prior.device.type == 'cpu'
    with sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext():
        features = network(batch.inputs)
    return network.logit_scale.exp() * features @ rows.embeddings.T


def trained_network(weights: Path, trunk: ClipTrunk) -> nn.Module:
    """Return the head that `hoi-trainer fit` wrote, in evaluation mode."""
    config, state = read_weights(weights)
    kinds = {'lain': lambda: Lain(trunk, LainConfig.from_mapping(config['config'])),
             'rmlr': lambda: Rmlr(trunk, RmlrConfig.from_mapping(config['config'])),
             'cl_hoi': lambda: ClHoi(trunk, ClHoiConfig.from_mapping(config['config'])),
             'class_and_boxes': lambda: ClassAndBoxes(**config['config'])}
    if config.get('kind') not in kinds:
        raise BundleError(f'{weights} holds {config.get("kind")!r}, expected the weights of an '
                          f'interaction head: {", ".join(kinds)}.')
    network = kinds[config['kind']]().eval()
    network.load_state_dict(state)
    return network


def trained_scores(weights: Path, trunk: ClipTrunk,
                   rows: PromptRows) -> Callable[[HeadBatch], Tensor]:
    """Return what scores batches with the head that `hoi-trainer fit` wrote."""
    return partial(network_scores, trained_network(weights, trunk), rows)


def network_scores(network: nn.Module, rows: PromptRows, batch: HeadBatch) -> Tensor:
    """Return the (B, P, R) probabilities of a trained head."""
    if isinstance(network, ClassAndBoxes):
        return network(batch)[..., rows.verb_of_row].sigmoid()
    return lain_logits(network, batch, rows).sigmoid()


def readout(trunk: ClipTrunk, temperature: float,
            rows: PromptRows) -> Callable[[HeadBatch], Tensor]:
    """Return what scores batches with DEFR's training-free read-out."""
    return partial(readout_scores, trunk, temperature, rows)


def readout_scores(trunk: ClipTrunk, temperature: float, rows: PromptRows,
                   batch: HeadBatch) -> Tensor:
    """
    Return the (B, P, R) probabilities of DEFR's training-free read-out.

    Softmax over the pair's valid phrases and its background phrase, as at run time.
    """
    inputs = batch.inputs

    def of(index: Tensor) -> Tensor:
        return inputs.boxes.gather(1, index[..., None].expand(-1, -1, 4))

    features = RegionReadout(trunk)(trunk.tokens_before_last(inputs.images), of(inputs.human),
                                    of(inputs.object))
    labels = inputs.labels.gather(1, inputs.object)
    return row_probabilities(
        features, rows.embeddings, batch.valid, rows.background[labels],
        torch.ones_like(labels, dtype=torch.bool), ScoringRule(True, temperature, 1.0, 1.0))
