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
One cell of the comparison of heads: a head on a split with a seed, trained and tested.

Run as a process of its own with the settings as JSON; whatever it prints goes to the cell's log.
"""

from dataclasses import asdict, dataclass
import json
from pathlib import Path
import sys
import time
from typing import Any, Dict, Tuple

from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.loading import load_clip
from hoi_trainer.interaction.data import HeadSplit
from hoi_trainer.interaction.data_module import SLOTS, VALIDATION_PAIRS
from hoi_trainer.interaction.evaluate import evaluate_scores
from hoi_trainer.interaction.rows import prompt_rows
from hoi_trainer.interaction.scores import readout, trained_scores
from hoi_trainer.interaction.sources import open_dataset, open_split
from hoi_trainer.training.command import run
from hoi_trainer.training.grid import fit_arguments, write_result
import torch

TRAINING_FREE = 'defr_training_free'


@dataclass(frozen=True)
class Cell:
    """
    What is trained and where.

    head: name in the comparison. module: Lightning class, '' for the training-free read-out.
    settings: its arguments. split: zero-shot setting. samples: training images seen. exponents:
    of the detector's scores, tried at the test; train, test: directories.
    """

    head: str
    module: str
    settings: Dict[str, Any]
    split: str
    seed: int
    samples: int
    batch_size: int
    pictures: bool
    exponents: Tuple[float, ...]
    bundle: str
    train: str
    test: str
    cache: str
    training: str
    limit: int

    @property
    def name(self) -> str:
        """Return the name of the cell's directory."""
        return f'{self.head}-{self.split}-{self.seed}'


def run_cell(cell: Cell, directory: Path) -> Dict[str, Any]:
    """Train, unless nothing is to be trained, and return the result of the test split."""
    torch.set_num_threads(1)
    started = time.monotonic()
    if cell.module:
        run(fit_arguments(cell, directory / 'head.safetensors', {
            'model.class_path': cell.module, 'data.init_args.val': cell.test,
            'data.init_args.zero_shot': cell.split, 'data.init_args.pictures': cell.pictures,
            'trainer.limit_val_batches': 0}))
    trained = time.monotonic()
    bundle = Bundle.open(cell.bundle)
    clip, trunk = load_clip(bundle, torch.device('cpu'))
    rows = prompt_rows(clip, bundle)
    dataset = open_dataset(Path(cell.test))
    split = HeadSplit(bundle, dataset, Path(cell.cache), SLOTS, VALIDATION_PAIRS,
                      pictures=cell.pictures)
    setting = open_split(cell.split, dataset)
    score = trained_scores(directory / 'head.safetensors', trunk, rows) if cell.module \
        else readout(trunk, float(clip.logit_scale.exp()), rows)
    reports = evaluate_scores(score, split, bundle, rows, cell.exponents, setting.unseen)
    return {'cell': asdict(cell), 'model': bundle.model_id, 'setting': setting.describe(),
            'pairs_covered': split.covered,
            'train_seconds': round(trained - started, 1),
            'test_seconds': round(time.monotonic() - trained, 1),
            'reports': {str(exponent): asdict(report) for exponent, report in reports.items()}}


def main(settings: str, directory: str) -> None:
    """Run the cell of a JSON text and write `result.json` whole."""
    raw = json.loads(settings)
    cell = Cell(**{**raw, 'exponents': tuple(raw['exponents'])})
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    write_result(path, run_cell(cell, path))


if __name__ == '__main__':
    main(*sys.argv[1:3])
