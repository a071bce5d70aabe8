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
Parity: an engine must decide as eager does.

Numbers differ a little between compilers, so bit equality is no question. What must be the same
is what the robot is told: the boxes that are left after duplicates are removed, and the triplets
at the top. A difference that a tie explains, within the tolerance of the precision, is none.
"""

from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from hoi_perception.core.boxes import iou, nms
import numpy as np
import torch

Arrays = Mapping[str, np.ndarray]
# At least so many entries of an image are compared, however low their scores.
LEAST = 10


class Tolerance(NamedTuple):
    """
    What counts as the same.

    score: difference of two scores, as a part of the image's best. overlap: least IoU of two
    boxes that are the same. feature: error of a feature vector, as a part of its length.
    """

    score: float
    overlap: float
    feature: float


TOLERANCES = {'fp32': Tolerance(0.001, 0.98, 0.01), 'bf16': Tolerance(0.04, 0.85, 0.1),
              'fp16': Tolerance(0.01, 0.95, 0.03)}


class Rules(NamedTuple):
    """Scores above which decisions count, and the overlap at which a box repeats another."""

    instance: float = 0.2
    triplet: float = 0.1
    nms_iou: float = 0.5


DEFAULT_RULES = Rules()


@dataclass(frozen=True)
class Parity:
    """
    What a comparison found.

    failure: '' or a sentence with the first difference. inputs: how many were compared.
    decisions: boxes or triplets of either side that the other had to find, those in near ties
    left out. max_error, mean_error: per output, entry by entry; of a detector's outputs in the
    rows of the boxes that were kept, matched. A tie that falls the other way in the order of
    triplets shows here as a large error and is still no failure.
    """

    failure: str
    inputs: int
    decisions: int
    max_error: Dict[str, float]
    mean_error: Dict[str, float]

    @property
    def ok(self) -> bool:
        """Whether the engine may be used."""
        return not self.failure

    def to_dict(self) -> Dict[str, Any]:
        """Return it as `engine.json` has it."""
        return {'ok': self.ok, **asdict(self)}


class Outcome(NamedTuple):
    """The comparison of one image: '' or what differs, decisions, (eager, engine) by output."""

    failure: str
    decisions: int
    compared: Dict[str, Tuple[np.ndarray, np.ndarray]]


def check_parity(names: Sequence[str], eager: Sequence[Sequence[torch.Tensor]],
                 engine: Sequence[Sequence[torch.Tensor]], precision: str,
                 rules: Rules = DEFAULT_RULES) -> Parity:
    """
    Compare the outputs of an engine with eager's.

    names: of the outputs. eager, engine: one tuple of outputs per input. Outputs named `boxes`
    and `labels` are judged as a detector's, `pair` and `row` as triplets, others entry by entry.
    """
    tolerance = TOLERANCES[precision]
    outcomes: List[Outcome] = []
    for expected, got in zip(eager, engine):
        outcomes += _compare(dict(zip(names, map(_array, expected))),
                             dict(zip(names, map(_array, got))), tolerance, rules)
    failure = next((f'image {i}: {o.failure}' for i, o in enumerate(outcomes) if o.failure), '')
    errors: Dict[str, np.ndarray] = {
        name: np.concatenate([_error(*o.compared[name]) for o in outcomes if name in o.compared]
                             or [np.zeros(0)]) for name in names}
    return Parity(failure, len(eager), sum(o.decisions for o in outcomes),
                  {name: float(e.max(initial=0)) for name, e in errors.items()},
                  {name: float(e.mean()) if e.size else 0.0 for name, e in errors.items()})


def _array(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _error(expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    return np.abs(expected.astype(np.float64) - got.astype(np.float64)).ravel()


def _compare(eager: Arrays, engine: Arrays, tolerance: Tolerance, rules: Rules) -> List[Outcome]:
    """Return one outcome per image of the batch."""
    for name, expected in eager.items():
        got = engine[name]
        if (got.shape, got.dtype) != (expected.shape, expected.dtype):
            return [_bad(f'{name} is {got.shape} {got.dtype}, eager gives {expected.shape} '
                         f'{expected.dtype}')]
        if not np.isfinite(got).all():
            return [_bad(f'{name} has NaN or infinity')]
    if not {'boxes', 'labels'} <= set(eager) and not {'pair', 'row'} <= set(eager):
        return [_elementwise(eager, engine, tolerance)]
    judge = _detector if 'boxes' in eager else _triplets
    return [judge({k: v[i] for k, v in eager.items()}, {k: v[i] for k, v in engine.items()},
                  tolerance, rules) for i in range(len(eager['scores']))]


def _bad(failure: str) -> Outcome:
    return Outcome(failure, 0, {})


def _elementwise(eager: Arrays, engine: Arrays, tolerance: Tolerance) -> Outcome:
    compared = {name: (eager[name], engine[name]) for name in eager}
    far = next((name for name, (a, b) in compared.items() if a.size and _error(a, b).max()
                > tolerance.feature * max(float(np.abs(a).max()), 1e-6)), None)
    return Outcome(f'{far} differs by {_error(*compared[far]).max():.2g}' if far else '',
                   len(compared), compared)


def _threshold(scores: np.ndarray, least: float) -> float:
    """Return the score above which entries are compared: at least the best few are."""
    best = np.sort(scores[scores > 0])[::-1]
    return min(least, float(best[min(LEAST, len(best)) - 1])) if len(best) else least


def _detector(eager: Arrays, engine: Arrays, tolerance: Tolerance, rules: Rules) -> Outcome:
    """Boxes kept on one side must be kept on the other, or lose there to a near tie."""
    threshold = _threshold(eager['scores'], rules.instance)
    margin = tolerance.score * float(eager['scores'].max(initial=0))
    kept = [_kept(side, threshold, rules.nms_iou) for side in (eager, engine)]
    same = _partners(eager, engine, tolerance.overlap, margin)
    # A box that repeats another may be the one that is kept where both have about one score.
    tie = _partners(eager, engine, rules.nms_iou, margin)
    failure, decisions = _sorted_scores(eager, engine, margin), 0
    for ours, theirs, rows, others, s, t, who in (
            (eager, engine, kept[0], kept[1], same, tie, 'the engine'),
            (engine, eager, kept[1], kept[0], same.T, tie.T, 'eager')):
        least = max(threshold, float(theirs['scores'].min(initial=1))) + margin
        rows = rows[ours['scores'][rows] >= least]  # others are as good as on the threshold
        found = s[rows].any(1) & t[rows][:, others].any(1)
        decisions += len(rows)
        if not failure and not found.all():
            lost = rows[~found][0]
            failure = (f'a box of class {ours["labels"][lost]} with score '
                       f'{ours["scores"][lost]:.3f} is not found by {who}')
    rows = kept[0][same[kept[0]].any(1)]
    likeness = iou(eager['boxes'][rows], engine['boxes']) - np.abs(
        eager['scores'][rows, None] - engine['scores'][None])
    twins = np.where(same[rows], likeness, -np.inf).argmax(1)
    compared = {name: (value[rows], engine[name][twins]) if name != 'prototypes'
                else (value, engine[name]) for name, value in eager.items()}
    return Outcome(failure or _features(compared, tolerance), decisions, compared)


def _sorted_scores(eager: Arrays, engine: Arrays, margin: float) -> str:
    """Return '' or how far the scores are apart, best with best, whatever they belong to."""
    apart = np.abs(np.sort(eager['scores']) - np.sort(engine['scores'])).max(initial=0)
    return f'scores differ by {apart:.3f}' if apart > margin else ''


def _kept(side: Arrays, threshold: float, nms_iou: float) -> np.ndarray:
    rows = np.flatnonzero(side['scores'] >= threshold)
    return rows[nms(side['boxes'][rows], side['scores'][rows], side['labels'][rows], nms_iou)]


def _partners(first: Arrays, second: Arrays, overlap: float, margin: float) -> np.ndarray:
    """Return (n, m) whether boxes agree in class, place and score."""
    return ((first['labels'][:, None] == second['labels'][None])
            & (iou(first['boxes'], second['boxes']) >= overlap)
            & (np.abs(first['scores'][:, None] - second['scores'][None]) <= margin))


def _features(compared: Dict[str, Tuple[np.ndarray, np.ndarray]],
              tolerance: Tolerance) -> str:
    """Return '' or what is wrong with the vectors that later stages read."""
    for name in ('queries', 'coefficients', 'prototypes'):
        if name not in compared or not compared[name][0].size:
            continue
        expected, got = (side.reshape(len(side), -1) for side in compared[name])
        length = np.linalg.norm(expected, axis=1)
        error = np.linalg.norm(expected - got, axis=1) / np.maximum(length, 1e-6)
        if error.max() > tolerance.feature:
            return f'{name} differ by {error.max():.1%} of their length'
    return ''


def _triplets(eager: Arrays, engine: Arrays, tolerance: Tolerance, rules: Rules) -> Outcome:
    """Entries of one list must be in the other with nearly the same score, or at its very end."""
    threshold = _threshold(eager['scores'], rules.triplet)
    margin = tolerance.score * float(eager['scores'].max(initial=0))
    lists = [_entries(side) for side in (eager, engine)]
    failure, decisions = _sorted_scores(eager, engine, margin), 0
    for ours, theirs, scores, who in ((lists[0], lists[1], engine['scores'], 'the engine'),
                                      (lists[1], lists[0], eager['scores'], 'eager')):
        least = max(threshold, float(scores.min(initial=1))) + margin
        judged = {entry: score for entry, score in ours.items() if score >= least}
        decisions += len(judged)
        lost = [(entry, score) for entry, score in judged.items()
                if abs(theirs.get(entry, -1) - score) > margin]
        if lost and not failure:
            (pair, row), score = lost[0]
            failure = (f'pair {pair} with phrase {row} has score {score:.3f}, {who} gives '
                       f'{theirs.get((pair, row), 0):.3f}')
    return Outcome(failure, decisions, {name: (eager[name], engine[name]) for name in eager})


def _entries(side: Arrays) -> Dict[Tuple[int, int], float]:
    real = side['scores'] > 0
    return {(int(pair), int(row)): float(score) for pair, row, score in
            zip(side['pair'][real], side['row'][real], side['scores'][real])}
