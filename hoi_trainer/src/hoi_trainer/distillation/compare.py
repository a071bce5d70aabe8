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
RmLR on the synthetic world: re-mining, levels of text, and text for another head.

`hoi-trainer compare-rmlr CONFIG` runs each cell in a process of its own, skips what is done,
continues what was interrupted, and puts its results beside those of the other heads.
"""

from pathlib import Path
from typing import List, Sequence

from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.distillation.claims import verdicts
from hoi_trainer.interaction.cell import Cell
from hoi_trainer.interaction.compare import Comparison, read_comparison
from hoi_trainer.interaction.data_module import SLOTS
from hoi_trainer.interaction.detections_cache import cached_detections, cached_images
from hoi_trainer.interaction.directions import RULE, summary
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.training.grid import best_map, machine, merge_results, run_grid

__all__ = ['compare', 'read_comparison']

SECTION = 'rmlr'
CELL = 'hoi_trainer.distillation.cell'


def compare(plan: Comparison) -> Path:
    """Run what is missing and write the results; returns the path of the JSON."""
    bundle = Bundle.open(plan.bundle)

    def prepare(missing: Sequence[Cell]) -> None:
        for split, limit in (('train', plan.limit), ('test', 0)):
            dataset = open_dataset(Path(plan.data) / split, limit or None)
            cached_detections(bundle, dataset, Path(plan.cache), SLOTS)
            cached_images(bundle, dataset, Path(plan.cache))
    results = run_grid(CELL, [cell for cell in plan.cells() if cell.module],
                       Path(plan.runs) / bundle.model_id, plan.processes, plan.seconds, prepare,
                       best_map)
    return _write(plan, results, bundle)


def _write(plan: Comparison, results: List[dict], bundle: Bundle) -> Path:
    exponent = str(plan.exponents[0])
    return merge_results(Path(plan.output), {SECTION: {
        'heads': summary(results, exponent), 'directions': verdicts(results, exponent),
        'protocol': {
            'metric': 'hico_official mean AP over the (verb, object) classes with ground truth in '
                      'the test split, best 100 triplets per image',
            'score': f'probability * (human score * object score) ** {exponent}',
            'tokens': 'couples of people of different test images whose boxes overlap by 0.5 or '
                      'more: mean cosine and distance of their tokens, by verbs that are all '
                      'different or all the same',
            'verdicts': RULE, 'seeds': list(plan.seeds), 'batch_size': plan.batch_size,
            'samples': {name: head.samples for name, head in plan.heads.items()},
            'note': 'all runs of the grid are listed; every head sees the same cached detections '
                    'and pairs'},
        'model': bundle.model_id, 'machine': machine(), 'runs': results}})
