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
Heads that predict relations as a set (Seg2HOI): from a frame's instances to triplets with masks.

Nothing is enumerated: each instance says which other one it has to do with, so there is one bucket
of pairs, none. The trunk is the bundle's detector, of whose outputs the head reads queries and the
pixel embedding; a frame passes it once. A box given from outside takes the query of the detected
instance it overlaps (`selection.queries_for`); one without has an empty query, and can still be
what somebody else has to do with.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

from hoi_perception.core.errors import BundleError, HoiError
from hoi_perception.core.masks import mask_within
from hoi_perception.core.scene import Instances, Mask, MaskKind, NONE
from hoi_perception.core.scoring import detector_prior, ScoringRule, top_triplets
from hoi_perception.networks.seg2hoi import (
    rows_of,
    Seg2Hoi,
    Seg2HoiConfig,
    Seg2HoiInputs,
)
from hoi_perception.networks.seg2hoi_instances import object_labels, resolve
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.engine_stage import EngineStage
from hoi_perception.runtime.frame import Answer, Clock, Frame, pack_frames
from hoi_perception.runtime.interact_stage import InteractStage
from hoi_perception.runtime.loading import fill_weights, load_clip
from hoi_perception.runtime.options import MAX_TRIPLETS, PipelineOptions, value_or, wanted
from hoi_perception.runtime.pair_batch import PairBatch
from hoi_perception.runtime.preprocess import ImageTransform
from hoi_perception.runtime.prompts import PromptSet
from hoi_perception.runtime.selection import Wants
import numpy as np
import torch
from torch import nn, Tensor


class RelationInputs(NamedTuple):
    """
    Everything that a frame's triplets depend on; only the weights are left out.

    queries to box_mask: see `PairBatch`; boxes in pixels of the trunk's image. pixels:
    (B, M, h, w) pixel embedding. rows, validity: see `PromptSet`. exponents: (2,) float32, powers
    of the detector's scores of human and object.
    """

    queries: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    box_mask: Tensor
    pixels: Tensor
    rows: Tensor
    validity: Tensor
    exponents: Tensor


class RelationRanked(NamedTuple):
    """
    Best entries: scores, pair, row (B, K), and embeddings of their masks (B, K, M + 1).

    pair: human * n + object, indices into the n instances. A pair may stand there twice with one
    row, told by the person and by the object.
    """

    scores: Tensor
    pair: Tensor
    row: Tensor
    union: Tensor
    intersection: Tensor


class RelationModule(nn.Module):
    """Seg2HOI from instances to ranked triplets; size: (height, width) of the trunk's image."""

    inputs = RelationInputs._fields
    size: Tensor

    def __init__(self, network: Seg2Hoi, size: Tuple[int, int]) -> None:
        super().__init__()
        self.network, self.count = network, MAX_TRIPLETS
        height, width = size
        self.register_buffer('size', torch.tensor([width, height, width, height]).float(),
                             persistent=False)

    def forward(self, *tensors: Tensor) -> Tuple[Tensor, ...]:
        """Return the fields of `RelationRanked` for those of `RelationInputs`, shapes there."""
        x = RelationInputs(*tensors)
        inputs = Seg2HoiInputs(x.queries, x.boxes / self.size, x.scores, x.labels, x.box_mask,
                               x.pixels)
        chosen, relations = self.network(inputs)
        last = relations[-1]
        pairs = resolve(inputs, chosen, last, self.network.config.human)
        labels = object_labels(inputs, pairs)
        logits = self.network.verb_logits(last.features, x.rows).float()
        probabilities = logits.sigmoid() * x.validity.T[labels]
        rule = ScoringRule(False, 1.0, x.exponents[0], x.exponents[1])
        prior = pairs.prior * detector_prior(rows_of(x.scores, pairs.human),
                                             rows_of(x.scores, pairs.object), rule)
        best = top_triplets(probabilities, prior, pairs.prior > 0, self.count)
        code = pairs.human * x.boxes.shape[1] + pairs.object
        return (best.scores, rows_of(code, best.pair), best.row,
                rows_of(last.union, best.pair), rows_of(last.intersection, best.pair))


