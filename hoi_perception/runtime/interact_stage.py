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

"""From pairs to scored triplets: interaction head, verbs, detector priors."""

from typing import List, NamedTuple

from hoi_perception.core.errors import BundleError, HoiError
from hoi_perception.core.scene import NONE
from hoi_perception.core.scoring import (
    detector_prior,
    Ranked,
    row_probabilities,
    ScoringRule,
    top_triplets,
)
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.heads import load_head
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.pair_batch import PairBatch
from hoi_perception.runtime.preprocess import ImageTransform
from hoi_perception.runtime.prompts import PromptSet
import numpy as np
import torch
from torch import Tensor


class Verdict(NamedTuple):
    """Best first entries of one image on the host: (K,) pair index, verb index and score."""

    pair: np.ndarray
    verb: np.ndarray
    scores: np.ndarray


class InteractStage:
    """CLIP and one interaction head of the bundle."""

    def __init__(self, bundle: Bundle, head: str, device: torch.device) -> None:
        if head not in bundle.spec.heads:
            raise BundleError(f'head {head!r} is not in bundle {bundle.spec.name}, which has '
                              f'{", ".join(sorted(bundle.spec.heads))}.')
        spec = bundle.spec.heads[head]
        self.device = device
        self.clip, self.trunk = load_clip(bundle, device)
        self.transform = ImageTransform(bundle.spec.clip.preprocessing, device)
        self.after_detector = bundle.spec.clip.after_detector
        self.head = load_head(bundle, head, self.trunk)
        self.rule = ScoringRule(
            spec.activation == 'softmax',
            spec.temperature or float(self.clip.logit_scale.exp()),
            spec.human_exponent, spec.object_exponent)

    def score(self, features: Tensor, batch: PairBatch, prompts: PromptSet, rule: ScoringRule,
              count: int) -> Ranked:
        """Return the best (pair, phrase) entries of every image, on the device."""
        labels = batch.object_labels
        probabilities = row_probabilities(
            features, prompts.embeddings, prompts.validity.T[labels], prompts.background[labels],
            prompts.background_valid[labels], rule)
        prior = detector_prior(batch.human_scores, batch.object_scores, rule)
        return top_triplets(probabilities, prior, batch.mask, count)

    def verdicts(self, ranked: Ranked, prompts: PromptSet, threshold: float) -> List[Verdict]:
        """Copy the entries to the host (one synchronisation) and keep those that count."""
        host = torch.stack([ranked.scores.double(), ranked.pair.double(),
                            ranked.row.double()]).cpu().numpy()
        if not np.isfinite(host[0]).all():
            raise HoiError('the interaction head returned NaN or infinity: its weights or the '
                           'device are at fault; check the bundle with `hoi bundle verify`.')
        scores, pair = host[0], host[1].astype(np.int64)
        verb = prompts.verb_of_row[host[2].astype(np.int64)]
        keep = (scores > 0) & (scores >= threshold) & (verb != NONE)
        return [Verdict(pair[i, k], verb[i, k], scores[i, k]) for i, k in enumerate(keep)]
