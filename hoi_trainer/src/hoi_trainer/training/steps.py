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
The order of training batches and their random numbers as functions of seed and step.

A run that was killed and continued then sees the batches, colours and dropout that it would have
seen anyway: nothing has to be kept in a checkpoint but the number of the step.
"""

from typing import Iterator, List

import numpy as np
import torch
from torch.utils.data import Sampler


class StepSampler(Sampler[List[int]]):
    """
    Batches of indices 0..count - 1, shuffled anew on every pass, without an incomplete batch.

    A batch may span two passes. steps: of the whole run, the sampler's length. first: the step to
    begin with (the length stays, because Lightning counts a resumed run from its start). rank,
    world: this process takes its share of every step's world * batch_size indices.
    """

    def __init__(self, count: int, batch_size: int, steps: int, first: int = 0, seed: int = 0,
                 rank: int = 0, world: int = 1) -> None:
        self.count, self.batch_size, self.steps = count, batch_size, steps
        self.first, self.seed, self.rank, self.world = first, seed, rank, world
        self._passes: dict = {}

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[List[int]]:
        for step in range(self.first, self.steps):
            yield self.batch(step)

    def batch(self, step: int) -> List[int]:
        """Return the indices of a step."""
        start = (step * self.world + self.rank) * self.batch_size
        return [int(self._order(place // self.count)[place % self.count])
                for place in range(start, start + self.batch_size)]

    def _order(self, number: int) -> np.ndarray:
        if number not in self._passes:
            self._passes = {key: order for key, order in self._passes.items() if key == number - 1}
            self._passes[number] = np.random.default_rng((self.seed, number)).permutation(
                self.count)
        return self._passes[number]


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Let torch's random numbers of a step depend on seed, step and process only."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0]))