def relation_bucket(x: RelationInputs) -> str:
    """Return the name of the inputs' shapes."""
    return relation_bucket_name(len(x.boxes), x.boxes.shape[1], *x.validity.shape)


def relation_bucket_name(batch: int, instances: int, rows: int, objects: int) -> str:
    """Return the name of the shapes that an engine is built for."""
    return f'batch{batch}-instances{instances}-rows{rows}-objects{objects}'


class RelationStage(EngineStage):
    """A set-prediction head of the bundle, and CLIP for the text of its verbs."""

    module: RelationModule
    wants = Wants(pairs=False, trunk=True, detector_image=False)

    def __init__(self, bundle: Bundle, head: str, device: torch.device) -> None:
        self.name, self.device, self.spec = head, device, bundle.spec.heads[head]
        self._buckets = bundle.spec.buckets
        self._threshold = bundle.spec.thresholds_of(head).triplet
        self.clip, self.trunk = load_clip(bundle, device)
        image = bundle.spec.detector.preprocessing
        if image.resize == 'shortest_edge':
            raise BundleError(f'{bundle.path}: head {head} needs network images of one size, so '
                              'the detector must resize by stretch or letterbox.')
        self.transform = ImageTransform(image, device)
        config = Seg2HoiConfig.from_mapping(self.spec.config)
        vocabulary = bundle.spec.core_vocabulary()
        found = config.classes, config.human, config.embed_dim
        expected = len(vocabulary.objects), vocabulary.human, self.trunk.embed_dim
        if found != expected:
            raise BundleError(f'{bundle.path}: head {head} was made for (classes, human, text '
                              f'length) {found}, the bundle has {expected}.')
        self.network = Seg2Hoi(config)
        fill_weights(self.network, bundle, f'heads/{head}.safetensors')
        self.network.requires_grad_(False).eval()
        super().__init__(f'interaction/{head}', RelationModule(
            self.network, (image.height, image.width)).eval().to(device))
        self._exponents: Tuple[Tuple[float, float], Tensor] = ((-1.0, -1.0), torch.zeros(2))

    @property
    def query_dim(self) -> int:
        """Length of the detector queries that the head reads."""
        return self.network.config.query_dim

    @property
    def pixel_dim(self) -> int:
        """Channels of the detector's pixel embedding that the head reads."""
        return self.network.config.pixel_dim

    def answer(self, frames: Sequence[Frame], prompts: PromptSet, options: PipelineOptions,
               clock: Clock) -> List[Optional[Answer]]:
        """Return the triplets of every frame; None where no frame of the batch has a person."""
        human = prompts.vocabulary.human
        if not any((frame.instances.labels == human).any() for frame in frames):
            return [None] * len(frames)
        batch = pack_frames(frames, self.transform, self._buckets, self.query_dim, self.device)
        clock.lap('select')
        pixels = torch.stack([output.prototypes[image] for output, image
                              in (frame.output for frame in frames if frame.output)])
        exponents = (value_or(options.human_exponent, self.spec.human_exponent),
                     value_or(options.object_exponent, self.spec.object_exponent))
        ranked = self.rank(self.inputs(batch, pixels, prompts, exponents))
        answers = self.verdicts(
            ranked, prompts, value_or(options.triplet_threshold, self._threshold),
            options.max_triplets, batch.boxes.shape[1],
            wanted(prompts.vocabulary.verb_names, options.verbs))
        clock.lap('interact')
        return list(answers)

    def masks(self, answer: Answer, frame: Frame, shown: Instances, human: np.ndarray,
              thing: np.ndarray, masks: Sequence[Mask]) -> List[Mask]:
        """
        Return union and intersection masks of triplets from their own embeddings.

        shown: the instances that human and thing (T,) index. They are cut to the two boxes; an
        empty intersection is left out.
        """
        if not len(human) or answer.union is None or answer.intersection is None \
                or frame.output is None or frame.placement is None:
            return []
        at = frame.placement
        scale, offset = ((at.scale_x / at.width, at.scale_y / at.height),
                         (at.offset_x / at.width, at.offset_y / at.height))
        pixels = frame.output[0].prototypes[frame.output[1]]
        embeddings = torch.stack([answer.union, answer.intersection])
        grids = embeddings[..., :-1] @ pixels.flatten(1) + embeddings[..., -1:]
        grids = grids.view(*grids.shape[:2], *pixels.shape[1:]).float().cpu()
        boxes = list(zip(shown.boxes[human], shown.boxes[thing]))
        result: List[Mask] = []
        for kind, logits in zip((MaskKind.UNION, MaskKind.INTERSECTION), grids.numpy()):
            for owner, (grid, pair) in enumerate(zip(logits, boxes)):
                mask = mask_within(kind, owner, grid, pair, frame.width, frame.height, scale,
                                   offset)
                if mask is not None and (kind == MaskKind.UNION or mask.bitmap.any()):
                    result.append(mask)
        return result

    def inputs(self, batch: PairBatch, pixels: Tensor, prompts: PromptSet,
               exponents: Tuple[float, float]) -> RelationInputs:
        """Return the inputs of one call on the device; shapes are those of `RelationInputs`."""
        if self._exponents[0] != exponents:
            self._exponents = exponents, torch.tensor(exponents, device=self.device)
        return RelationInputs(batch.queries, batch.boxes, batch.scores, batch.labels,
                              batch.box_mask, pixels, prompts.embeddings, prompts.validity,
                              self._exponents[1])

    def rank(self, x: RelationInputs) -> RelationRanked:
        """Return the best (pair, phrase) entries of every image, on the device."""
        return RelationRanked(*self._call(relation_bucket(x), tuple(x)))

    def verdicts(self, ranked: RelationRanked, prompts: PromptSet, threshold: float, count: int,
                 instances: int, wanted: Optional[np.ndarray] = None) -> List[Answer]:
        """
        Copy the entries to the host (one synchronisation), keep the `count` best if valid.

        instances: places that `pair` counts with. wanted: (verbs,) bool, those to keep; None =
        all. What both branches tell counts once, with the better score. Raises `HoiError` on NaN.
        """
        host = torch.stack([ranked.scores.double(), ranked.pair.double(), ranked.row.double()]
                           ).cpu().numpy()
        if not np.isfinite(host[0]).all():
            raise HoiError('the interaction head returned NaN or infinity: its weights or the '
                           'device are at fault; check the bundle with `hoi bundle verify`.')
        pair, verb = host[1].astype(np.int64), prompts.verb_of_row[host[2].astype(np.int64)]
        good = (host[0] > 0) & (host[0] >= threshold) & (verb != NONE)
        if wanted is not None:
            good &= wanted[verb]
        result = []
        for i in range(len(good)):
            rows = np.flatnonzero(good[i])
            _, first = np.unique(pair[i, rows] * len(prompts.vocabulary.verbs) + verb[i, rows],
                                 return_index=True)
            rows = rows[np.sort(first)[:count]]  # entries are sorted: the first is the best
            at = torch.from_numpy(rows).to(ranked.union.device)
            result.append(Answer(
                pair[i, rows] // instances, pair[i, rows] % instances, verb[i, rows],
                host[0, i, rows], ranked.union[i, at], ranked.intersection[i, at]))
        return result


def load_stage(bundle: Bundle, head: str,
               device: torch.device) -> Union[InteractStage, RelationStage]:
    """Return the stage of a head, by its kind. Raises `BundleError`."""
    spec = bundle.spec.heads.get(head)
    if spec is not None and spec.kind == 'seg2hoi':
        return RelationStage(bundle, head, device)
    return InteractStage(bundle, head, device)
