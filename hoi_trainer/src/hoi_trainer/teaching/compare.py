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
CL-HOI on the synthetic world: steps of the chain, losses, teachers, detectors, supervision.

`hoi-trainer compare-cl-hoi CONFIG` runs each cell in a process of its own, skips what is done,
continues what was interrupted, and puts its results beside those of the other heads.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.interaction.data_module import SLOTS
from hoi_trainer.interaction.detections_cache import cached_detections, cached_images
from hoi_trainer.interaction.directions import RULE, summary
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.teaching.cell import TaughtCell
from hoi_trainer.teaching.claims import verdicts
from hoi_trainer.teaching.crops import cached_crops
from hoi_trainer.teaching.data_module import open_taught_split
from hoi_trainer.training.grid import best_map, machine, merge_results, read_grid, run_grid

SECTION = 'cl_hoi'
CELL = 'hoi_trainer.teaching.cell'


@dataclass(frozen=True)
class Student:
    """One row of the grid; samples None = the grid's, teacher None = the grid's."""

    settings: Dict[str, Any] = field(default_factory=dict)
    teacher: Optional[Dict[str, Any]] = None
    exact_boxes: bool = False
    samples: Optional[int] = None


@dataclass(frozen=True)
class TaughtComparison:
    """
    The grid as its YAML says.

    bundle, data (train/ and test/ below it), cache, runs: directories; training: YAML of `fit`;
    output: JSON, of which the key `cl_hoi` is replaced. teacher: class path and arguments. limit:
    training images, 0 = all. images_per_second: of training on one core; overhead_seconds: of
    start and test. pairs: per training image, as in the YAML of `fit`.
    """

    bundle: str
    data: str
    cache: str
    runs: str
    training: str
    output: str
    seeds: Tuple[int, ...]
    students: Dict[str, Student]
    teacher: Dict[str, Any]
    samples: int
    limit: int
    pairs: int
    exponent: float
    batch_size: int
    processes: int
    images_per_second: float
    overhead_seconds: float

    def cells(self) -> List[TaughtCell]:
        """Return every cell, seed by seed, so that early results compare."""
        return [TaughtCell(
            name, student.settings, student.teacher or self.teacher, student.exact_boxes, seed,
            student.samples or self.samples, self.batch_size, self.limit, self.exponent,
            self.bundle, f'{self.data}/train', f'{self.data}/test', self.cache, self.training)
            for seed in self.seeds for name, student in self.students.items()]

    def seconds(self, cell: TaughtCell) -> float:
        """Return how long a cell should take on one core."""
        return self.overhead_seconds + cell.samples / self.images_per_second


def read_comparison(path: Path, **changes: Any) -> TaughtComparison:
    """Read the YAML; changes replace its values where they are not None. Raises `HoiError`."""
    def build(raw: Dict[str, Any]) -> TaughtComparison:
        students = {name: Student(**(entry or {})) for name, entry in raw.pop('students').items()}
        return TaughtComparison(students=students, seeds=tuple(raw.pop('seeds')), **raw)

    return read_grid(path, 'CL-HOI', 'cl_hoi_grid.yaml', build, changes)


def compare(plan: TaughtComparison) -> Path:
    """Run what is missing and write the results; returns the path of the JSON."""
    bundle = Bundle.open(plan.bundle)
    results = run_grid(
        CELL, plan.cells(), Path(plan.runs) / bundle.model_id, plan.processes, plan.seconds,
        lambda missing: _fill_caches(plan, bundle, any(cell.exact_boxes for cell in missing)),
        best_map)
    return _write(plan, results, bundle)


def _fill_caches(plan: TaughtComparison, bundle: Bundle, exact: bool) -> None:
    """Detect, shrink and look at all pairs before the first run, so that no run waits."""
    for name, limit in (('train', plan.limit), ('test', 0)):
        directory = Path(plan.data) / name
        dataset = open_dataset(directory, limit or None)
        cached_detections(bundle, dataset, Path(plan.cache), SLOTS)
        cached_images(bundle, dataset, Path(plan.cache))
        for boxes in (None, directory)[:1 + exact] if name == 'train' else ():
            split = open_taught_split(bundle, dataset, Path(plan.cache), SLOTS, plan.pairs, boxes)
            cached_crops(bundle, split, Path(plan.cache))


def _write(plan: TaughtComparison, results: List[dict], bundle: Bundle) -> Path:
    exponent = str(plan.exponent)
    return merge_results(Path(plan.output), {SECTION: {
        'heads': summary(results, exponent), 'directions': verdicts(results, exponent),
        'protocol': {
            'metric': 'hico_official mean AP over the (verb, object) classes with ground truth in '
                      'the test split, best 100 triplets per image',
            'score': f'probability * (human score * object score) ** {exponent}',
            'labels': 'words of a captioner without boxes; annotation only in cl_hoi_supervised; '
                      'exact boxes: detections corrected in training and test',
            'verdicts': RULE, 'seeds': list(plan.seeds), 'batch_size': plan.batch_size,
            'samples': plan.samples, 'training_images': plan.limit,
            'note': 'all runs of the grid are listed'},
        'model': bundle.model_id, 'machine': machine(), 'runs': results}})
