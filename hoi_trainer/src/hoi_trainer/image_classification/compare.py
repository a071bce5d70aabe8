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
DEFR on the synthetic world: losses, starts, gamma, read-outs, box noise and the gate.

`hoi-trainer compare-defr CONFIG` runs each cell in a process of its own, skips what is done,
continues what was interrupted, and puts its results beside those of the other heads.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Tuple

from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.image_classification.cell import DefrCell, REFERENCES
from hoi_trainer.image_classification.claims import RULE, summary, verdicts
from hoi_trainer.image_classification.transfer import EXPONENTS
from hoi_trainer.interaction.data_module import SLOTS
from hoi_trainer.interaction.detections_cache import cached_detections, cached_images
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.training.grid import machine, merge_results, read_grid, run_grid

SECTION = 'defr'


@dataclass(frozen=True)
class Variant:
    """One row of the grid; `DefrCell` says what the fields mean. seconds: beside training."""

    settings: Dict[str, Any] = field(default_factory=dict)
    reference: str = ''
    readouts: Tuple[str, ...] = ()
    noise: Tuple[float, ...] = ()
    thresholds: Tuple[float, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class DefrComparison:
    """
    The grid as its YAML says.

    bundle, data (train/, val/ and test/ below it), cache, runs: directories; training: YAML of
    `fit`; output: JSON, of which the key `defr` is replaced. samples: training images seen per
    run, limit: to draw from. images_per_second: of training on one core.
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
    processes: int
    images_per_second: float

    def cells(self) -> List[DefrCell]:
        """Return every cell, seed by seed, so that early results compare."""
        return [self._cell(name, variant, seed) for seed in self.seeds
                for name, variant in self.variants.items()]

    def _cell(self, name: str, variant: Variant, seed: int) -> DefrCell:
        train, val, test = (f'{self.data}/{split}' for split in ('train', 'val', 'test'))
        return DefrCell(
            name, variant.settings, variant.reference, seed,
            0 if variant.reference else self.samples, self.batch_size, self.limit,
            variant.readouts, variant.noise, variant.thresholds, self.bundle, train, val, test,
            self.cache, self.training)

    def seconds(self, cell: DefrCell) -> float:
        """Return how long a cell should take on one core."""
        return cell.samples / self.images_per_second + self.variants[cell.variant].seconds


def read_comparison(path: Path, **changes: Any) -> DefrComparison:
    """Read the YAML; changes replace its values where they are not None. Raises `HoiError`."""
    def build(raw: Dict[str, Any]) -> DefrComparison:
        variants = {name: _variant(described or {})
                    for name, described in raw.pop('variants').items()}
        return DefrComparison(variants=variants, seeds=tuple(raw.pop('seeds')), **raw)

    return read_grid(path, 'DEFR', 'defr_grid.yaml', build, changes)


def _variant(raw: Dict[str, Any]) -> Variant:
    lists = {name: tuple(raw[name]) for name in ('readouts', 'noise', 'thresholds')
             if name in raw}
    variant = Variant(**{**raw, **lists})
    if variant.reference and (variant.reference not in REFERENCES or variant.settings
                              or variant.readouts or variant.thresholds):
        raise TypeError(f'reference {variant.reference!r} must be one of {REFERENCES}, and has '
                        'nothing but box noise to measure')
    return variant


def compare(plan: DefrComparison) -> Path:
    """Run what is missing and write the results; returns the path of the JSON."""
    bundle = Bundle.open(plan.bundle)

    def figure(result: dict) -> str:
        image = result.get('classification', {}).get('full')
        return (f'image mAP {image if image is None else round(image, 4)}, triplet mAP '
                f'{result["readouts"]["mask-1"]["triplet_map"]:.4f}')
    results = run_grid('hoi_trainer.image_classification.cell', plan.cells(),
                       Path(plan.runs) / bundle.model_id, plan.processes, plan.seconds,
                       lambda missing: _fill_caches(plan, bundle), figure)
    return _write(plan, results, bundle)


def _fill_caches(plan: DefrComparison, bundle: Bundle) -> None:
    """Make what several processes would otherwise wait for."""
    for split, limit in (('train', plan.limit), ('val', 0), ('test', 0)):
        dataset = open_dataset(Path(plan.data) / split, limit or None)
        cached_images(bundle, dataset, Path(plan.cache))
        if split != 'train':
            cached_detections(bundle, dataset, Path(plan.cache), SLOTS)


def _write(plan: DefrComparison, results: List[dict], bundle: Bundle) -> Path:
    return merge_results(Path(plan.output), {SECTION: {
        'heads': summary(results), 'directions': verdicts(results),
        'protocol': {
            'classification': 'hico_classification: mean over classes with positives of the '
                              '11-point AP over images; few@k: classes with 1 to k training '
                              'images',
            'triplets': 'hico_official mean AP over the (verb, object) classes with ground truth '
                        'in the test split, best 100 triplets per image',
            'score': 'probability * human score ** a * object score ** b; a and b are the best '
                     f'of {list(EXPONENTS)} each on the validation split, for every read-out and '
                     'reference',
            'noise': 'edges of the boxes that a head sees move by N(0, r * side); triplets keep '
                     'the true boxes, LAIN its queries; exponents are those without noise',
            'verdicts': RULE, 'seeds': list(plan.seeds), 'samples': plan.samples,
            'training_images': plan.limit, 'batch_size': plan.batch_size,
            'note': 'all runs of the grid are listed. The seeds of references draw the noise '
                    'only: their weights are those of the bundle'},
        'model': bundle.model_id, 'machine': machine(), 'runs': results}})
