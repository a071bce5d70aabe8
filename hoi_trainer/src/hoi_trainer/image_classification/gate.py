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
The classifier as a gate: where no HOI class fires for the whole image, pairs are not scored.

Measured for any head on any split: how many frames are spared, and what is lost by that.
"""

from typing import Any, Dict, List, Sequence

from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.image_classification.transfer import batches, Exponents, Score, with_prior
from hoi_trainer.interaction.data import HeadSplit
from hoi_trainer.interaction.evaluate import HeadEvaluation
from hoi_trainer.interaction.rows import PromptRows
import numpy as np
import torch


def gate_shares(logits: np.ndarray, split: HeadSplit,
                thresholds: Sequence[float]) -> List[Dict[str, float]]:
    """
    Return per threshold what a gate spares and loses, whatever head comes after it.

    logits: (N, C) of the images. An image is spared where the largest probability is below the
    threshold. spared: share of all images; spared_empty: of those without annotated pair;
    lost_pairs: share of the annotated (pair, verb)s that are on spared images.
    """
    peak = torch.from_numpy(logits).max(1).values.sigmoid()
    pairs = torch.tensor([len(record.verbs) for record in split.dataset.records],
                         dtype=torch.float32)
    shares = []
    for threshold in thresholds:
        spared = (peak < threshold).float()
        empty = ~split.annotated
        shares.append({
            'threshold': threshold, 'spared': float(spared.mean()),
            'spared_empty': float(spared[empty].mean()) if empty.any() else 0.0,
            'lost_pairs': float((spared * pairs).sum() / pairs.sum().clamp(min=1))})
    return shares


@torch.inference_mode()
def gated_maps(logits: np.ndarray, score: Score, exponents: Exponents, split: HeadSplit,
               bundle: Bundle, rows: PromptRows, thresholds: Sequence[float]) -> List[float]:
    """Return the triplet mAP of a head behind the gate, per threshold; 0 lets all through."""
    peak = torch.from_numpy(logits).max(1).values.sigmoid()
    evaluations = [HeadEvaluation(split, bundle, rows) for _ in thresholds]
    for batch in batches(split, rows):
        probabilities, batch = score(batch), with_prior(batch, exponents)
        for threshold, evaluation in zip(thresholds, evaluations):
            open_ = (peak[batch.index] >= threshold)[:, None, None]
            evaluation.add(batch, probabilities * open_, 1.0)
    return [evaluation.report().full for evaluation in evaluations]


def gate_report(logits: np.ndarray, heads: Dict[str, Any], split: HeadSplit, bundle: Bundle,
                rows: PromptRows, thresholds: Sequence[float]) -> Dict[str, Any]:
    """
    Return the curve over thresholds.

    heads: (score, exponents) by name. The share of images without any annotated pair is the most
    that a perfect gate could spare.
    """
    curve = gate_shares(logits, split, thresholds)
    for name, (score, exponents) in heads.items():
        maps = gated_maps(logits, score, exponents, split, bundle, rows, thresholds)
        for row, value in zip(curve, maps):
            row[f'map_{name}'] = value
    return {'empty_images': float((~split.annotated).float().mean()), 'curve': curve}
