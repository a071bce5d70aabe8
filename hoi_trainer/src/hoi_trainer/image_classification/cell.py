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
One cell of the comparison: a classifier trained with one seed, or a head that is there already.

Run as a process of its own with the settings as JSON; whatever it prints goes to the cell's log.
"""

from dataclasses import asdict, dataclass
import json
from pathlib import Path
import sys
import time
from typing import Any, Dict, Mapping, Tuple

from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.heads import load_head
from hoi_perception.runtime.loading import load_clip
from hoi_trainer.image_classification.data_module import ImageSplit
from hoi_trainer.image_classification.evaluate import classification_report, image_logits
from hoi_trainer.image_classification.gate import gate_report
from hoi_trainer.image_classification.labels import open_labelled
from hoi_trainer.image_classification.network import read_classifier
from hoi_trainer.image_classification.transfer import (
    fit_exponents,
    MASK_1,
    open_pairs,
    pair_scores,
    Score,
    triplet_reports,
    with_noise,
)
from hoi_trainer.interaction.rows import prompt_rows
from hoi_trainer.interaction.scores import lain_logits, readout
from hoi_trainer.training.command import run
from hoi_trainer.training.grid import fit_arguments, write_result
import torch

LAIN, TRAINING_FREE = 'lain', 'training_free'
REFERENCES = (LAIN, TRAINING_FREE)


@dataclass(frozen=True)
class DefrCell:
    """
    What is trained or taken, and what is measured of it on the test split.

    variant: name in the comparison. settings: arguments of the Lightning module. reference: '' for
    a trained classifier, else a head of the bundle that is there already: `lain` or
    `training_free`. samples: training images seen. limit: training images to draw from. readouts:
    beside mask-1. noise: of boxes, see `transfer.noisy`; drawn with the seed. thresholds: of the
    gate. train, val, test: directories; exponents are fitted on val.
    """

    variant: str
    settings: Dict[str, Any]
    reference: str
    seed: int
    samples: int
    batch_size: int
    limit: int
    readouts: Tuple[str, ...]
    noise: Tuple[float, ...]
    thresholds: Tuple[float, ...]
    bundle: str
    train: str
    val: str
    test: str
    cache: str
    training: str

    @property
    def name(self) -> str:
        """Return the name of the cell's directory."""
        return f'{self.variant}-{self.seed}'

    @staticmethod
    def from_mapping(raw: Mapping[str, Any]) -> 'DefrCell':
        """Return the cell of settings that went through JSON."""
        lists = {name: tuple(raw[name]) for name in ('readouts', 'noise', 'thresholds')}
        return DefrCell(**{**raw, **lists})


def run_cell(cell: DefrCell, directory: Path) -> Dict[str, Any]:
    """Train, unless it is a reference, and return what was measured."""
    torch.set_num_threads(1)
    started = time.monotonic()
    if not cell.reference:
        run(fit_arguments(cell, directory / 'defr.safetensors', {
            'model.init_args.seed': cell.seed, 'data.init_args.val': cell.val,
            'trainer.limit_val_batches': 0, 'trainer.devices': 1}))
    trained_at = time.monotonic()
    bundle = Bundle.open(cell.bundle)
    result: Dict[str, Any] = {'cell': asdict(cell), 'model': bundle.model_id}
    if cell.reference:
        scores = {MASK_1: reference_score(cell.reference, bundle)}
    else:
        trained = read_classifier(directory / 'defr.safetensors', bundle)
        cache, limit = Path(cell.cache), cell.limit or None
        split = ImageSplit(bundle, open_labelled(Path(cell.test)), cache,
                           trained.backbone.image_size)
        logits = image_logits(trained.network, split)
        seen = open_labelled(Path(cell.train), limit).labels
        result['classification'] = classification_report(logits, split.labels, seen)
        scores = {name: pair_scores(trained, bundle, name) for name in (MASK_1, *cell.readouts)}
    result.update(measure_pairs(cell, scores, bundle))
    if cell.thresholds:
        result['gate'] = measure_gate(cell, logits, scores[MASK_1], bundle,
                                      result['readouts'][MASK_1]['exponents'])
    return {**result, 'train_seconds': round(trained_at - started, 1),
            'test_seconds': round(time.monotonic() - trained_at, 1)}


def measure_pairs(cell: DefrCell, scores: Dict[str, Score], bundle: Bundle) -> Dict[str, Any]:
    """Return the triplet mAP of every read-out at its best exponents, and under box noise."""
    (val, rows), (test, _) = (open_pairs(bundle, Path(path), Path(cell.cache))
                              for path in (cell.val, cell.test))
    readouts, noise = {}, {}
    for name, score in scores.items():
        pair = fit_exponents(score, val, bundle, rows)
        report = triplet_reports(score, test, bundle, rows, [pair])[pair]
        readouts[name] = {'exponents': pair, 'triplet_map': report.full,
                          'protocol': report.protocol, 'classes': report.classes['full']}
    pair = readouts[MASK_1]['exponents']
    for strength in cell.noise:
        shifted = with_noise(scores[MASK_1], strength, cell.seed)
        noise[str(strength)] = triplet_reports(shifted, test, bundle, rows, [pair])[pair].full
    return {'readouts': readouts, 'noise': noise, 'pairs_covered': test.covered}


def measure_gate(cell: DefrCell, logits: Any, own: Score, bundle: Bundle,
                 exponents: Tuple[float, float]) -> Dict[str, Any]:
    """Return the gate's curve in front of the classifier's own read-out and of shipped LAIN."""
    test, rows = open_pairs(bundle, Path(cell.test), Path(cell.cache))
    heads = {'defr': (own, exponents)}
    if LAIN in bundle.spec.heads:
        spec = bundle.spec.heads[LAIN]
        heads[LAIN] = (reference_score(LAIN, bundle),
                       (spec.human_exponent, spec.object_exponent))
    return gate_report(logits, heads, test, bundle, rows, cell.thresholds)


def reference_score(name: str, bundle: Bundle) -> Score:
    """Return the score of the bundle's LAIN head or of its training-free read-out."""
    clip, trunk = load_clip(bundle, torch.device('cpu'))
    rows = prompt_rows(clip, bundle)
    if name == TRAINING_FREE:
        return readout(trunk, float(clip.logit_scale.exp()), rows)
    network = load_head(bundle, LAIN, trunk).network
    return lambda batch: lain_logits(network, batch, rows).sigmoid()


def main(settings: str, directory: str) -> None:
    """Run the cell of a JSON text."""
    cell = DefrCell.from_mapping(json.loads(settings))
    Path(directory).mkdir(parents=True, exist_ok=True)
    write_result(Path(directory), run_cell(cell, Path(directory)))


if __name__ == '__main__':
    main(*sys.argv[1:3])
