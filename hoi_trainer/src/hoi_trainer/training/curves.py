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

"""Training curves as a table and a picture, whole even where a run was interrupted."""

import csv
from pathlib import Path
from typing import Dict, List, Tuple

from lightning.pytorch import Callback

Curve = List[Tuple[int, float]]


class Curves(Callback):
    """
    Write `curves.csv` and `curves.png` at the end of training.

    The values are kept in checkpoints: a continued run draws those of its first part too, where
    Lightning's own CSV log starts a new file. directory: where to write. every: steps between
    points of the training metrics; validation metrics are all kept.
    """

    def __init__(self, directory: str, every: int = 10) -> None:
        self.directory, self.every = Path(directory), every
        self.curves: Dict[str, Curve] = {}

    def _record(self, trainer, prefix: str) -> None:
        for name, value in trainer.callback_metrics.items():
            if name.startswith(prefix):
                self.curves.setdefault(name, []).append((trainer.global_step, float(value)))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx: int) -> None:
        """Take a point of the training metrics."""
        if trainer.global_step % self.every == 0:
            self._record(trainer, 'train/')

    def on_validation_end(self, trainer, pl_module) -> None:
        """Take a point of the validation metrics."""
        if not trainer.sanity_checking:
            self._record(trainer, 'val/')

    def on_fit_end(self, trainer, pl_module) -> None:
        """Write both files."""
        if trainer.is_global_zero and self.curves:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_curves(self.curves, self.directory / 'curves.csv')
            draw_curves(self.curves, self.directory / 'curves.png')

    def state_dict(self) -> dict:
        """Return the points so far."""
        return {'curves': {name: list(curve) for name, curve in self.curves.items()}}

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on from the points of the first part."""
        self.curves = {name: list(curve) for name, curve in state_dict['curves'].items()}


def write_curves(curves: Dict[str, Curve], path: Path) -> None:
    """Write rows of metric, step and value."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['metric', 'step', 'value'])
        writer.writerows([name, step, repr(value)] for name in sorted(curves)
                         for step, value in curves[name])


def draw_curves(curves: Dict[str, Curve], path: Path) -> None:
    """Write a PNG with one panel per quantity; `train/loss` and `val/loss` share a panel."""
    from matplotlib.figure import Figure
    panels: Dict[str, List[str]] = {}
    for name in sorted(curves):
        panels.setdefault(name.split('/')[-1], []).append(name)
    figure = Figure(figsize=(6, 2.5 * len(panels)), layout='constrained')
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axis, (quantity, names) in zip(axes, panels.items()):
        for name in names:
            steps, values = zip(*curves[name])
            axis.plot(steps, values, label=name, marker='.' if len(steps) < 30 else '')
        axis.set(xlabel='step', ylabel=quantity)
        axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
