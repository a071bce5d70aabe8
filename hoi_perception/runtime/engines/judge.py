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
Whose decisions an engine must share with eager: those on real frames, where there are enough.

The example of a graph is random, so its scores are close to one another and low precision orders
them otherwise: on it an engine may differ that never does on what a camera shows. Real frames are
judged therefore, and the example, which every graph has, is looked at for gross errors only.
"""

from dataclasses import dataclass
from typing import Any, Dict, Sequence

from hoi_perception.runtime.engines.parity import (
    compare,
    DEFAULT_RULES,
    first_failure,
    LEAST,
    Parity,
    Rules,
    sum_up,
    TOLERANCES,
)
import torch

ENOUGH = 2 * LEAST
"""Decisions that real frames must give to be judged alone; either side counts its own."""
SLACK = 5.0
"""Times the tolerance of the precision that the example may differ when real frames decide."""

Outputs = Sequence[Sequence[torch.Tensor]]


@dataclass(frozen=True)
class Verdict:
    """
    Whether an engine may be used.

    failure: '' or a sentence. judged: 'recorded frames', 'recorded frames and example' or
    'example'. parity: what the judged inputs gave. example: the comparison of the example alone,
    which fails by gross errors only where it was not judged. inputs: how many were looked at.
    """

    failure: str
    judged: str
    parity: Parity
    example: Parity
    inputs: int

    def to_dict(self) -> Dict[str, Any]:
        """Return it as `engine.json` has it."""
        return {**self.parity.to_dict(), 'ok': not self.failure, 'failure': self.failure,
                'judged': self.judged, 'inputs': self.inputs, 'example': self.example.to_dict()}


def judge(names: Sequence[str], eager: Outputs, engine: Outputs, precision: str,
          rules: Rules = DEFAULT_RULES) -> Verdict:
    """
    Compare the outputs of an engine with eager's; the first input is the graph's example.

    names: of the outputs. eager, engine: one tuple of outputs per input. For how decisions are
    compared see `parity.check_parity`.
    """
    tolerance = TOLERANCES[precision]
    recorded = compare(names, eager[1:], engine[1:], tolerance, rules)
    enough = sum(outcome.decisions for outcome in recorded) >= ENOUGH
    example = compare(names, eager[:1], engine[:1],
                      tolerance.times(SLACK) if enough else tolerance, rules)
    if failure := first_failure(recorded):
        failure = f'recorded {failure}'
    elif failure := first_failure(example):
        failure = f'{"grossly, " if enough else ""}example {failure}'
    judged = ('recorded frames' if enough else
              'recorded frames and example' if recorded else 'example')
    outcomes = recorded if enough else [*example, *recorded]
    return Verdict(failure, judged, sum_up(names, outcomes, len(eager) - enough),
                   sum_up(names, example, 1), len(eager))
