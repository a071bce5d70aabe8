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
Heads compared on the synthetic world: every variant, split and seed, and what the paper expects.

`hoi-trainer compare-heads CONFIG` runs each cell in a process of its own, skips what is done,
continues what was interrupted, and writes one JSON with every run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.interaction.cell import Cell, TRAINING_FREE
from hoi_trainer.interaction.data_module import SLOTS
from hoi_trainer.interaction.detections_cache import cached_detections, cached_images
from hoi_trainer.interaction.directions import directions, RULE, summary
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.training.grid import machine, merge_results, read_grid, run_grid


@dataclass(frozen=True)
class HeadGrid:
    """One head of the grid: class of the module, its arguments and what a run of it takes."""

    module: str
    settings: Dict[str, Any]
    samples: int
    images_per_second: float
    pictures: bool = True


@dataclass(frozen=True)
class Comparison:
    """
    The grid as its YAML says.

    bundle, data (train/ and test/ below it), cache, runs: directories; training: YAML of `fit`;
    output: JSON. limit: training images used, 0 = all. exponents: of the detector's scores; the
    first counts for trained heads, the training-free read-out is given its best.
    """

    bundle: str
    data: str
    cache: str
    runs: str
    training: str
    output: str
    seeds: Tuple[int, ...]
    splits: Tuple[str, ...]
    heads: Dict[str, HeadGrid]
    exponents: Tuple[float, ...]
    batch_size: int
    limit: int
    processes: int
    overhead_seconds: float

    def cells(self) -> List[Cell]:
        """Return every cell: split by split, seed by seed, so that early results compare."""
        found = [self._cell(TRAINING_FREE, HeadGrid('', {}, 0, 0.0), split, 0)
                 for split in self.splits]
        return found + [self._cell(name, head, split, seed) for seed in self.seeds
                        for split in self.splits for name, head in self.heads.items()]

    def _cell(self, name: str, head: HeadGrid, split: str, seed: int) -> Cell:
        return Cell(name, head.module, head.settings, split, seed, head.samples, self.batch_size,
                    head.pictures, self.exponents, self.bundle, f'{self.data}/train',
                    f'{self.data}/test', self.cache, self.training, self.limit)

    def seconds(self, cell: Cell) -> float:
        """Return how long a cell should take on one core."""
        rate = self.heads[cell.head].images_per_second if cell.head in self.heads else 0.0
        return self.overhead_seconds + (cell.samples / rate if rate else 0.0)


def read_comparison(path: Path, **changes: Any) -> Comparison:
    """Read the YAML; changes replace its values where they are not None. Raises `HoiError`."""
    def build(raw: Dict[str, Any]) -> Comparison:
        heads = {name: HeadGrid(**head) for name, head in raw.pop('heads').items()}
        lists = {name: tuple(raw.pop(name)) for name in ('seeds', 'splits', 'exponents')}
        return Comparison(heads=heads, **lists, **raw)

    return read_grid(path, 'heads', 'heads.yaml', build, changes)


def compare(plan: Comparison) -> Path:
    """Run what is missing and write the results; returns the path of the JSON."""
    bundle = Bundle.open(plan.bundle)
    results = run_grid('hoi_trainer.interaction.cell', plan.cells(),
                       Path(plan.runs) / bundle.model_id, plan.processes, plan.seconds,
                       lambda missing: _fill_caches(plan, bundle),
                       lambda result: f'mAP {_full(result):.4f}')
    return _write(plan, results, bundle)


def _fill_caches(plan: Comparison, bundle: Bundle) -> None:
    for split, limit in (('train', plan.limit), ('test', 0)):
        dataset = open_dataset(Path(plan.data) / split, limit or None)
        cached_detections(bundle, dataset, Path(plan.cache), SLOTS)
        cached_images(bundle, dataset, Path(plan.cache))


def _full(result: dict) -> float:
    return max(report['full'] for report in result['reports'].values())


def _write(plan: Comparison, results: List[dict], bundle: Bundle) -> Path:
    heads = summary(results, str(plan.exponents[0]))
    settings = {result['cell']['split']: result['setting'] for result in results}
    content = {
        'heads': heads, 'directions': directions(results, str(plan.exponents[0])),
        'protocol': {
            'metric': 'hico_official mean AP over the (verb, object) classes with ground truth in '
                      'the test split, best 100 triplets per image',
            'score': 'probability * (human score * object score) ** exponent; exponent '
                     f'{plan.exponents[0]} for trained heads, the better of '
                     f'{list(plan.exponents)} for {TRAINING_FREE}',
            'pairs_covered': results[0]['pairs_covered'], 'splits': settings,
            'verdicts': RULE, 'seeds': list(plan.seeds), 'batch_size': plan.batch_size,
            'samples': {name: head.samples for name, head in plan.heads.items()},
            'note': 'all runs of the grid are listed; every head sees the same cached detections '
                    'and pairs'},
        'model': bundle.model_id, 'machine': machine(), 'runs': results}
    return merge_results(Path(plan.output), content)
