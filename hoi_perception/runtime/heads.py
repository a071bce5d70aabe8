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
The interaction heads of a bundle behind one protocol: images and pairs in, pair features out.

A head is chosen by the `kind` of its description. Whatever it looks at, its output is a unit-norm
feature per pair, which scoring compares with the text of the verbs.
"""

from typing import Callable, Dict, Protocol

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.networks.lain import Lain, LainConfig, LainInputs
from hoi_perception.networks.region_readout import RegionReadout
from hoi_perception.runtime.bundle import Bundle, HeadSpec
from hoi_perception.runtime.loading import fill_weights
from hoi_perception.runtime.pair_batch import PairBatch
from hoi_perception.runtime.prompts import PromptSet
from torch import nn, Tensor


class PairHead(Protocol):
    """
    What the interaction stage asks of a head.

    network: the module, on the device. query_dim: length of the detector queries it reads, 0 =
    none. encode: (B, 3, S, S) normalised CLIP images to what is computed once per image.
    features: that and the pairs to (B, P, embed_dim) unit-norm features.
    """

    query_dim: int

    @property
    def network(self) -> nn.Module: ...

    def encode(self, images: Tensor) -> Tensor: ...

    def features(self, encoded: Tensor, batch: PairBatch, prompts: PromptSet) -> Tensor: ...


class RegionReadoutHead:
    """DEFR's training-free read-out; patches are encoded once, pairs read them."""

    query_dim = 0

    def __init__(self, trunk: ClipTrunk, config: Dict) -> None:
        if config:
            raise ValueError(f'region_readout has no settings, got {sorted(config)}')
        self.network = RegionReadout(trunk)

    def encode(self, images: Tensor) -> Tensor:
        return self.network.trunk.tokens_before_last(images)

    def features(self, encoded: Tensor, batch: PairBatch, prompts: PromptSet) -> Tensor:
        return self.network(encoded, batch.human_boxes, batch.object_boxes)


class LainHead:
    """LAIN; its patches depend on the boxes, so nothing is computed before the pairs are known."""

    def __init__(self, trunk: ClipTrunk, config: Dict) -> None:
        settings = LainConfig.from_mapping(config)
        self.network = Lain(trunk, settings)
        self.query_dim = settings.query_dim

    def encode(self, images: Tensor) -> Tensor:
        return images

    def features(self, encoded: Tensor, batch: PairBatch, prompts: PromptSet) -> Tensor:
        return self.network(LainInputs(
            encoded, batch.boxes, batch.scores, batch.labels, batch.box_mask, batch.queries,
            batch.human, batch.object, batch.mask, prompts.object_embeddings))


HEADS: Dict[str, Callable[[ClipTrunk, Dict], PairHead]] = {
    'region_readout': RegionReadoutHead, 'lain': LainHead}


def load_head(bundle: Bundle, name: str, trunk: ClipTrunk) -> PairHead:
    """Return the head with its weights on the trunk's device; raises `BundleError`."""
    spec: HeadSpec = bundle.spec.heads[name]
    try:
        head = HEADS[spec.kind](trunk, dict(spec.config))
    except (TypeError, ValueError, KeyError) as error:
        raise BundleError(f'{bundle.path}: head {name} cannot be built from its configuration: '
                          f'{error}') from error
    if spec.kind != 'region_readout':
        fill_weights(head.network, bundle, f'heads/{name}.safetensors')
    head.network.requires_grad_(False).eval().to(trunk.proj.device)
    return head
