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
Exponents and threshold of any trained head, fitted on a validation split and kept in its file.

Score: probability * human score ** a * object score ** b. The exponents are those of the best
triplet mAP, the threshold that of the best F1 over all classes together, since heads trained by
different losses are differently sure. Detections, pairs and protocol are those of the grids.
"""

from pathlib import Path
from typing import Dict, NamedTuple, Optional

from hoi_perception.evaluation.curves import best_threshold
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.loading import load_clip
from hoi_trainer.image_classification.network import KIND as IMAGE_CLASSIFIER
from hoi_trainer.image_classification.network import read_classifier
from hoi_trainer.image_classification.transfer import (
    evaluations,
    EXPONENTS,
    Exponents,
    open_pairs,
    pair_scores,
)
from hoi_trainer.interaction.evaluate import HeadEvaluation
from hoi_trainer.interaction.rows import prompt_rows
from hoi_trainer.interaction.scores import trained_scores
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.set_prediction.data import SetSplit
from hoi_trainer.set_prediction.evaluate import instance_triplets, read_set_head, SetEvaluation
from hoi_trainer.training.weights import read_weights, update_config
import torch

CPU = torch.device('cpu')
GRID = tuple((a, b) for a in (0.0, *EXPONENTS) for b in (0.0, *EXPONENTS))
BATCH = 32


class Fitted(NamedTuple):
    """
    What suits a head best.

    exponents: of the detector's scores of human and object. threshold: from which a triplet
    counts. f1: there, over all classes together. triplet_map: of the exponents.
    """

    exponents: Exponents
    threshold: float
    f1: float
    triplet_map: float


def fit_head(weights: Path, bundle: Path, data: Path, cache: Path,
             limit: Optional[int] = None) -> Fitted:
    """
    Fit what `hoi-trainer fit` wrote, of whatever kind, and keep it in the file.

    Of equal exponents the smallest are taken. Raises `BundleError` where the file holds no head,
    or one that does not fit the bundle.
    """
    opened = Bundle.open(bundle)
    kind = read_weights(weights)[0].get('kind')
    look = _set_evaluations if kind == 'seg2hoi' else _pair_evaluations
    found = look(weights, opened, data, cache, limit)
    maps = {pair: evaluation.report().full for pair, evaluation in found.items()}
    best = max(GRID, key=maps.__getitem__)
    point = best_threshold(found[best].judged())
    update_config(weights, exponents=list(best), threshold=point.threshold)
    return Fitted(best, point.threshold, point.f1, maps[best])


def _pair_evaluations(weights: Path, bundle: Bundle, data: Path, cache: Path,
                      limit: Optional[int]) -> Dict[Exponents, HeadEvaluation]:
    split, rows = open_pairs(bundle, data, cache, limit)
    if read_weights(weights)[0].get('kind') == IMAGE_CLASSIFIER:
        score = pair_scores(read_classifier(weights, bundle), bundle)
    else:
        score = trained_scores(weights, load_clip(bundle, CPU)[1], rows)
    return evaluations(score, split, bundle, rows, GRID)


@torch.inference_mode()
def _set_evaluations(weights: Path, bundle: Bundle, data: Path, cache: Path,
                     limit: Optional[int]) -> Dict[Exponents, HeadEvaluation]:
    network = read_set_head(weights)
    rows = prompt_rows(load_clip(bundle, CPU)[0], bundle)
    split = SetSplit(bundle, open_dataset(data, limit), cache)
    found = {pair: SetEvaluation(split, bundle, rows) for pair in GRID}
    for index in torch.arange(split.count).split(BATCH):
        batch = split.batch(index, CPU)
        chosen, (last,) = network(batch.inputs)
        logits = network.verb_logits(last.features, rows.embeddings)
        for pair, evaluation in found.items():
            evaluation.add_triplets(batch, instance_triplets(
                batch, chosen, last, network.config.human, pair), logits)
    return dict(found)
