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
The interaction heads of a bundle behind one class: images and pairs in, pair features out.

A head is chosen by the `kind` of its description. Whatever it looks at, its output is a unit-norm
feature per pair, which scoring compares with the text of the verbs.
"""

from copy import deepcopy
from typing import Any, Callable, Dict, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.cl_hoi import ClHoi, ClHoiConfig
from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.networks.lain import Lain, LainConfig, LainInputs
from hoi_perception.networks.region_readout import RegionReadout
from hoi_perception.networks.rmlr import Rmlr, RmlrConfig
from hoi_perception.runtime.bundle import Bundle, HeadSpec
from hoi_perception.runtime.loading import fill_weights
from hoi_perception.runtime.pair_batch import PairBatch
from torch import nn, Tensor


class PairHead(nn.Module):
    """
    What the interaction stage asks of a head.

    network: the module with the head's own weights. trunk: CLIP's image tower. feature_dim: length
    of its features and of the prompt rows they meet. query_dim, object_dim: length of the detector
    queries and of the objects' embeddings it reads, 0 = none. reads: the fields of `PairBatch`
    that it looks at, and `object_embeddings` where it does; what else it is given may be empty.
    """

    query_dim = object_dim = 0
    reads: Tuple[str, ...] = ()

    def __init__(self, trunk: ClipTrunk, network: nn.Module) -> None:
        super().__init__()
        self.trunk, self.network = trunk, network
        self.feature_dim: int = trunk.embed_dim

    def forward(self, images: Tensor, batch: PairBatch, object_embeddings: Tensor) -> Tensor:
        """
        Return (B, P, feature_dim) unit-norm features of the pairs.

        images: (B, 3, S, S) normalised CLIP images. object_embeddings: (objects + 1, D), last row
        for no object.
        """
        raise NotImplementedError


class RegionReadoutHead(PairHead):
    """DEFR's training-free read-out; patches are encoded once, pairs read them."""

    reads = ('boxes', 'human', 'object')

    def __init__(self, trunk: ClipTrunk, config: Dict[str, Any]) -> None:
        if config:
            raise ValueError(f'region_readout has no settings, got {sorted(config)}')
        super().__init__(trunk, RegionReadout(trunk))

    def forward(self, images: Tensor, batch: PairBatch, object_embeddings: Tensor) -> Tensor:
        """Return the features; see the base class."""
        features: Tensor = self.network(self.trunk.tokens_before_last(images), batch.human_boxes,
                            batch.object_boxes)
        return features


class DefrHead(PairHead):
    """DEFR's read-out on an image tower of its own, which was fine-tuned on labels of images."""

    reads = ('boxes', 'human', 'object')

    def __init__(self, trunk: ClipTrunk, config: Dict[str, Any]) -> None:
        if config:
            raise ValueError(f'defr has no settings, got {sorted(config)}')
        own = deepcopy(trunk)
        super().__init__(own, RegionReadout(own, projected=False))
        self.feature_dim = own.width

    def forward(self, images: Tensor, batch: PairBatch, object_embeddings: Tensor) -> Tensor:
        """Return the features; see the base class."""
        features: Tensor = self.network(self.trunk.tokens_before_last(images), batch.human_boxes,
                            batch.object_boxes)
        return features


class LainHead(PairHead):
    """LAIN; its patches depend on the boxes, so nothing is computed before the pairs are known."""

    reads = ('boxes', 'scores', 'labels', 'box_mask', 'queries', 'human', 'object',
             'object_embeddings')

    def __init__(self, trunk: ClipTrunk, config: Dict[str, Any]) -> None:
        settings = LainConfig.from_mapping(config)
        super().__init__(trunk, Lain(trunk, settings))
        self.query_dim, self.object_dim = settings.query_dim, settings.object_dim

    def forward(self, images: Tensor, batch: PairBatch, object_embeddings: Tensor) -> Tensor:
        """Return the features; see the base class."""
        features: Tensor = self.network(LainInputs(
            images, batch.boxes, batch.scores, batch.labels, batch.box_mask, batch.queries,
            batch.human, batch.object, batch.mask, object_embeddings))
        return features


class RmlrHead(PairHead):
    """RmLR; patches are encoded once, pairs look at them. Language is left behind in training."""

    reads = ('boxes', 'queries', 'human', 'object')

    def __init__(self, trunk: ClipTrunk, config: Dict[str, Any]) -> None:
        settings = RmlrConfig.from_mapping(config)
        super().__init__(trunk, Rmlr(trunk, settings))
        self.query_dim = settings.query_dim

    def forward(self, images: Tensor, batch: PairBatch, object_embeddings: Tensor) -> Tensor:
        """Return the features; see the base class."""
        features: Tensor = self.network(LainInputs(
            images, batch.boxes, batch.scores, batch.labels, batch.box_mask, batch.queries,
            batch.human, batch.object, batch.mask, object_embeddings))
        return features


class ClHoiHead(PairHead):
    """CL-HOI; the image is translated once, pairs look at it. Its teacher is left behind."""

    reads = ('boxes', 'box_mask', 'queries', 'human', 'object')

    def __init__(self, trunk: ClipTrunk, config: Dict[str, Any]) -> None:
        settings = ClHoiConfig.from_mapping(config)
        super().__init__(trunk, ClHoi(trunk, settings))
        self.query_dim = settings.query_dim

    def forward(self, images: Tensor, batch: PairBatch, object_embeddings: Tensor) -> Tensor:
        """Return the features; see the base class."""
        features: Tensor = self.network(LainInputs(
            images, batch.boxes, batch.scores, batch.labels, batch.box_mask, batch.queries,
            batch.human, batch.object, batch.mask, object_embeddings))
        return features


HEADS: Dict[str, Callable[[ClipTrunk, Dict[str, Any]], PairHead]] = {
    'region_readout': RegionReadoutHead, 'defr': DefrHead, 'lain': LainHead, 'rmlr': RmlrHead,
    'cl_hoi': ClHoiHead}


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
    return head.requires_grad_(False).eval().to(trunk.proj.device)
