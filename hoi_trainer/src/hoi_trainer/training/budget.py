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
A budget of minutes and samples that also drives the learning rate.

The schedule follows the share of the budget that is used up, whichever of time and samples is
further, so that a machine that is slow for an hour still ends with a cooled-down network.
"""

import math
import time
from typing import Any, Optional

from lightning.pytorch import Callback


def one_cycle(progress: float, warm_up: float = 0.05, floor: float = 0.01) -> float:
    """Return the factor of the learning rate at a progress of 0..1: linear rise, cosine fall."""
    if progress < warm_up:
        return max(progress / warm_up, floor)
    fall = (min(progress, 1.0) - warm_up) / (1 - warm_up)
    return floor + (1 - floor) * (1 + math.cos(math.pi * fall)) / 2


class Budget(Callback):
    """
    Stop after `minutes` of training or `samples`, and set the learning rate on the way.

    Time and samples used are kept in checkpoints: a resumed run has only the rest left.
    """

    def __init__(self, minutes: Optional[float] = None, samples: Optional[int] = None,
                 warm_up: float = 0.05, report_every: int = 100) -> None:
        if not minutes and not samples:
            raise ValueError('a training budget needs minutes, samples or both')
        self.minutes, self.samples, self.warm_up = minutes, samples, warm_up
        self.report_every = report_every
        self.seconds_used, self.samples_used = 0.0, 0
        self._last: Optional[float] = None

    @property
    def progress(self) -> float:
        """Return the used share of the budget, 0 to 1."""
        by_time = self.seconds_used / (60 * self.minutes) if self.minutes else 0.0
        by_samples = self.samples_used / self.samples if self.samples else 0.0
        return min(max(by_time, by_samples), 1.0)

    def steps(self, batch_size: int) -> Optional[int]:
        """Return the steps of a whole run with that many samples each, None if time decides."""
        return math.ceil(self.samples / batch_size) if self.samples else None

    def on_train_start(self, trainer, pl_module) -> None:
        """Start the clock."""
        self._last = time.monotonic()

    def on_train_batch_start(self, trainer, pl_module, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of this step."""
        factor = one_cycle(self.progress, self.warm_up)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group['lr'] = group.setdefault('peak_lr', group['lr']) * factor

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx: int) -> None:
        """Count what was used and stop when nothing is left."""
        now = time.monotonic()
        self.seconds_used += now - self._last
        self._last = now
        if self.minutes and trainer.world_size > 1:
            # One clock for all: processes that stop a step apart wait for each other for ever.
            self.seconds_used = trainer.strategy.broadcast(self.seconds_used)
        self.samples_used += trainer.world_size * trainer.datamodule.batch_size
        if trainer.is_global_zero and trainer.global_step % self.report_every == 0:
            rate = self.samples_used / max(self.seconds_used, 1e-6)
            metrics = ' '.join(f'{name.split("/")[-1]} {float(value):.3f}' for name, value
                               in trainer.callback_metrics.items() if name.startswith('train/'))
            print(f'{type(pl_module).__name__} {100 * self.progress:.1f} % '
                  f'step {trainer.global_step} {rate:.0f} samples/s {metrics}', flush=True)
        if self.progress >= 1.0:
            trainer.should_stop = True

    def state_dict(self) -> dict:
        """Return what was used."""
        return {'seconds_used': self.seconds_used, 'samples_used': self.samples_used}

    def load_state_dict(self, state_dict: dict) -> None:
        """Continue from what was used before."""
        self.seconds_used = state_dict['seconds_used']
        self.samples_used = state_dict['samples_used']
