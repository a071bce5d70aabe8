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
Triplets of the set prediction by HICO-DET's rules, from cached trunk outputs.

`instances` is what the node publishes: pairs of the trunk's own instances (see
`seg2hoi_instances`). `boxes` is the method as described: predicted boxes and classes, best 100 per
image, triplet suppression.
"""

from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

from hoi_perception.core.scoring import detector_prior, ScoringRule, top_triplets
from hoi_perception.evaluation.pairs import BoxPairs
from hoi_perception.networks.seg2hoi import Relations, rows_of, Seg2Hoi, Seg2HoiConfig, Selected
from hoi_perception.networks.seg2hoi_instances import object_labels, resolve
from hoi_perception.networks.seg2hoi_layers import corners
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.interaction.evaluate import HeadEvaluation, TRIPLETS
from hoi_trainer.interaction.rows import PromptRows
from hoi_trainer.set_prediction.data import SetBatch, SetSplit
from hoi_trainer.set_prediction.matcher import canonical
from hoi_trainer.set_prediction.pseudo_masks import inside_boxes
from hoi_trainer.set_prediction.triplet_nms import triplet_nms
from hoi_trainer.training.weights import read_weights
import numpy as np
import torch
from torch import Tensor


class TripletTable(NamedTuple):
    """
    Q candidate pairs of each of B images.

    humans, objects: (B, Q, 4) xyxy, 0..1 of the trunk's image. labels: (B, Q) class of the object.
    prior: (B, Q) probability of both classes, weighed by the detector's scores; 0 = no pair.
    """

    humans: Tensor
    objects: Tensor
    labels: Tensor
    prior: Tensor


def read_set_head(weights: Path) -> Seg2Hoi:
    """Return the head that `hoi-trainer fit` wrote, in evaluation mode."""
    config, state = read_weights(weights)
    network = Seg2Hoi(Seg2HoiConfig.from_mapping(config['config'])).eval()
    network.load_state_dict(state)
    return network


def instance_triplets(batch: SetBatch, chosen: Selected, relations: Relations, human: int,
                      exponents: Tuple[float, float] = (0.0, 0.0)) -> TripletTable:
    """
    Return the pairs of the trunk's instances that the relations stand for.

    exponents: of the detector's scores of human and object, as in `RelationModule`.
    """
    pairs = resolve(batch.inputs, chosen, relations, human)
    seen = detector_prior(rows_of(batch.inputs.scores, pairs.human),
                          rows_of(batch.inputs.scores, pairs.object),
                          ScoringRule(False, 1.0, *exponents))
    return TripletTable(rows_of(batch.inputs.boxes, pairs.human),
                        rows_of(batch.inputs.boxes, pairs.object),
                        object_labels(batch.inputs, pairs), pairs.prior * seen)


def box_triplets(batch: SetBatch, chosen: Selected, relations: Relations,
                 human: int) -> TripletTable:
    """Return the pairs of predicted boxes and classes."""
    said = canonical(relations, chosen)
    likely, label = said.object_logits.float().softmax(-1)[..., :-1].max(-1)
    prior = likely * said.human_logits.float().softmax(-1)[..., human] * chosen.mask
    return TripletTable(corners(said.human_boxes), corners(said.object_boxes), label, prior)


class SetEvaluation(HeadEvaluation):
    """Streaming: add batches of a split, then ask for the report over its images."""

    split: SetSplit

    def __init__(self, split: SetSplit, bundle: Bundle, rows: PromptRows,
                 unseen: Optional[np.ndarray] = None) -> None:
        super().__init__(split, bundle, rows, unseen)  # type: ignore[arg-type]
        self._rows = rows

    def add_triplets(self, batch: SetBatch, table: TripletTable, logits: Tensor) -> None:
        """Add a batch; logits: (B, Q, R) of the prompt rows."""
        probabilities = logits.float().sigmoid() * self._rows.validity.T[table.labels]
        best = top_triplets(probabilities, table.prior, table.prior > 0, TRIPLETS)
        humans, objects, labels = (rows_of(part, best.pair) for part in table[:3])
        classes = self._class_of[best.row.cpu(), labels.cpu()]
        keep = triplet_nms(humans, objects, classes.to(humans.device), best.scores).cpu()
        keep &= classes >= 0
        parts: List[BoxPairs] = []
        for place, image in enumerate(batch.index.tolist()):
            kept, at = keep[place], self.split.placements[image]
            size = np.array([at.width, at.height] * 2, np.float32)
            people, things = (at.to_source(part[place, kept.to(part.device)].cpu().numpy() * size)
                              for part in (humans, objects))
            parts.append(BoxPairs(people, things, classes[place, kept].numpy(),
                                  best.scores[place, kept.to(humans.device)].cpu().numpy(),
                                  np.full(len(people), image)))
        self._found.append(BoxPairs.concatenate(parts))


def union_overlap(batch: SetBatch, logits: Tensor, pair: Tensor) -> Tensor:
    """
    Return (n,) IoU of the union masks of matched queries with the pseudo-label masks.

    logits: (B, Q, h, w). pair: (B, Q) int64, -1 = unmatched. Masks are cut to the annotated boxes.
    """
    at = pair.clamp(min=0)
    image, query = ((pair >= 0) & rows_of(batch.masks.valid_union, at)).nonzero(as_tuple=True)
    row = at[image, query]
    size = logits.shape[-2:]
    near = (inside_boxes(batch.targets.humans[image, row], *size)
            | inside_boxes(batch.targets.objects[image, row], *size))
    said, truth = (logits[image, query] > 0) & near, batch.masks.union[image, row]
    return (said & truth).sum((-1, -2)) / (said | truth).sum((-1, -2)).clamp(min=1)


def mean_or_zero(values: List[Tensor]) -> float:
    """Return the mean of all numbers, 0 where there are none."""
    joined = torch.cat(values) if values else torch.zeros(0)
    return float(joined.float().mean()) if len(joined) else 0.0
