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

"""The baseline without eyes: what object class and boxes alone say about the verb."""

from typing import Sequence

from hoi_perception.networks.pair_geometry import NUMBERS, pair_geometry
from hoi_trainer.interaction.data import HeadBatch
import torch
from torch import nn, Tensor
from torch.nn.functional import one_hot


class ClassAndBoxes(nn.Module):
    """
    What can be said without looking: object class, both boxes and both scores to verbs.

    The floor that a head with eyes has to clear. A perceptron gives one logit per verb of the
    vocabulary, so that unseen combinations of seen verbs and objects get a score. size: (height,
    width) of the image that the boxes lie in.
    """

    def __init__(self, objects: int, verbs: int, size: Sequence[int],
                 hidden: int = 128) -> None:
        super().__init__()
        self.objects, self.size = objects, tuple(size)
        self.layers = nn.Sequential(
            nn.LayerNorm(NUMBERS), nn.Linear(NUMBERS, hidden), nn.ReLU())
        self.judge = nn.Sequential(
            nn.Linear(hidden + objects + 2, hidden), nn.ReLU(), nn.Linear(hidden, hidden),
            nn.ReLU(), nn.Linear(hidden, verbs))

    def forward(self, batch: HeadBatch) -> Tensor:
        """Return (B, P, verbs) logits."""
        inputs = batch.inputs

        def of(values: Tensor, index: Tensor) -> Tensor:
            return values.gather(1, index[..., None].expand(*index.shape, values.shape[-1]))

        humans, objects = of(inputs.boxes, inputs.human), of(inputs.boxes, inputs.object)
        geometry = self.layers(pair_geometry(humans, objects, self.size[1], self.size[0]))
        labels = one_hot(inputs.labels.gather(1, inputs.object), self.objects)
        scores = torch.stack([inputs.scores.gather(1, inputs.human),
                              inputs.scores.gather(1, inputs.object)], -1)
        return self.judge(torch.cat([geometry, labels.to(geometry.dtype), scores], -1))
