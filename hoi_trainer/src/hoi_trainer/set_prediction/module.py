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

"""Lightning module of Seg2HOI on a frozen trunk."""

from contextlib import nullcontext
from typing import Any, List

from hoi_perception.networks.seg2hoi import mask_logits, Seg2Hoi, Seg2HoiConfig
from hoi_perception.runtime.loading import build_detector
from hoi_trainer.interaction.module import HeadModule
from hoi_trainer.interaction.rows import PromptRows
from hoi_trainer.set_prediction.criterion import LossWeights, SetCriterion
from hoi_trainer.set_prediction.data import SetBatch, verb_targets
from hoi_trainer.set_prediction.evaluate import (
    box_triplets,
    instance_triplets,
    mean_or_zero,
    SetEvaluation,
    union_overlap,
)
from hoi_trainer.set_prediction.matcher import assign, matching_cost
from hoi_trainer.set_prediction.points import PointSampling
import torch
from torch import Tensor
from torch.nn.attention import sdpa_kernel, SDPBackend
from torch.nn.functional import normalize

WEIGHTS, POINTS = LossWeights(), PointSampling()


class Seg2HoiModule(HeadModule):
    """
    Decoder and heads of Seg2HOI; the bundle's detector is the frozen trunk, read from the cache.

    human_queries to patch, relation, image: see `Seg2HoiConfig`. masks: False trains on triplets
    alone (an ablation). text: 'clip' compares with the bundle's text embeddings, 'random' with
    fixed random directions (the control of zero-shot verbs).
    """

    def __init__(self, bundle: str, human_queries: int = 60, object_queries: int = 60,
                 layers: int = 6, width: int = 256, heads: int = 8, ffn: int = 2048,
                 dropout: float = 0.1, relation: bool = True, image: bool = True, patch: int = 4,
                 masks: bool = True, text: str = 'clip', weights: LossWeights = WEIGHTS,
                 points: PointSampling = POINTS, learning_rate: float = 1e-4,
                 weight_decay: float = 1e-4) -> None:
        super().__init__(bundle, learning_rate, weight_decay)
        if text not in ('clip', 'random'):
            raise ValueError(f'text is {text!r}, expected clip or random.')
        vocabulary, trunk = self.bundle.spec.core_vocabulary(), build_detector(self.bundle.spec)
        if text == 'random':
            self.rows = self.training_rows = random_rows(self.rows)
        config = Seg2HoiConfig(
            query_dim=trunk.query_dim, pixel_dim=trunk.pixel_dim,
            embed_dim=self.rows.embeddings.shape[1], classes=len(vocabulary.objects),
            human=vocabulary.human, human_queries=human_queries, object_queries=object_queries,
            layers=layers, width=width, heads=heads, ffn=ffn, dropout=dropout, relation=relation,
            image=image, patch=patch)
        self.network = Seg2Hoi(config)
        self.network_config = {'kind': 'seg2hoi', 'config': config.to_mapping()}
        self.criterion = SetCriterion(vocabulary.human, weights, points, masks)

    def forward(self, batch: SetBatch) -> Any:
        """Return the queries and the relations of the batch."""
        # On the CPU the fused attention is several times slower on so few tokens.
        on_cpu = batch.inputs.boxes.device.type == 'cpu'
        with sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext():
            return self.network(batch.inputs)

    def training_step(self, batch: SetBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        chosen, layers = self(batch)
        with torch.autocast(self.device.type, enabled=False):
            layers = [type(part)(*(value.float() for value in part)) for part in layers]
            rows = self.training_rows
            terms = self.criterion(
                batch.inputs, chosen, layers,
                [self.network.verb_logits(part.features, rows.embeddings) for part in layers],
                batch.targets, verb_targets(batch.targets, rows), batch.masks)
        total = torch.stack(list(terms.values())).sum()
        self.log_dict({f'train/{name}': value.detach() for name, value
                       in {**terms, 'loss': total}.items()}, batch_size=len(batch.index))
        return total

    def on_validation_epoch_start(self) -> None:
        """Begin a new evaluation."""
        data = self.trainer.datamodule
        self._evaluations = {name: SetEvaluation(data.splits['val'], self.bundle, self.rows,
                                                 data.unseen)
                             for name in ('instances', 'boxes')}
        self._overlaps: List[Tensor] = []

    def validation_step(self, batch: SetBatch, batch_idx: int) -> None:
        """Score a batch."""
        chosen, layers = self(batch)
        last = type(layers[-1])(*(value.float() for value in layers[-1]))
        logits = self.network.verb_logits(last.features, self.rows.embeddings.to(self.device))
        human = self.network.config.human
        for name, table in (('instances', instance_triplets), ('boxes', box_triplets)):
            self._evaluations[name].add_triplets(batch, table(batch, chosen, last, human), logits)
        cost = matching_cost(batch.inputs, chosen, last, logits, batch.targets,
                             verb_targets(batch.targets, self.rows))
        self._overlaps.append(union_overlap(batch, mask_logits(last.union, batch.inputs.pixels),
                                            assign(cost, chosen.humans)))

    def on_validation_epoch_end(self) -> None:
        """Log mean average precision and how well union masks fit the pseudo-labels."""
        for name, evaluation in self._evaluations.items():
            report, key = evaluation.report(), 'map' if name == 'instances' else 'map_boxes'
            self.log(f'val/{key}', report.full, prog_bar=True)
            if report.unseen is not None:
                self.log_dict({f'val/{key}_unseen': report.unseen,
                               f'val/{key}_seen': report.seen})
        self.log('val/union_iou', mean_or_zero(self._overlaps))


def random_rows(rows: PromptRows, seed: int = 0) -> PromptRows:
    """Return the rows with random directions in place of their text, the same ones every time."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(rows.embeddings.shape, generator=generator)
    return rows._replace(embeddings=normalize(drawn, dim=-1))
