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
Interactions over time: were they noticed, how late, in how many pieces, and how many made up.

A true interval is a <human track, verb, object track> of the truth from the first frame that has
it to the last, cut where it is absent for longer than `GAP_S`. A predicted interaction is what
has one `interaction_id`; it lasts as long as its event says. In each frame the triplets with an
id are matched to true ones of the same verb, one to one, by min(IoU of the humans, IoU of the
objects) >= 0.5 and the class of the object. A predicted interaction belongs to the true interval
that most of its frames matched, and is false if none did. Errors are predicted minus true.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Container, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from hoi_perception.core.scene import NONE, Scene
from hoi_perception.core.vocabulary import same_name
from hoi_perception.evaluation.one_to_one import assign, OVERLAP, pair_overlaps
import numpy as np

_Key = Tuple[int, str, int]
"""Human track, verb, object track (0 where the interaction has no object)."""

GAP_S = 0.5
"""A true interaction that is absent for longer has ended; shorter gaps are annotation noise."""

Span = Tuple[int, int]
"""First and last stamp in nanoseconds."""


class TimedScenes(NamedTuple):
    """
    One frame of a sequence; predicted None = not answered, truth None = not annotated.

    Predicted triplets have interaction ids, the truth has track ids.
    """

    stamp_ns: int
    predicted: Optional[Scene]
    truth: Optional[Scene]


@dataclass(frozen=True)
class EventAccuracy:
    """
    What became of K true intervals, and of P predicted interactions.

    verbs: (K,) names. spans: (K, 2) int64 nanoseconds. pieces: (K,) predicted interactions that
    belong to each, 0 = missed. start_error, end_error: (K,) seconds, positive = late: the first
    piece's start and the last one's end; NaN where missed. covered: (K,) share of the interval
    during which some piece lasts. predicted, false: how many there were, and how many belong to
    nothing. seconds: annotated time. untracked: true triplets left out, having no track ids.
    """

    verbs: Tuple[str, ...]
    spans: np.ndarray
    pieces: np.ndarray
    start_error: np.ndarray
    end_error: np.ndarray
    covered: np.ndarray
    predicted: int
    false: int
    seconds: float
    untracked: int = 0

    @property
    def recall(self) -> float:
        """Return the share of true intervals that were noticed, NaN without any."""
        return float((self.pieces > 0).mean()) if len(self.pieces) else float('nan')

    @property
    def precision(self) -> float:
        """Return the share of predicted interactions that are true, NaN without any."""
        return 1 - self.false / self.predicted if self.predicted else float('nan')

    @property
    def fragmentation(self) -> float:
        """Return the mean number of pieces of the noticed intervals; 1 = never broken."""
        found = self.pieces[self.pieces > 0]
        return float(found.mean()) if len(found) else float('nan')

    @property
    def false_per_minute(self) -> float:
        """Return made-up interactions per minute of annotated time, NaN without time."""
        return 60 * self.false / self.seconds if self.seconds > 0 else float('nan')

    @staticmethod
    def join(parts: Sequence['EventAccuracy']) -> 'EventAccuracy':
        """Return the figures of several sequences together (one or more)."""
        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(part, name) for part in parts])
        return EventAccuracy(
            tuple(verb for part in parts for verb in part.verbs), joined('spans'),
            joined('pieces'), joined('start_error'), joined('end_error'), joined('covered'),
            sum(part.predicted for part in parts), sum(part.false for part in parts),
            sum(part.seconds for part in parts), sum(part.untracked for part in parts))


class _Interval:
    """A true interval while it grows."""

    def __init__(self, verb: str, stamp_ns: int) -> None:
        self.verb, self.start, self.end = verb, stamp_ns, stamp_ns


