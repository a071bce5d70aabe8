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

"""Instances and candidate pairs of a batch as tensors of fixed shape: what every head reads."""

from typing import NamedTuple, Optional, Sequence

from hoi_perception.core.pairs import bucket_for, Pairs
from hoi_perception.core.scene import Instances
from hoi_perception.runtime.preprocess import Placement, upload
import numpy as np
import torch
from torch import Tensor

_INSTANCE, _PAIR = 8, 3
MOST_INSTANCES = 30
"""As many as a frame has by default: 15 people and 15 objects (`PipelineOptions`)."""


class Chosen(NamedTuple):
    """
    The selected instances of one image and their pairs, on the host.

    instances: humans first, each side by falling score. queries: (N,) row of each among all
    detector queries of the batch (image by image), NONE for a box given from outside. placement:
    of the image in the head's network image.
    """

    instances: Instances
    pairs: Pairs
    queries: np.ndarray
    placement: Placement


class PairBatch(NamedTuple):
    """
    Instances (n of them) and candidate pairs (P) of a batch, padded to buckets, on the device.

    boxes: (B, n, 4) xyxy in pixels of the head's network image. scores: (B, n) in 0..1. labels:
    (B, n) int64 object index. box_mask: (B, n) bool, False for padding. queries: (B, n, D)
    detector feature, zeros where there is none. human, object: (B, P) int64 index into the
    instances, 0 for padding. mask: (B, P) bool.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    box_mask: Tensor
    queries: Tensor
    human: Tensor
    object: Tensor
    mask: Tensor

    @property
    def human_boxes(self) -> Tensor:
        """Return the (B, P, 4) boxes of the pairs' humans."""
        return self.boxes.gather(1, self.human[..., None].expand(-1, -1, 4))

    @property
    def object_boxes(self) -> Tensor:
        """Return the (B, P, 4) boxes of the pairs' objects."""
        return self.boxes.gather(1, self.object[..., None].expand(-1, -1, 4))

    @property
    def human_scores(self) -> Tensor:
        """Return the (B, P) scores of the pairs' humans."""
        return self.scores.gather(1, self.human)

    @property
    def object_scores(self) -> Tensor:
        """Return the (B, P) scores of the pairs' objects."""
        return self.scores.gather(1, self.object)

    @property
    def object_labels(self) -> Tensor:
        """Return the (B, P) object index of the pairs' objects."""
        return self.labels.gather(1, self.object)


def instance_bucket(count: int, buckets: Sequence[int]) -> int:
    """
    Return what the instances of a frame are padded to.

    All frames of default options share one size: instances cost next to nothing beside patches
    and pairs, whereas each size more is an engine more to build and to keep in memory.
    """
    return max(count, bucket_for(max(count, MOST_INSTANCES), buckets))


def pack_pairs(images: Sequence[Chosen], instances: int, pairs: int, queries: Optional[Tensor],
               query_dim: int, device: torch.device) -> PairBatch:
    """
    Pad every image's instances and pairs and move them to the device in one transfer.

    instances, pairs: sizes to pad to; nothing may be longer. queries: (B', K, D) of the detector,
    None where it did not run; they are picked on the device and never copied to the host.
    query_dim: D of the result; 0 leaves them out.
    """
    width = instances * _INSTANCE
    table = np.zeros((len(images), width + pairs * _PAIR), dtype=np.float32)
    for row, image in zip(table, images):
        _write(image, row[:width].reshape(instances, _INSTANCE),
               row[width:].reshape(pairs, _PAIR))
    at = upload(torch.from_numpy(table), device)
    things = at[:, :width].view(-1, instances, _INSTANCE)
    couples = at[:, width:].view(-1, pairs, _PAIR)
    mask = things[..., 6] > 0
    return PairBatch(
        things[..., :4].contiguous(), things[..., 4].contiguous(), things[..., 5].long(), mask,
        _picked(queries, things[..., 7].long(), mask, query_dim),
        couples[..., 0].long(), couples[..., 1].long(), couples[..., 2] > 0)


def _write(image: Chosen, things: np.ndarray, couples: np.ndarray) -> None:
    found, pair, source, placement = image
    things = things[:len(found)]
    things[:, :4] = placement.to_network(found.boxes)
    things[:, 4], things[:, 5], things[:, 6], things[:, 7] = found.scores, found.labels, 1, source
    couples = couples[:len(pair.human)]
    couples[:, 0], couples[:, 1], couples[:, 2] = pair.human, pair.object, 1


def _picked(queries: Optional[Tensor], rows: Tensor, mask: Tensor, query_dim: int) -> Tensor:
    if queries is None or query_dim == 0:
        return torch.zeros(*rows.shape, query_dim, device=rows.device)
    picked = queries.flatten(0, 1)[rows.clamp(min=0)]
    return picked * (mask & (rows >= 0))[..., None]
