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

    score: difference of two scores as logits, so that 0.2 is 0.05 at a score of one half and a
    fifth of small scores. overlap: least IoU of two boxes that are the same. feature: error of a
    feature vector, as a part of its length.
    """

    score: float
    overlap: float
    feature: float

    def times(self, slack: float) -> 'Tolerance':
        """Return a tolerance that is so many times as wide."""
        return Tolerance(slack * self.score, 1 - slack * (1 - self.overlap), slack * self.feature)


TOLERANCES = {'fp32': Tolerance(0.01, 0.98, 0.01), 'bf16': Tolerance(0.2, 0.85, 0.1),
              'fp16': Tolerance(0.05, 0.95, 0.03)}
# Scores beyond these are as good as impossible, or certain.
FAINT, CERTAIN = 0.001, 0.97


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
    rows of the boxes that decide, matched. A tie that falls the other way in the order of
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

    names: of the outputs. eager, engine: one tuple of outputs per input, (B, ...) each. Outputs
    named `boxes` and `labels` are judged as a detector's, `pair` and `row` as triplets, others
    entry by entry.
    """
    outcomes = compare(names, eager, engine, TOLERANCES[precision], rules)
    return sum_up(names, outcomes, len(eager))


def compare(names: Sequence[str], eager: Sequence[Sequence[torch.Tensor]],
            engine: Sequence[Sequence[torch.Tensor]], tolerance: Tolerance,
            rules: Rules = DEFAULT_RULES) -> List[Outcome]:
    """Return one outcome per image; arguments as of `check_parity`, (B, ...) each."""
    outcomes: List[Outcome] = []
    for expected, got in zip(eager, engine):
        outcomes += _compare(dict(zip(names, map(_array, expected))),
                             dict(zip(names, map(_array, got))), tolerance, rules)
    return outcomes


def first_failure(outcomes: Sequence[Outcome]) -> str:
    """Return '' or the first difference and its image, counted from 1."""
    return next((f'image {i}: {outcome.failure}' for i, outcome in enumerate(outcomes, 1)
                 if outcome.failure), '')


