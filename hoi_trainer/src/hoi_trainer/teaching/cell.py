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
One cell of CL-HOI's grid: a student with a teacher and a seed, trained and tested.

Run as a process of its own with the settings as JSON; whatever it prints goes to the cell's log.
"""

from dataclasses import asdict, dataclass
import json
from pathlib import Path
import sys
import time
from typing import Any, Dict

from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.loading import load_clip
from hoi_trainer.interaction.data_module import SLOTS, VALIDATION_PAIRS
from hoi_trainer.interaction.evaluate import evaluate_scores
from hoi_trainer.interaction.rows import prompt_rows
from hoi_trainer.interaction.scores import trained_scores
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.teaching.data_module import open_taught_split
from hoi_trainer.training.command import run
from hoi_trainer.training.grid import fit_arguments, write_result
import torch

MODULE = 'hoi_trainer.teaching.module.ClHoiModule'


@dataclass(frozen=True)
class TaughtCell:
    """
    What is trained and where.

    settings: arguments of `ClHoiModule`. teacher: class path and arguments. exact_boxes: train
    and test on corrected detections. samples: training images seen; limit: images they are drawn
    from, 0 = all. exponent: of the detector's scores at the test. train, test: directories.
    """

    head: str
    settings: Dict[str, Any]
    teacher: Dict[str, Any]
    exact_boxes: bool
    seed: int
    samples: int
    batch_size: int
    limit: int
    exponent: float
    bundle: str
    train: str
    test: str
    cache: str
    training: str
    split: str = 'full'

    @property
    def name(self) -> str:
        """Return the name of the cell's directory."""
        return f'{self.head}-{self.seed}'


def run_cell(cell: TaughtCell, directory: Path) -> Dict[str, Any]:
    """Train and return the result of the test split."""
    torch.set_num_threads(1)
    started = time.monotonic()
    run(fit_arguments(cell, directory / 'head.safetensors', {
        'data.init_args.val': 'null', 'data.init_args.teacher': cell.teacher,
        'data.init_args.exact_boxes': cell.exact_boxes}))
    trained = time.monotonic()
    bundle, dataset = Bundle.open(cell.bundle), open_dataset(Path(cell.test))
    clip, trunk = load_clip(bundle, torch.device('cpu'))
    rows = prompt_rows(clip, bundle)
    split = open_taught_split(bundle, dataset, Path(cell.cache), SLOTS, VALIDATION_PAIRS,
                              Path(cell.test) if cell.exact_boxes else None)
    score = trained_scores(directory / 'head.safetensors', trunk, rows)
    reports = evaluate_scores(score, split, bundle, rows, (cell.exponent,))
    return {'cell': asdict(cell), 'model': bundle.model_id, 'pairs_covered': split.covered,
            'train_seconds': round(trained - started, 1),
            'test_seconds': round(time.monotonic() - trained, 1),
            'reports': {str(exponent): asdict(report) for exponent, report in reports.items()}}


def main(settings: str, directory: str) -> None:
    """Run the cell of a JSON text and write `result.json` whole."""
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    write_result(path, run_cell(TaughtCell(**json.loads(settings)), path))


if __name__ == '__main__':
    main(*sys.argv[1:3])
