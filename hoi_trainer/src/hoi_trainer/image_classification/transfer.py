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
From image labels to triplets without training: scores of the detector's pairs, and their mAP.

The protocol, detections and pairs are those of the other heads (`interaction.evaluate`); a score
is sigmoid(logit) * s_h ** a * s_o ** b, the exponents fitted on a validation split.
"""

from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.prompts import lay_out_rows
from hoi_trainer.image_classification.backbones import ClipVit
from hoi_trainer.image_classification.network import (
    read_classifier,
    TrainedClassifier,
)
from hoi_trainer.image_classification.readouts import readout, regions_of
from hoi_trainer.interaction.data import HeadBatch, HeadSplit
from hoi_trainer.interaction.data_module import SLOTS, VALIDATION_PAIRS
from hoi_trainer.interaction.evaluate import HeadEvaluation, HeadReport
from hoi_trainer.interaction.rows import prompt_rows, PromptRows
from hoi_trainer.interaction.sources import open_dataset
import torch
from torch import Tensor

EXPONENTS: Tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 6.0)
"""Tried for each of the two scores."""
MASK_1 = 'mask-1'

Score = Callable[[HeadBatch], Tensor]
"""A batch to the (B, P, R) probabilities of the prompt rows."""
Exponents = Tuple[float, float]


def pair_scores(trained: TrainedClassifier, bundle: Bundle, name: str = MASK_1) -> Score:
    """
    Return what scores pairs with the frozen classifier, by the read-out of that name.

    Raises `HoiError` where the classifier lacks a phrase of the bundle, or its backbone has no
    class token or takes images of another size than the bundle's CLIP.
    """
    backbone, classifier = trained.network.backbone, trained.network.classifier
    side = bundle.spec.clip.preprocessing.height
    if not isinstance(backbone, ClipVit) or backbone.image_size != side:
        raise HoiError('pairs are read from the class token of a vision transformer that takes '
                       f"the images of the bundle's CLIP, {side} pixels a side: this classifier "
                       'has none.')
    class_of_row = torch.tensor(rows_of_classes(trained.phrases, bundle))
    read = readout(name)

    @torch.inference_mode()
    def score(batch: HeadBatch) -> Tensor:
        inputs, trunk = batch.inputs, backbone.trunk
        human, thing = (inputs.boxes.gather(1, index[..., None].expand(-1, -1, 4))
                        for index in (inputs.human, inputs.object))
        tokens = read(trunk, inputs.images,
                      regions_of(trunk, human, thing, inputs.pair_mask))
        return classifier(trunk.ln_post(tokens))[..., class_of_row].sigmoid()
    return score


def rows_of_classes(phrases: Sequence[str], bundle: Bundle) -> list:
    """Return the class of each prompt row of the bundle; raises `HoiError` where one lacks."""
    rows, _, _ = lay_out_rows(bundle.spec.core_vocabulary(), bundle.spec.vocabulary.background)
    missing = [row for row in rows if row not in phrases]
    if missing:
        raise HoiError(f'the classifier was not trained with {missing[0]!r}, one of '
                       f'{len(missing)} phrases of bundle {bundle.spec.name} that it lacks.')
    return [list(phrases).index(row) for row in rows]


def open_pairs(bundle: Bundle, data: Path, cache: Path,
               limit: Optional[int] = None) -> Tuple[HeadSplit, PromptRows]:
    """Return a split with its cached detections and the bundle's prompts."""
    clip, _ = load_clip(bundle, torch.device('cpu'))
    split = HeadSplit(bundle, open_dataset(data, limit), cache, SLOTS, VALIDATION_PAIRS)
    return split, prompt_rows(clip, bundle)


def noisy(boxes: Tensor, noise: float, dice: torch.Generator) -> Tensor:
    """
    Return boxes (..., 4) xyxy whose edges moved by N(0, noise * width) and N(0, noise * height).

    Edges that changed places are put in order.
    """
    size = (boxes[..., 2:] - boxes[..., :2]).repeat(*[1] * (boxes.ndim - 1), 2)
    moved = boxes + noise * size * torch.randn(boxes.shape, generator=dice)
    low, high = moved[..., :2], moved[..., 2:]
    return torch.cat([torch.minimum(low, high), torch.maximum(low, high)], -1)


def with_noise(score: Score, noise: float, seed: int) -> Score:
    """
    Return the score of pairs whose boxes the head sees shifted; triplets keep the true boxes.

    So what is lost is lost by the head, not by the matching of boxes. The detector's queries,
    which LAIN reads, stay as they are.
    """
    dice = torch.Generator().manual_seed(seed)

    def shifted(batch: HeadBatch) -> Tensor:
        boxes = noisy(batch.inputs.boxes, noise, dice)
        return score(batch._replace(inputs=batch.inputs._replace(boxes=boxes)))
    return shifted


@torch.inference_mode()
def evaluations(score: Score, split: HeadSplit, bundle: Bundle, rows: PromptRows,
                exponents: Sequence[Exponents]) -> Dict[Exponents, HeadEvaluation]:
    """Return the evaluation of a whole split for each pair of exponents."""
    found = {pair: HeadEvaluation(split, bundle, rows) for pair in exponents}
    for batch in batches(split, rows):
        probabilities = score(batch)
        for pair, evaluation in found.items():
            evaluation.add(with_prior(batch, pair), probabilities, 1.0)
    return found


def triplet_reports(score: Score, split: HeadSplit, bundle: Bundle, rows: PromptRows,
                    exponents: Sequence[Exponents]) -> Dict[Exponents, HeadReport]:
    """Return the report of a whole split for each pair of exponents."""
    return {pair: evaluation.report() for pair, evaluation
            in evaluations(score, split, bundle, rows, exponents).items()}


def batches(split: HeadSplit, rows: PromptRows, size: int = 32) -> Iterator[HeadBatch]:
    """Yield a whole split in order."""
    for index in torch.arange(split.count).split(size):
        yield split.batch(index, split.normalise(split.pixels(index)), rows)


def with_prior(batch: HeadBatch, exponents: Exponents) -> HeadBatch:
    """Return the batch with prior s_h ** a * s_o ** b, 0 for padding."""
    inputs = batch.inputs
    human, thing = (inputs.scores.gather(1, side) for side in (inputs.human, inputs.object))
    return batch._replace(prior=human ** exponents[0] * thing ** exponents[1]
                          * inputs.pair_mask)


def fit_exponents(score: Score, split: HeadSplit, bundle: Bundle, rows: PromptRows,
                  values: Sequence[float] = EXPONENTS) -> Exponents:
    """Return the exponents (a, b) of the best mAP; of equals the smallest."""
    grid = [(a, b) for a in values for b in values]
    reports = triplet_reports(score, split, bundle, rows, grid)
    return max(grid, key=lambda pair: reports[pair].full)


def evaluate_transfer(weights: Path, bundle: Path, data: Path, cache: Path,
                      name: str = MASK_1, limit: Optional[int] = None) -> Dict[str, Any]:
    """Return the triplet mAP of a classifier's read-out, with the exponents in its file."""
    opened = Bundle.open(bundle)
    trained = read_classifier(weights, opened)
    split, rows = open_pairs(opened, data, cache, limit)
    report = triplet_reports(pair_scores(trained, opened, name), split, opened, rows,
                             [trained.exponents])[trained.exponents]
    return {'protocol': report.protocol, 'readout': name, 'exponents': trained.exponents,
            'images': report.images, 'classes': report.classes['full'],
            'triplet_map': report.full, 'pairs_covered': split.covered}
