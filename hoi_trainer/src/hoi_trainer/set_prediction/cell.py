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
One cell of Seg2HOI's grid: a variant on a split with a seed, trained and tested.

Run as a process of its own with the settings as JSON; whatever it prints goes to the cell's log.
"""

from dataclasses import asdict, dataclass
import json
from pathlib import Path
import sys
import tempfile
import time
from typing import Any, Dict, List

from hoi_perception.networks.seg2hoi import mask_logits
from hoi_perception.runtime.bundle import Bundle, write_bundle
from hoi_perception.runtime.loading import load_clip
from hoi_trainer.interaction.export import read_head
from hoi_trainer.interaction.rows import prompt_rows
from hoi_trainer.interaction.sources import open_dataset, open_split
from hoi_trainer.set_prediction.data import SetSplit, verb_targets
from hoi_trainer.set_prediction.evaluate import (
    box_triplets,
    instance_triplets,
    mean_or_zero,
    read_set_head,
    SetEvaluation,
    union_overlap,
)
from hoi_trainer.set_prediction.matcher import assign, matching_cost
from hoi_trainer.set_prediction.module import random_rows
from hoi_trainer.set_prediction.quadruplets import evaluate_quadruplets
from hoi_trainer.training.command import run
from hoi_trainer.training.grid import fit_arguments, write_result
import torch
from torch import Tensor

BATCH = 32


@dataclass(frozen=True)
class SetCell:
    """
    What is trained and where.

    settings: arguments of `Seg2HoiModule`. split: zero-shot setting. samples: training images
    seen. quadruplets: test scenes that pass the whole pipeline, 0 = none. train, test:
    directories.
    """

    variant: str
    settings: Dict[str, Any]
    split: str
    seed: int
    samples: int
    batch_size: int
    limit: int
    quadruplets: int
    bundle: str
    train: str
    test: str
    cache: str
    training: str

    @property
    def name(self) -> str:
        """Return the name of the cell's directory."""
        return f'{self.variant}-{self.split}-{self.seed}'


def run_cell(cell: SetCell, directory: Path) -> Dict[str, Any]:
    """Train and return the result on the test split."""
    torch.set_num_threads(1)
    started = time.monotonic()
    weights = directory / 'head.safetensors'
    run(fit_arguments(cell, weights, {
        'data.init_args.val': cell.test, 'data.init_args.zero_shot': cell.split,
        'trainer.limit_val_batches': 0}))
    trained = time.monotonic()
    result = {'cell': asdict(cell), **test_head(cell, weights)}
    if cell.quadruplets:
        result['quadruplets'] = _quadruplets(cell, weights)
    return {**result, 'train_seconds': round(trained - started, 1),
            'test_seconds': round(time.monotonic() - trained, 1)}


@torch.inference_mode()
def test_head(cell: SetCell, weights: Path) -> Dict[str, Any]:
    """Return reports by instances and by boxes, and the fit of union masks to pseudo-labels."""
    bundle = Bundle.open(cell.bundle)
    network = read_set_head(weights)
    rows = prompt_rows(load_clip(bundle, torch.device('cpu'))[0], bundle)
    rows = random_rows(rows) if cell.settings.get('text') == 'random' else rows
    dataset = open_dataset(Path(cell.test))
    setting = open_split(cell.split, dataset)
    split = SetSplit(bundle, dataset, Path(cell.cache))
    tables = {'instances': instance_triplets, 'boxes': box_triplets}
    evaluations = {name: SetEvaluation(split, bundle, rows, setting.unseen) for name in tables}
    overlaps: List[Tensor] = []
    for index in torch.arange(split.count).split(BATCH):
        batch = split.batch(index, torch.device('cpu'))
        chosen, (last,) = network(batch.inputs)
        logits = network.verb_logits(last.features, rows.embeddings)
        for name, table in tables.items():
            evaluations[name].add_triplets(
                batch, table(batch, chosen, last, network.config.human), logits)
        cost = matching_cost(batch.inputs, chosen, last, logits, batch.targets,
                             verb_targets(batch.targets, rows))
        overlaps.append(union_overlap(batch, mask_logits(last.union, batch.inputs.pixels),
                                      assign(cost, chosen.humans)))
    return {'model': bundle.model_id, 'setting': setting.describe(),
            'reports': {name: asdict(each.report()) for name, each in evaluations.items()},
            'union_iou_pseudo': round(mean_or_zero(overlaps), 4),
            'weights': sum(p.numel() for p in network.parameters())}


def _quadruplets(cell: SetCell, weights: Path) -> Dict[str, Any]:
    """Return what the whole pipeline with this head reaches, by exact masks."""
    bundle = Bundle.open(cell.bundle)
    spec, state = read_head(weights)
    shared = {name: bundle.tensors(name) for name in ('detector.safetensors', 'clip.safetensors')}
    with tempfile.TemporaryDirectory() as directory:
        made = write_bundle(Path(directory) / 'bundle', bundle.spec.model_copy(
            update={'heads': {'seg2hoi': spec}}), {**shared, 'heads/seg2hoi.safetensors': state})
        return evaluate_quadruplets(made.path, Path(cell.test), limit=cell.quadruplets,
                                    device='cpu')


def main(settings: str, directory: str) -> None:
    """Run the cell of a JSON text and write its result."""
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    write_result(path, run_cell(SetCell(**json.loads(settings)), path))


if __name__ == '__main__':
    main(*sys.argv[1:3])
