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

"""A perceptron on object class and geometry, and the numbers it sees."""

from typing import List

from hoi_perception.networks.pair_geometry import pair_geometry
from hoi_trainer.baselines.pairs import N_OBJECTS, N_VERBS, Pairs, validity
import torch
from torch import nn, Tensor
from torch.nn import functional


def geometry(pairs: Pairs) -> Tensor:
    """Return the 36 bounded numbers of `pair_geometry` (P, 36) float32."""
    humans, objects = (torch.from_numpy(boxes) for boxes in (pairs.humans, pairs.objects))
    return pair_geometry(humans, objects, *pairs.size)


def verb_loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the multi-label BCE over the verbs that go with the object; logits (P, verbs)."""
    keep = torch.from_numpy(validity()).to(labels.device)[labels]
    return functional.binary_cross_entropy_with_logits(logits.float()[keep], targets[keep])


class GeometryMlp(nn.Module):
    """Object one-hot and standardised geometry to verb logits; average, deviation: (36,)."""

    def __init__(self, average: Tensor, deviation: Tensor, width: int = 384) -> None:
        super().__init__()
        self.register_buffer('average', average)
        self.register_buffer('deviation', deviation)
        layers, size = [], N_OBJECTS + len(average)
        for _ in range(3):
            layers += [nn.Linear(size, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(0.1)]
            size = width
        self.layers = nn.Sequential(*layers, nn.Linear(size, N_VERBS))

    def standardised(self, numbers: Tensor) -> Tensor:
        """Return (B, 36) numbers with the mean 0 and the deviation 1 over the training pairs."""
        return (numbers - self.average) / self.deviation

    def forward(self, numbers: Tensor, labels: Tensor) -> Tensor:
        """Map (B, 36) and (B,) to (B, verbs)."""
        return self.layers(torch.cat(
            [self.standardised(numbers), functional.one_hot(labels, N_OBJECTS)], 1))

    def groups(self) -> List[dict]:
        """Return the parameters with their share of the learning rate."""
        return [{'params': self.parameters(), 'share': 1.0}]

    def loss(self, numbers: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of the verbs (B, verbs)."""
        return verb_loss(self(numbers, labels), labels, targets)
