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
V-COCO agent AP and role AP, scenarios 1 and 2, as the official evaluator computes them.

A detection looks only at the person of its image that it overlaps most (the first of equals,
also when nothing overlaps); if that person has no V-COCO annotation, the detection does not
count. It is right when the person does the action, the overlap is at least 0.5, for a role also
that role's box overlaps at least 0.5, and no better detection took this person for this action
and role. Where the annotation has no box for the role, scenario 1 wants an empty prediction and
scenario 2 accepts any. Recall of a role counts every person doing the action. Boxes name their
last pixel; overlaps and scores in single precision; AP is the area under the precision envelope.
Source: vsrl_eval.py of s-gupta/v-coco. Where that crashes: a detection on an image without
persons is wrong, an action without detections has AP 0, one without positives NaN. Its sort of
equal scores is arbitrary; here they keep the order of images, then of detections.
"""

from dataclasses import dataclass
from typing import Iterator, NamedTuple, Sequence, Tuple, Union

from hoi_perception.evaluation import average_precision
from hoi_perception.evaluation.matching import best_truth, box_overlap, first_claims, same_group
from hoi_perception.evaluation.pairs import finite, indices
from hoi_perception.evaluation.vcoco_truth import ROLES, VcocoTruth
import numpy as np

PROTOCOL = 'vcoco_official'
OVERLAP = 0.5
SCENARIOS = (1, 2)


class AgentRows(NamedTuple):
    """Row of a detected person (m,), the action (m,) it is scored for, and the score (m,)."""

    person: np.ndarray
    action: np.ndarray
    scores: np.ndarray


class RoleRows(NamedTuple):
    """As `AgentRows`, with the role's slot (m,) 0 or 1 and box (m, 4); zeros or NaN = no box."""

    person: np.ndarray
    action: np.ndarray
    scores: np.ndarray
    slot: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class VcocoDetections:
    """
    Detected persons and what they do.

    images: (D,) index of the image. persons: (D, 4) xyxy, last pixel included. agents, roles:
    only what was detected. Slots of roles that an action does not have are not looked at. Raises
    `HoiError`.
    """

    images: np.ndarray
    persons: np.ndarray
    agents: AgentRows
    roles: RoleRows

    def __post_init__(self) -> None:
        count = len(self.images)
        indices('VcocoDetections.images', self.images, count)
        finite('VcocoDetections.persons', self.persons, (count, 4))
        for name, person, scores in (('agents', self.agents.person, self.agents.scores),
                                     ('roles', self.roles.person, self.roles.scores)):
            indices(f'VcocoDetections.{name}.person', person, len(scores), count)
            finite(f'VcocoDetections.{name}.scores', scores, (len(scores),))
        rows = len(self.roles.scores)
        indices('VcocoDetections.roles.slot', self.roles.slot, rows, ROLES)
        finite('VcocoDetections.roles.boxes', self.roles.boxes, (rows, 4), nan=True)

    @staticmethod
    def from_dense(images: np.ndarray, persons: np.ndarray, agent_scores: np.ndarray,
                   roles: np.ndarray) -> 'VcocoDetections':
        """
        Build from one row per person, as in the official result files.

        agent_scores: (D, A), NaN = not detected. roles: (D, A, 2, 5) box and score of each role,
        NaN score = not detected.
        """
        shape = np.shape(agent_scores)
        agent_scores = finite('agent_scores', agent_scores, (len(images), *shape[1:]), nan=True)
        roles = finite('roles', roles, (*shape, ROLES, 5), nan=True)
        who, what = np.nonzero(~np.isnan(agent_scores))
        person, action, slot = np.nonzero(~np.isnan(roles[..., 4]))
        found = roles[person, action, slot]
        return VcocoDetections(images, persons, AgentRows(who, what, agent_scores[who, what]),
                               RoleRows(person, action, found[:, 4], slot, found[:, :4]))

    @staticmethod
    def concatenate(parts: Sequence['VcocoDetections']) -> 'VcocoDetections':
        """Return the detections of all parts (one or more), such as images one by one."""
        starts = np.cumsum([0] + [len(part.images) for part in parts])

        def joined(kind: str) -> Iterator[np.ndarray]:
            for name in getattr(parts[0], kind)._fields:
                columns = [np.asarray(getattr(getattr(part, kind), name)) for part in parts]
                if name == 'person':
                    columns = [rows + start for rows, start in zip(columns, starts)]
                yield np.concatenate(columns)
        return VcocoDetections(np.concatenate([part.images for part in parts]),
                               np.concatenate([part.persons for part in parts]),
                               AgentRows(*joined('agents')), RoleRows(*joined('roles')))


