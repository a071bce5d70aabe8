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
Heads compared on identical detections and pairs, by HICO-DET's rules.

Mean average precision over the (verb, object) classes that the split's annotations contain, by
protocol `hico_official` (`hoi_perception.evaluation.hico_det`); a score is the head's
probability times (human score * object score) ** exponent, the best 100 per image count.
"""

from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence

from hoi_perception.evaluation.datasets.names import HoiNames
from hoi_perception.evaluation.hico_det import evaluate, HICO_OFFICIAL, judge
from hoi_perception.evaluation.judged import Judged
from hoi_perception.evaluation.pairs import BoxPairs
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.datasets.records import HoiDataset
from hoi_trainer.interaction.data import HeadBatch, HeadSplit
from hoi_trainer.interaction.rows import PromptRows
import numpy as np
import torch
from torch import Tensor

TRIPLETS = 100


@dataclass(frozen=True)
class HeadReport:
    """
    Mean AP over classes with ground truth: all, seen and unseen ones and their harmonic mean.

    seen, unseen, harmonic: None without unseen classes. classes: how many were averaged over
    (full, seen, unseen). per_class: AP by 'verb object'.
    """

    protocol: str
    full: float
    seen: Optional[float]
    unseen: Optional[float]
    harmonic: Optional[float]
    classes: Dict[str, int]
    images: int
    per_class: Dict[str, float]


class HeadEvaluation:
    """Streaming: add batches of a split, then ask for the report over their images."""

    def __init__(self, split: HeadSplit, bundle: Bundle, rows: PromptRows,
                 unseen: Optional[np.ndarray] = None) -> None:
        self.split, self.unseen = split, np.zeros(0, np.int64) if unseen is None else unseen
        self._class_of = class_of_rows(split.dataset.names, bundle, rows)
        self._found: List[BoxPairs] = []

    def add(self, batch: HeadBatch, probabilities: Tensor, exponent: float) -> None:
        """Add (B, P, R) probabilities of a batch; rows that are not valid do not count."""
        scores = probabilities.float() * batch.valid * (batch.prior ** exponent)[..., None]
        rows = scores.shape[-1]
        best = scores.flatten(1).topk(min(TRIPLETS, scores[0].numel()), dim=1)
        pair = best.indices // rows
        human, thing = (index.gather(1, pair).cpu() for index in (batch.inputs.human,
                                                                  batch.inputs.object))
        labels = batch.inputs.labels.cpu().gather(1, thing)
        classes = self._class_of[(best.indices % rows).cpu(), labels].numpy()
        values = best.values.cpu().numpy()
        image = np.broadcast_to(batch.index.cpu().numpy()[:, None], classes.shape)
        kept = (values > 0) & (classes >= 0)
        boxes = self.split.detections.boxes
        self._found.append(BoxPairs(
            boxes[image[kept], human.numpy()[kept]], boxes[image[kept], thing.numpy()[kept]],
            classes[kept], values[kept], image[kept]))

    def report(self, images: Optional[np.ndarray] = None) -> HeadReport:
        """Return the figures; images: (n,) indices that were evaluated [the whole split]."""
        dataset = self.split.dataset
        truth = annotated_pairs(dataset)
        if images is not None:
            truth = truth.take(np.isin(truth.images, images))
        names = dataset.names
        result = evaluate(HICO_OFFICIAL, BoxPairs.concatenate(self._found), truth,
                          len(names.combinations), len(dataset))
        present = result.positives > 0
        held = np.zeros(len(present), bool)
        held[self.unseen] = True

        def mean(which: np.ndarray) -> float:
            return float(result.ap[which & present].mean()) if (which & present).any() else 0.0

        full, seen, unseen = mean(present), mean(~held), mean(held)
        harmonic = 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0
        split = bool(held.any())
        return HeadReport(
            result.protocol, full, seen if split else None, unseen if split else None,
            harmonic if split else None,
            {'full': int(present.sum()), 'seen': int((present & ~held).sum()),
             'unseen': int((present & held).sum())},
            len(dataset) if images is None else len(images),
            {f'{names.verbs[verb]} {names.objects[thing]}': float(result.ap[i])
             for i, (verb, thing) in enumerate(names.combinations) if present[i]})

    def judged(self) -> Judged:
        """Return every triplet with whether it is right; of the whole split."""
        dataset = self.split.dataset
        return judge(HICO_OFFICIAL, BoxPairs.concatenate(self._found), annotated_pairs(dataset),
                     len(dataset.names.combinations), len(dataset))


def class_of_rows(names: HoiNames, bundle: Bundle, rows: PromptRows) -> Tensor:
    """Return (R, objects) int64: the HOI class of a row on a pair with that object, -1 = none."""
    vocabulary = bundle.spec.core_vocabulary()
    table = np.pad(names.class_table(), ((0, 1), (0, 1)), constant_values=-1)
    verbs = [names.verbs.index(v) if v in names.verbs else -1 for v in vocabulary.verb_names]
    objects = [names.objects.index(o) if o in names.objects else -1 for o in vocabulary.objects]
    return torch.from_numpy(table[np.ix_(verbs, objects)])[rows.verb_of_row.cpu()]


def annotated_pairs(dataset: HoiDataset) -> BoxPairs:
    """Return the annotation of a data set; pairs of no HOI class are left out."""
    table = dataset.names.class_table()
    parts = []
    for image, record in enumerate(dataset.records):
        classes = table[record.verbs, record.objects]
        kept = classes >= 0
        parts.append(BoxPairs(record.human_boxes[kept], record.object_boxes[kept], classes[kept],
                              images=np.full(int(kept.sum()), image)))
    return BoxPairs.concatenate(parts)


@torch.inference_mode()
def evaluate_scores(score: Callable[[HeadBatch], Tensor], split: HeadSplit, bundle: Bundle,
                    rows: PromptRows, exponents: Sequence[float],
                    unseen: Optional[np.ndarray] = None,
                    batch_size: int = 32) -> Dict[float, HeadReport]:
    """
    Return the report of a head on a whole split for each exponent of the detector's scores.

    score: a batch to its (B, P, R) probabilities.
    """
    evaluations = {exponent: HeadEvaluation(split, bundle, rows, unseen)
                   for exponent in exponents}
    for index in torch.arange(split.count).split(batch_size):
        batch = split.batch(index, split.normalise(split.pixels(index)), rows)
        probabilities = score(batch)
        for exponent, evaluation in evaluations.items():
            evaluation.add(batch, probabilities, exponent)
    return {exponent: evaluation.report() for exponent, evaluation in evaluations.items()}