def event_accuracy(frames: Sequence[TimedScenes], spans: Optional[Mapping[int, Span]] = None,
                   verbs: Optional[Sequence[str]] = None, gap_s: float = GAP_S) -> EventAccuracy:
    """
    Return how well interactions were followed in one sequence.

    frames: in the order of their stamps. spans: when each predicted interaction (by its id) began
    and ended, from its events; default: its first and last frame with a triplet. verbs: names
    that count; default: those of the truth.
    """
    frames = [frame for frame in frames if frame.truth is not None]
    wanted = None if verbs is None else {same_name(verb) for verb in verbs}
    if wanted is None:
        wanted = {name for frame in frames if frame.truth is not None
                  for name in _verbs(frame.truth)}
    intervals: List[_Interval] = []
    newest: Dict[_Key, int] = {}
    votes: Dict[int, Counter[int]] = defaultdict(Counter)
    seen: Dict[int, Span] = {}
    untracked = 0
    for stamp, predicted, truth in frames:
        assert truth is not None  # filtered above
        rows = np.flatnonzero(_chosen(truth, wanted))
        keys = [_key(truth, row) for row in rows.tolist()]
        untracked += keys.count(None)
        rows = rows[np.array([key is not None for key in keys], bool)]
        current = [_grow(intervals, newest, key, stamp, gap_s) for key in keys if key is not None]
        if predicted is None:
            continue
        ids = predicted.triplets.ids
        named = np.flatnonzero((ids > 0) & _chosen(predicted, wanted))
        for identity in ids[named].tolist():
            seen[identity] = seen.get(identity, (stamp, stamp))[0], stamp
        for one, other in _matched(predicted, named, truth, rows):
            votes[int(ids[named[one]])][current[other]] += 1
    if spans is not None:
        # Events of interactions that no annotated frame shows are not judged.
        seen = {identity: spans.get(identity, span) for identity, span in seen.items()}
    seconds = 1e-9 * (frames[-1].stamp_ns - frames[0].stamp_ns) if frames else 0.0
    return _result(intervals, votes, seen, seconds, untracked)


def _verbs(scene: Scene) -> List[str]:
    names = [same_name(name) for name in scene.vocabulary.verb_names]
    return [names[verb] for verb in scene.triplets.verb.tolist()]


def _chosen(scene: Scene, wanted: Container[str]) -> np.ndarray:
    return np.array([verb in wanted for verb in _verbs(scene)], bool)


def _key(truth: Scene, row: int) -> Optional[_Key]:
    """Return human track, verb and object track of a triplet, None where a track is missing."""
    triplets, tracks = truth.triplets, truth.instances.track_ids
    human, thing = int(tracks[triplets.human[row]]), int(triplets.object[row])
    track = 0 if thing == NONE else int(tracks[thing])
    if not human or (thing != NONE and not track):
        return None
    return human, truth.vocabulary.verb_names[triplets.verb[row]], track


def _grow(intervals: List[_Interval], newest: Dict[_Key, int], key: _Key, stamp: int,
          gap_s: float) -> int:
    """Return the number of the interval that holds this moment, a new one after a gap."""
    last = newest.get(key)
    if last is None or stamp - intervals[last].end > 1e9 * gap_s:
        newest[key] = last = len(intervals)
        intervals.append(_Interval(key[1], stamp))
    intervals[last].end = stamp
    return last


def _matched(predicted: Scene, named: np.ndarray, truth: Scene,
             rows: np.ndarray) -> List[Tuple[int, int]]:
    """Return which of the predicted and of the true triplets belong together."""
    if not (len(named) and len(rows)):
        return []
    pairs = [np.stack([scene.triplets.human, scene.triplets.object], 1)[chosen]
             for scene, chosen in ((predicted, named), (truth, rows))]
    verbs = [np.array(_verbs(scene), dtype=object)[chosen]
             for scene, chosen in ((predicted, named), (truth, rows))]
    overlap = pair_overlaps(predicted, truth, *pairs) * (verbs[0][:, None] == verbs[1][None])
    return list(zip(*(side.tolist() for side in assign(overlap, OVERLAP))))


def _result(intervals: Sequence[_Interval], votes: Mapping[int, Counter[int]],
            seen: Mapping[int, Span], seconds: float, untracked: int) -> EventAccuracy:
    pieces: List[List[Span]] = [[] for _ in intervals]
    for identity, count in votes.items():
        most = max(count.values())
        pieces[min(row for row, votes_ in count.items() if votes_ == most)].append(seen[identity])
    nan = float('nan')
    errors = [(1e-9 * (min(start for start, _ in spans) - interval.start),
               1e-9 * (max(end for _, end in spans) - interval.end)) if spans else (nan, nan)
              for interval, spans in zip(intervals, pieces)]
    start_error, end_error = np.array(errors, np.float64).reshape(-1, 2).T
    return EventAccuracy(
        tuple(interval.verb for interval in intervals),
        np.array([(i.start, i.end) for i in intervals], np.int64).reshape(-1, 2),
        np.array([len(spans) for spans in pieces], np.int64), start_error, end_error,
        np.array([_covered(interval, spans) for interval, spans in zip(intervals, pieces)],
                 np.float64),
        len(seen), len(seen) - len(votes), seconds, untracked)


def _covered(interval: _Interval, spans: Sequence[Span]) -> float:
    """Return the share of the interval during which a piece lasts; one moment counts whole."""
    covered, reached = 0, interval.start
    for start, end in sorted(spans):
        low, high = max(start, reached), min(end, interval.end)
        covered, reached = covered + max(high - low, 0), max(reached, high)
    length = interval.end - interval.start
    return covered / length if length else float(bool(spans))
