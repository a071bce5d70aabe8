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
Seg2HOI on the synthetic world: counterpart attention, mask losses, zero-shot verbs, mask quality.

`hoi-trainer compare-seg2hoi CONFIG` runs each cell in a process of its own, skips what is done,
continues what was interrupted, and puts its results beside those of the other heads.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.interaction.data_module import SLOTS
from hoi_trainer.interaction.directions import RULE, verdict
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.set_prediction.cell import SetCell
from hoi_trainer.set_prediction.trunk_cache import cached_trunk
from hoi_trainer.training.grid import machine, merge_results, read_grid, run_grid
import numpy as np

SECTION = 'seg2hoi'
WHOLE, NO_RELATION, NO_MASKS, RANDOM = 'seg2hoi', 'no_relation', 'no_masks', 'random_text'
UNION_IOU = 0.75

Figures = Dict[str, Dict[int, float]]


@dataclass(frozen=True)
class Variant:
    """One row of the grid: arguments of the module, and the splits it is trained on."""

    splits: Tuple[str, ...]
    settings: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SetComparison:
    """
    The grid as its YAML says.

    bundle, data (train/ and test/ below it), cache, runs: directories; training: YAML of `fit`;
    output: JSON, of which the key `seg2hoi` is replaced. samples: training images seen per run,
    limit: to draw from, 0 = all. quadruplets: test scenes that pass the pipeline, for runs on
    'full'. images_per_second: of training on one core; test_seconds: of a run.
    """

    bundle: str
    data: str
    cache: str
    runs: str
    training: str
    output: str
    seeds: Tuple[int, ...]
    variants: Dict[str, Variant]
    samples: int
    limit: int
    batch_size: int
    quadruplets: int
    processes: int
    images_per_second: float
    test_seconds: float

    def cells(self) -> List[SetCell]:
        """Return every cell, seed by seed, so that early results compare."""
        return [SetCell(name, variant.settings, split, seed, self.samples, self.batch_size,
                        self.limit, self.quadruplets if split == 'full' else 0, self.bundle,
                        f'{self.data}/train', f'{self.data}/test', self.cache, self.training)
                for seed in self.seeds for name, variant in self.variants.items()
                for split in variant.splits]

    def seconds(self, cell: SetCell) -> float:
        """Return how long a cell should take on one core."""
        return self.samples / self.images_per_second + self.test_seconds


def read_comparison(path: Path, **changes: Any) -> SetComparison:
    """Read the YAML; changes replace its values where they are not None. Raises `HoiError`."""
    def build(raw: Dict[str, Any]) -> SetComparison:
        variants = {name: Variant(tuple(entry['splits']), entry.get('settings', {}))
                    for name, entry in raw.pop('variants').items()}
        return SetComparison(variants=variants, seeds=tuple(raw.pop('seeds')), **raw)

    return read_grid(path, 'Seg2HOI', 'seg2hoi_grid.yaml', build, changes)


def compare(plan: SetComparison) -> Path:
    """Run what is missing and write the results; returns the path of the JSON."""
    bundle = Bundle.open(plan.bundle)

    def prepare(missing: Sequence[SetCell]) -> None:
        for split, limit in (('train', plan.limit), ('test', 0)):
            cached_trunk(bundle, open_dataset(Path(plan.data) / split, limit or None),
                         Path(plan.cache), SLOTS)
    results = run_grid('hoi_trainer.set_prediction.cell', plan.cells(),
                       Path(plan.runs) / bundle.model_id, plan.processes, plan.seconds,
                       prepare,
                       lambda result: f'mAP {result["reports"]["instances"]["full"]:.4f}')
    return merge_results(Path(plan.output), {SECTION: {
        'heads': summary(results), 'directions': directions(results),
        'protocol': {
            'metric': 'hico_official mean AP over the (verb, object) classes with ground truth in '
                      'the test split, best 100 triplets per image; instances: pairs of the '
                      "trunk's instances, as the node publishes them; boxes: predicted boxes",
            'quadruplets': f'the whole pipeline on the first {plan.quadruplets} test scenes, '
                           'against exact masks',
            'verdicts': RULE, 'seeds': list(plan.seeds), 'samples': plan.samples,
            'limit': plan.limit, 'batch_size': plan.batch_size},
        'model': bundle.model_id, 'machine': machine(), 'runs': results}})


def figures(results: List[dict], split: str,
            read: Callable[[dict], Optional[float]]) -> Figures:
    """Return a figure by variant and seed on one split."""
    found: Figures = {}
    for result in results:
        cell, value = result['cell'], read(result)
        if cell['split'] == split and value is not None:
            found.setdefault(cell['variant'], {})[cell['seed']] = value
    return found


def directions(results: List[dict]) -> Dict[str, dict]:
    """Return a verdict per hypothesis of which both sides were run."""
    def full(result: dict) -> float:
        return result['reports']['instances']['full']

    def unseen(result: dict) -> Optional[float]:
        return result['reports']['instances']['unseen']

    def union(result: dict) -> Optional[float]:
        return result['quadruplets']['union_iou'] if 'quadruplets' in result else None

    found = {}
    for claim, split, read, other in (
            ('counterpart_attention_helps', 'full', full, NO_RELATION),
            ('mask_losses_help', 'full', full, NO_MASKS),
            ('text_helps_unseen_verbs', 'synthetic_uv', unseen, RANDOM)):
        by = figures(results, split, read)
        seeds = sorted(set(by.get(WHOLE, {})) & set(by.get(other, {})))
        if seeds:
            found[claim] = verdict([by[WHOLE][seed] - by[other][seed] for seed in seeds])
    fit = figures(results, 'full', union).get(WHOLE, {})
    if fit:
        found[f'union_iou_at_least_{UNION_IOU}'] = verdict(
            [value - UNION_IOU for value in fit.values()])
    return found


def summary(results: List[dict]) -> Dict[str, dict]:
    """Return mean and standard deviation over the seeds by variant, split and figure."""
    rows: Dict[str, Dict[str, Dict[str, List[float]]]] = {}
    for result in results:
        cell = result['cell']
        row = rows.setdefault(cell['variant'], {}).setdefault(cell['split'], {})
        named = {f'{kind}_{part}': report[part] for kind, report in result['reports'].items()
                 for part in ('full', 'seen', 'unseen') if report[part] is not None}
        named['union_iou_pseudo'] = result['union_iou_pseudo']
        named.update({name: value for name, value in result.get('quadruplets', {}).items()
                      if isinstance(value, float)})
        for name, value in named.items():
            row.setdefault(name, []).append(value)
    return {variant: {split: {name: {
        'mean': round(float(np.mean(values)), 5),
        'std': round(float(np.std(values, ddof=int(len(values) > 1))), 5)}
        for name, values in row.items()} for split, row in splits.items()}
        for variant, splits in rows.items()}
