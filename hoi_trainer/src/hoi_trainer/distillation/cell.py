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
One cell of RmLR's grid: a head trained and tested like any other, and its tokens compared.

Run as a process of its own with the settings as JSON; whatever it prints goes to the cell's log.
"""

import json
from pathlib import Path
import sys
from typing import Dict

from hoi_perception.networks.rmlr import Rmlr
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.loading import load_clip
from hoi_trainer.distillation.captured import captured
from hoi_trainer.distillation.module import RmlrModule, TaughtLainModule
from hoi_trainer.distillation.tokens import Groups, TokenSimilarity
from hoi_trainer.interaction.cell import Cell, run_cell
from hoi_trainer.interaction.data import HeadSplit
from hoi_trainer.interaction.data_module import SLOTS, VALIDATION_PAIRS
from hoi_trainer.interaction.rows import prompt_rows
from hoi_trainer.interaction.scores import network_scores, trained_network
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.training.grid import write_result
import torch

IMAGES = 32


@torch.inference_mode()
def measure_tokens(weights: Path, bundle: Bundle, data: Path, cache: Path) -> Dict[str, Groups]:
    """
    Return how alike the tokens of people in one place are, over a whole split.

    weights: an RmLR or LAIN head that `hoi-trainer fit` wrote. data: directory of the split.
    """
    clip, trunk = load_clip(bundle, torch.device('cpu'))
    network, rows = trained_network(weights, trunk), prompt_rows(clip, bundle)
    observed = (RmlrModule if isinstance(network, Rmlr) else TaughtLainModule).observed
    split = HeadSplit(bundle, open_dataset(data), cache, SLOTS, VALIDATION_PAIRS)
    similarity = TokenSimilarity(rows)
    for index in torch.arange(split.count).split(IMAGES):
        batch = split.batch(index, split.normalise(split.pixels(index)), rows)
        with captured(network, observed) as tokens:
            network_scores(network, rows, batch)
        similarity.add(batch, tokens)
    return similarity.report()


def plain(report: Dict[str, Groups]) -> dict:
    """Return the similarities as plain numbers for JSON."""
    return {name: {group: values._asdict() for group, values in groups.items()}
            for name, groups in report.items()}


def main(settings: str, directory: str) -> None:
    """Run the cell of a JSON text and write `result.json` whole."""
    raw = json.loads(settings)
    cell, path = Cell(**{**raw, 'exponents': tuple(raw['exponents'])}), Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    result = run_cell(cell, path)
    report = measure_tokens(path / 'head.safetensors', Bundle.open(cell.bundle), Path(cell.test),
                            Path(cell.cache))
    write_result(path, {**result, 'tokens': plain(report)})


if __name__ == '__main__':
    main(*sys.argv[1:3])
