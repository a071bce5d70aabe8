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

from typing import List, NamedTuple, Optional, Sequence, Tuple

from hoi_perception.core.errors import BundleError, HoiError
from hoi_perception.core.masks import triplet_masks
from hoi_perception.core.scene import Instances, Mask, NONE
from hoi_perception.core.scoring import (
    detector_prior,
    Ranked,
    row_probabilities,
    ScoringRule,
    top_triplets,
)
from hoi_perception.runtime.bundle import Bundle, ImageSpec
from hoi_perception.runtime.engine_stage import EngineStage
from hoi_perception.runtime.frame import Answer, Clock, Frame, pack_frames
from hoi_perception.runtime.heads import load_head, PairHead
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.options import MAX_TRIPLETS, PipelineOptions, value_or, wanted
from hoi_perception.runtime.pair_batch import PairBatch
from hoi_perception.runtime.preprocess import ImageTransform, Normalise
from hoi_perception.runtime.prompts import PromptSet
from hoi_perception.runtime.selection import Wants
import numpy as np
import torch
from torch import nn, Tensor


class Verdict(NamedTuple):
    """Best first entries of one image on the host: (K,) pair index, verb index and score."""

    pair: np.ndarray
    verb: np.ndarray
    scores: np.ndarray


class InteractInputs(NamedTuple):
    """
    Everything that a frame's triplets depend on; only the weights are left out.

    pixels: (B, S, S, 3) uint8, the head's network image. boxes to pair_mask: see `PairBatch`.
    object_embeddings to background_valid: see `PromptSet`, whose `embeddings` are the rows.
    exponents: (2,) float32, powers of the detector's scores of human and object.
    """

    pixels: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    box_mask: Tensor
    queries: Tensor
    human: Tensor
    object: Tensor
    pair_mask: Tensor
    object_embeddings: Tensor
    rows: Tensor
    validity: Tensor
    background: Tensor
    background_valid: Tensor
    exponents: Tensor

    @property
    def batch(self) -> PairBatch:
        """Return the instances and pairs."""
        return PairBatch(*self[1:9])


class InteractModule(nn.Module):
    """
    One head from pixels to ranked triplets, without a word with the host in between.

    inputs: names of the `InteractInputs` that this head reads, the arguments of `forward` in
    order. count: entries of the ranking.
    """

    def __init__(self, head: PairHead, image: ImageSpec, softmax: bool,
                 temperature: float) -> None:
        super().__init__()
        self.normalise, self.head = Normalise(image), head
        self.softmax, self.temperature, self.count = softmax, temperature, MAX_TRIPLETS
        read = {'pixels', 'scores', 'labels', 'human', 'object', 'pair_mask', 'rows', 'validity',
                'exponents', *head.reads}
        if softmax:
            read |= {'background', 'background_valid'}
        self.inputs = tuple(name for name in InteractInputs._fields if name in read)

    def forward(self, *tensors: Tensor) -> Tuple[Tensor, ...]:
        """Return the fields of `Ranked`, (B, K) each with K = min(count, P * R)."""
        unread = tensors[0].new_zeros(0)
        x = InteractInputs(**{**dict.fromkeys(InteractInputs._fields, unread),
                              **dict(zip(self.inputs, tensors))})
        features = self.features(self.normalise(x.pixels), x)
        device = features.device.type
        if not torch.is_autocast_enabled(device):
            return tuple(self.rank(features, x))
        # Logits reach 30 and more, where 16 bits leave steps of 0.1.
        with torch.autocast(device, enabled=False):
            return tuple(self.rank(features.float(), x))

    def features(self, images: Tensor, x: InteractInputs) -> Tensor:
        """Return the (B, P, D) pair features of (B, 3, S, S) normalised images."""
        features: Tensor = self.head(images, x.batch, x.object_embeddings)
        return features

    def rank(self, features: Tensor, x: InteractInputs) -> Ranked:
        """Return the best (pair, phrase) entries of every image."""
        rule = ScoringRule(self.softmax, self.temperature, x.exponents[0], x.exponents[1])
        batch, background, background_valid = x.batch, x.background, x.background_valid
        labels = batch.object_labels
        if self.softmax:
            background, background_valid = background[labels], background_valid[labels]
        probabilities = row_probabilities(features, x.rows, x.validity.T[labels], background,
                                          background_valid, rule)
        prior = detector_prior(batch.human_scores, batch.object_scores, rule)
        return top_triplets(probabilities, prior, batch.mask, self.count)


def bucket_name(batch: int, instances: int, pairs: int, rows: int, objects: int) -> str:
    """Return the name of the shapes that an engine is built for."""
    return f'batch{batch}-instances{instances}-pairs{pairs}-rows{rows}-objects{objects}'


def interact_bucket(x: InteractInputs) -> str:
    """Return the name of the inputs' shapes."""
    return bucket_name(len(x.pixels), x.boxes.shape[1], x.human.shape[1], *x.validity.shape)