@dataclass(frozen=True)
class VcocoResult:
    """
    AP in 0..1: agent (A,), role per scenario (A, 2); NaN = no such role, or no positives.

    positives: (A,) persons doing the action.
    """

    actions: Tuple[str, ...]
    roles: Tuple[Tuple[str, ...], ...]
    agent: np.ndarray
    role: Tuple[np.ndarray, np.ndarray]
    positives: np.ndarray

    @property
    def agent_mean(self) -> float:
        """Official mean agent AP: over all actions, those without positives as 0."""
        return float(np.nansum(self.agent) / len(self.agent))

    def role_mean(self, scenario: int, point: bool = False) -> float:
        """
        Return mean role AP of scenario 1 or 2; NaN where no role has positives.

        point: with the role of 'point', as the official code prints it (25 roles); most papers
        state the mean without it (24).
        """
        keep = [point or name != 'point' for name in self.actions]
        found = self.role[SCENARIOS.index(scenario)][keep]
        found = found[~np.isnan(found)]
        return float(found.mean()) if len(found) else float('nan')

    def role_count(self, point: bool = False) -> int:
        """Return how many roles that mean is over."""
        return sum(len(roles) for name, roles in zip(self.actions, self.roles)
                   if point or name != 'point')

    def summary(self) -> str:
        """Return one line: protocol, and every mean in percent with what it is over."""
        parts = [f'agent AP {100 * self.agent_mean:.2f} ({len(self.agent)} actions)']
        for scenario in SCENARIOS:
            parts.append(f'role AP scenario {scenario} ' + ' and '.join(
                f'{100 * self.role_mean(scenario, point):.2f} ({self.role_count(point)} roles, '
                f'{"official" if point else "without point"})' for point in (False, True)))
        return f'V-COCO AP [protocol {PROTOCOL}]: {", ".join(parts)}'

    __str__ = summary


class _Annotation(NamedTuple):
    """The truth with one more row at its end, so that row -1 is 'no such person or box'."""

    boxes: np.ndarray
    labels: np.ndarray
    role_rows: np.ndarray


class _Matches(NamedTuple):
    """Per detected person (D,): its image, annotated person, whether it overlaps and counts."""

    images: np.ndarray
    truth: np.ndarray
    overlaps: np.ndarray
    counts: np.ndarray


def evaluate(detections: VcocoDetections, truth: VcocoTruth) -> VcocoResult:
    """Return agent and role AP of a set; raises `HoiError`."""
    actions = len(truth.actions)
    indices('VcocoDetections.images', detections.images, len(detections.images),
            len(truth.image_ids))
    indices('VcocoDetections.agents.action', detections.agents.action,
            len(detections.agents.scores), actions)
    indices('VcocoDetections.roles.action', detections.roles.action,
            len(detections.roles.scores), actions)
    padded = _Annotation(
        np.concatenate([truth.boxes, np.zeros((1, 4))]).astype(np.float32),
        np.concatenate([truth.labels, np.zeros((1, actions), np.int8)]),
        np.concatenate([truth.role_rows, np.full((1, actions, ROLES), -1)]))
    matches = _match_people(detections, truth, padded)
    positives = (truth.labels[truth.person] == 1).sum(0)
    exists = np.array([[slot < len(names) for slot in range(ROLES)] for names in truth.roles])
    roles = detections.roles
    real_slots = exists[roles.action, roles.slot]
    roles = RoleRows(*(np.asarray(part)[real_slots] for part in roles))
    role = [np.where(exists, _ap(roles, roles.action * ROLES + roles.slot, fits, matches, padded,
                                 np.repeat(positives, ROLES)).reshape(-1, ROLES), np.nan)
            for fits in _role_fits(roles, matches, padded)]
    agents = detections.agents
    agent = _ap(agents, agents.action, np.ones(len(agents.scores), bool), matches, padded,
                positives)
    return VcocoResult(truth.actions, truth.roles, agent, (role[0], role[1]), positives)


def _match_people(detections: VcocoDetections, truth: VcocoTruth,
                  padded: _Annotation) -> _Matches:
    people = np.flatnonzero(truth.person)
    pairs = same_group(np.asarray(detections.images), truth.images[people])
    pairs = pairs._replace(truth=people[pairs.truth])
    overlap = box_overlap(detections.persons[pairs.detection].astype(np.float32),
                          padded.boxes[pairs.truth], last_pixel=True)
    best = best_truth(pairs, overlap, len(detections.images))
    return _Matches(np.asarray(detections.images), best.truth, best.overlap >= OVERLAP,
                    (padded.labels[best.truth] != -1).all(1))


def _role_fits(roles: RoleRows, matches: _Matches,
               padded: _Annotation) -> Tuple[np.ndarray, np.ndarray]:
    """Return whether each role's box is right in scenario 1 and 2, (m,) bool each."""
    boxes = np.asarray(roles.boxes, np.float32)
    annotated = padded.role_rows[matches.truth[roles.person], roles.action, roles.slot]
    close = box_overlap(boxes, padded.boxes[annotated], last_pixel=True) >= OVERLAP
    empty = (boxes == 0).all(1) | np.isnan(boxes).all(1)
    return (np.where(annotated == -1, empty, close), np.where(annotated == -1, True, close))


def _ap(found: Union[AgentRows, RoleRows], classes: np.ndarray, fits: np.ndarray,
        matches: _Matches, padded: _Annotation, positives: np.ndarray) -> np.ndarray:
    """Return the (C,) AP of agent or role rows, each of one class."""
    person, scores = np.asarray(found.person), np.asarray(found.scores, np.float32)
    rows = np.flatnonzero(matches.counts[person])
    rows = rows[average_precision.ranking(classes[rows], scores[rows],
                                          matches.images[person[rows]])]
    taken = matches.truth[person[rows]]
    right = (matches.overlaps[person[rows]] & fits[rows]
             & (padded.labels[taken, found.action[rows]] == 1))
    right = first_claims(classes[rows] * len(padded.boxes) + taken, right)
    return average_precision.area(
        average_precision.curve(classes[rows], right, positives), positives)