def sum_up(names: Sequence[str], outcomes: Sequence[Outcome], inputs: int) -> Parity:
    """Return what was found in all images of so many inputs."""
    errors: Dict[str, np.ndarray] = {
        name: np.concatenate([_error(*o.compared[name]) for o in outcomes if name in o.compared]
                             or [np.zeros(0)]) for name in names}
    return Parity(first_failure(outcomes), inputs, sum(o.decisions for o in outcomes),
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
            return [Outcome(f'{name} is {got.shape} {got.dtype}, eager gives {expected.shape} '
                            f'{expected.dtype}', 0, {})]
        if not np.isfinite(got).all():
            return [Outcome(f'{name} has NaN or infinity', 0, {})]
    if not {'boxes', 'labels'} <= set(eager) and not {'pair', 'row'} <= set(eager):
        return [_elementwise(eager, engine, tolerance)]
    judge = _detector if 'boxes' in eager else _triplets
    return [judge({k: v[i] for k, v in eager.items()}, {k: v[i] for k, v in engine.items()},
                  tolerance, rules) for i in range(len(eager['scores']))]


def _logit(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(scores.astype(np.float64), FAINT, CERTAIN)
    return np.log(clipped / (1 - clipped))


def _elementwise(eager: Arrays, engine: Arrays, tolerance: Tolerance) -> Outcome:
    compared = {name: (eager[name], engine[name]) for name in eager}
    far = next((name for name, (a, b) in compared.items() if a.size and _error(a, b).max()
                > tolerance.feature * max(float(np.abs(a).max()), 1e-6)), None)
    return Outcome(f'{far} differs by {_error(*compared[far]).max():.2g}' if far else '',
                   len(compared), compared)


def _least(ours: Arrays, theirs: Arrays, threshold: float, margin: float) -> float:
    """
    Return the logit from which on entries must be on both sides.

    That is the threshold, lowered so that the best few of eager are compared in any case, but not
    below the end of the other list: what is worse than that had no room in it.
    """
    best = np.sort(_logit(ours['scores']))[::-1]
    wanted = min(float(_logit(np.array(threshold))), float(best[:LEAST].min(initial=np.inf)))
    return max(wanted, float(_logit(theirs['scores']).min(initial=np.inf))) + margin


def _detector(eager: Arrays, engine: Arrays, tolerance: Tolerance, rules: Rules) -> Outcome:
    """Boxes kept on one side must be kept on the other, or lose there to a near tie."""
    kept = [nms(side['boxes'], side['scores'], side['labels'], rules.nms_iou)
            for side in (eager, engine)]
    same = _partners(eager, engine, tolerance.overlap, tolerance.score)
    # A box that repeats another may be the one that is kept where both have about one score.
    tie = _partners(eager, engine, rules.nms_iou, tolerance.score)
    failure = _sorted_scores(eager, engine, tolerance.score)
    judged, decisions = kept[0][:0], 0
    for ours, theirs, rows, others, s, t, who in (
            (eager, engine, kept[0], kept[1], same, tie, 'the engine'),
            (engine, eager, kept[1], kept[0], same.T, tie.T, 'eager')):
        least = _least(ours, theirs, rules.instance, tolerance.score)
        rows = rows[_logit(ours['scores'][rows]) >= least]
        found = s[rows].any(1) & t[rows][:, others].any(1)
        decisions += len(rows)
        judged = judged if ours is engine else rows[found]
        if not failure and not found.all():
            lost = rows[~found][0]
            failure = (f'a box of class {ours["labels"][lost]} with score '
                       f'{ours["scores"][lost]:.3f} is not found by {who}')
    twins = np.where(same[judged], _likeness(eager, engine, judged), -np.inf).argmax(1)
    compared = {name: (value[judged], engine[name][twins]) if name != 'prototypes'
                else (value, engine[name]) for name, value in eager.items()}
    return Outcome(failure or _features(compared, tolerance), decisions, compared)


def _sorted_scores(eager: Arrays, engine: Arrays, margin: float) -> str:
    """Return '' or how far the scores are apart, best with best, whatever they belong to."""
    first, second = np.sort(eager['scores'])[::-1], np.sort(engine['scores'])[::-1]
    apart = np.abs(_logit(first) - _logit(second))
    if not apart.size or apart.max() <= margin:
        return ''
    rank = int(apart.argmax())
    return f'score {rank + 1} is {second[rank]:.4f}, eager gives {first[rank]:.4f}'


def _likeness(eager: Arrays, engine: Arrays, rows: np.ndarray) -> np.ndarray:
    """Return (rows, m) how much alike boxes are, by what lies in them where that is known."""
    if eager.get('queries', np.zeros(0)).size:
        apart: np.ndarray = np.linalg.norm(eager['queries'][rows, None] - engine['queries'],
                                           axis=-1)
        return -apart
    return iou(eager['boxes'][rows], engine['boxes'])


def _partners(first: Arrays, second: Arrays, overlap: float, margin: float) -> np.ndarray:
    """Return (n, m) whether boxes agree in class, place and score."""
    near = np.abs(_logit(first['scores'])[:, None] - _logit(second['scores'])) <= margin
    partners: np.ndarray = (near & (first['labels'][:, None] == second['labels'][None])
                            & (iou(first['boxes'], second['boxes']) >= overlap))
    return partners


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
    lists = [_entries(side) for side in (eager, engine)]
    failure, decisions = _sorted_scores(eager, engine, tolerance.score), 0
    for ours, theirs, i, who in ((eager, engine, 0, 'the engine'), (engine, eager, 1, 'eager')):
        least = _least(ours, theirs, rules.triplet, tolerance.score)
        judged = {entry: logit for entry, logit in lists[i].items() if logit >= least}
        decisions += len(judged)
        lost = [entry for entry, logit in judged.items()
                if abs(lists[1 - i].get(entry, -np.inf) - logit) > tolerance.score]
        if lost and not failure:
            failure = f'pair {lost[0][0]} with phrase {lost[0][1]} is judged otherwise by {who}'
    return Outcome(failure, decisions, {name: (eager[name], engine[name]) for name in eager})


def _entries(side: Arrays) -> Dict[Tuple[int, int], float]:
    return {(int(pair), int(row)): float(logit) for pair, row, logit in
            zip(side['pair'], side['row'], _logit(side['scores']))}