class InteractStage(EngineStage):
    """CLIP and one interaction head of the bundle, which scores candidate pairs."""

    module: InteractModule
    pixel_dim = 0

    def __init__(self, bundle: Bundle, head: str, device: torch.device) -> None:
        if head not in bundle.spec.heads:
            raise BundleError(f'head {head!r} is not in bundle {bundle.spec.name}, which has '
                              f'{", ".join(sorted(bundle.spec.heads))}.')
        self.name, self.device = head, device
        self.spec = bundle.spec.heads[head]
        self.clip, self.trunk = load_clip(bundle, device)
        image = bundle.spec.clip.preprocessing
        self.transform = ImageTransform(image, device)
        self.after_detector = bundle.spec.clip.after_detector
        self._buckets = bundle.spec.buckets
        self._threshold = bundle.spec.thresholds_of(head).triplet
        self.head = load_head(bundle, head, self.trunk)
        super().__init__(f'interaction/{head}', InteractModule(
            self.head, image, self.spec.activation == 'softmax',
            self.spec.temperature or float(self.clip.logit_scale.exp())).eval().to(device))
        self._exponents: Tuple[Tuple[float, float], Tensor] = ((-1.0, -1.0), torch.zeros(2))

    @property
    def query_dim(self) -> int:
        """Length of the detector queries that the head reads, 0 = none."""
        return self.head.query_dim

    @property
    def wants(self) -> Wants:
        """What a frame must bring."""
        return Wants(pairs=True, trunk=False, detector_image=self.after_detector)

    def answer(self, frames: Sequence[Frame], prompts: PromptSet, options: PipelineOptions,
               clock: Clock) -> List[Optional[Answer]]:
        """Return the triplets of every frame; None where no frame of the batch has a pair."""
        if not any(len(frame.pairs.human) for frame in frames):
            return [None] * len(frames)
        pixels = self.transform.pixels(
            [self.transform.resize(frame.picture) for frame in frames])
        clock.lap('preprocess')
        batch = pack_frames(frames, self.transform, self._buckets, self.query_dim, self.device)
        clock.lap('select')
        exponents = (value_or(options.human_exponent, self.spec.human_exponent),
                     value_or(options.object_exponent, self.spec.object_exponent))
        ranked = self.rank(self.inputs(pixels, batch, prompts, exponents))
        verdicts = self.verdicts(
            ranked, prompts, value_or(options.triplet_threshold, self._threshold),
            options.max_triplets, wanted(prompts.vocabulary.verb_names, options.verbs))
        clock.lap('interact')
        return [Answer(frame.pairs.human[pair], frame.pairs.object[pair], verb, scores)
                for frame, (pair, verb, scores) in zip(frames, verdicts)]

    def masks(self, answer: Answer, frame: Frame, shown: Instances, human: np.ndarray,
              thing: np.ndarray, masks: Sequence[Mask]) -> List[Mask]:
        """Return union and intersection masks of the instances human, thing (T,)."""
        return triplet_masks(masks, human, thing)

    def inputs(self, pixels: Tensor, batch: PairBatch, prompts: PromptSet,
               exponents: Tuple[float, float]) -> InteractInputs:
        """Return the inputs of one call on the device; pixels: (B, S, S, 3), see `PairBatch`."""
        return InteractInputs(
            pixels, *batch, prompts.object_embeddings, prompts.embeddings, prompts.validity,
            prompts.background, prompts.background_valid, self._on_device(exponents))

    def rank(self, x: InteractInputs) -> Ranked:
        """Return the best (pair, phrase) entries of every image, on the device."""
        tensors = tuple(getattr(x, name) for name in self.module.inputs)
        return Ranked(*self._call(interact_bucket(x), tensors))

    def verdicts(self, ranked: Ranked, prompts: PromptSet, threshold: float, count: int,
                 wanted: Optional[np.ndarray] = None) -> List[Verdict]:
        """
        Copy the entries to the host (one synchronisation), keep the `count` best if valid.

        wanted: (verbs,) bool, those to keep; None = all. Raises `HoiError` on NaN.
        """
        host = torch.stack([ranked.scores.double(), ranked.pair.double(), ranked.row.double()]
                           )[..., :count if wanted is None else None].cpu().numpy()
        if not np.isfinite(host[0]).all():
            raise HoiError('the interaction head returned NaN or infinity: its weights or the '
                           'device are at fault; check the bundle with `hoi bundle verify`.')
        scores, pair = host[0], host[1].astype(np.int64)
        verb = prompts.verb_of_row[host[2].astype(np.int64)]
        keep = (scores > 0) & (scores >= threshold) & (verb != NONE)
        if wanted is not None:
            keep &= wanted[verb]
            keep &= keep.cumsum(axis=1) <= count
        return [Verdict(pair[i, k], verb[i, k], scores[i, k]) for i, k in enumerate(keep)]

    def _on_device(self, exponents: Tuple[float, float]) -> Tensor:
        """Return the exponents as a tensor, which is made anew only where they changed."""
        if self._exponents[0] != exponents:
            self._exponents = exponents, torch.tensor(exponents, device=self.device)
        return self._exponents[1]
