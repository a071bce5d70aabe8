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
Two replays of the same frames: what was changed, what that did, and whether it is more than noise.

Works on what the replays left in their directories; neither bags nor truth are needed.
"""

from collections import Counter
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.records import FrameRecord, RunInfo
from hoi_perception.replay.report.build import JSON
from hoi_perception.replay.report.differences import (
    Accuracies,
    accuracy_differences,
    Difference,
    latency_differences,
)
from hoi_perception.replay.report.material import read_replay, Replay
from hoi_perception.replay.report.page import plain, render
from hoi_perception.replay.report.pictures import words
from hoi_perception.replay.report.verdicts import Verdicts

SHOWN = 20


@dataclass(frozen=True)
class Change:
    """One thing that was not the same; None = absent."""

    what: str
    first: Any
    second: Any


@dataclass(frozen=True)
class Frame:
    """A frame that differs: how much (-1..1 with truth, 0..1 without) and what each run said."""

    index: int
    bag: str
    at_s: float
    change: float
    first: str
    second: str


@dataclass(frozen=True)
class Comparison:
    """
    What `hoi replay compare` tells.

    first, second: directories. changed: what was run differently. frames: how many both have,
    and each alone. accuracy: of the frames that both answered and judged. latency: of the frames
    both answered. differing: frames that differ most, by `measure`. notes: sentences to mind.
    """

    first: str
    second: str
    changed: Tuple[Change, ...]
    frames: Dict[str, int]
    accuracy: Accuracies
    latency: Tuple[Difference, ...]
    differing: Tuple[Frame, ...]
    measure: str
    notes: Tuple[str, ...]

    def as_dict(self) -> Dict[str, Any]:
        """Return everything as JSON has it, verdicts included."""
        full = self.accuracy.full
        return {**plain(self), 'latency': [row.as_dict() for row in self.latency], 'accuracy': {
            **plain(self.accuracy), 'full': None if full is None else full.as_dict(),
            'classes': [row.as_dict() for row in self.accuracy.classes]}}

    def html(self) -> str:
        """Return one self-contained page."""
        return render('compare.html.j2', c=self)

    def __str__(self) -> str:
        return '\n'.join(_lines(self))


def compare(first: Path, second: Path) -> Comparison:
    """
    Compare two replays (directories); `HoiError` where one is none or they share no frame.

    Frames are the same when topic, stamp, frame_id and time of recording are.
    """
    one, two = read_replay(first), read_replay(second)
    pairs = common(one.records, two.records)
    if not pairs:
        raise HoiError(f'{first} and {second} have no frame in common ({len(one.records)} and '
                       f'{len(two.records)} frames): compare replays of the same bags and topics.')
    verdicts = Verdicts.load(one.directory), Verdicts.load(two.directory)
    accuracy = accuracy_differences(verdicts, pairs)
    differing, measure = _differing(one, two, pairs, accuracy)
    return Comparison(
        str(first), str(second), tuple(changes(one, two)),
        {'common': len(pairs), 'only_first': len(one.records) - len(pairs),
         'only_second': len(two.records) - len(pairs), **_outcomes(one, two, pairs)},
        accuracy, latency_differences(one.records, two.records, pairs), differing, measure,
        tuple(_notes(one.run, two.run)))


def common(first: Sequence[FrameRecord], second: Sequence[FrameRecord]) -> Dict[int, int]:
    """Return the index in the second replay of each frame of the first that both have."""
    there = {identity: record.index for identity, record in _identities(second)}
    return {record.index: there[identity] for identity, record in _identities(first)
            if identity in there}


def _identities(records: Sequence[FrameRecord]) -> Iterator[Tuple[tuple, FrameRecord]]:
    seen: Counter = Counter()
    for record in records:
        identity = record.topic, record.log_time, record.key
        seen[identity] += 1
        yield (*identity, seen[identity]), record


def changes(first: Replay, second: Replay) -> Iterator[Change]:
    """Yield what was run differently."""
    one, two = first.run, second.run
    for name in ('mode', 'bundle', 'model_id', 'head', 'latency_source', 'complete'):
        if getattr(one, name) != getattr(two, name):
            yield Change(name, getattr(one, name), getattr(two, name))
    for name in ('engines', 'options', 'inputs', 'machine'):
        a, b = getattr(one, name), getattr(two, name)
        for key in sorted({*a, *b}):
            if a.get(key) != b.get(key):
                yield Change(f'{name}: {key}', a.get(key), b.get(key))
    if one.prompts != two.prompts:
        yield Change('prompts', _verbs(one), _verbs(two))
    if (a := _truth(first.directory)) != (b := _truth(second.directory)):
        yield Change('truth', a, b)


def _verbs(run: RunInfo) -> str:
    return '; '.join(f'version {version}: {", ".join(verbs)}'
                     for version, verbs in sorted(run.prompts.items()))


def _truth(directory: Path) -> Optional[str]:
    path = directory / JSON
    truth: Optional[Mapping[str, str]] = json.loads(path.read_text(encoding='utf-8'))[
        'truth'] if path.is_file() else None
    return None if truth is None else f'{truth["name"]} ({truth["digest"]})'


def _outcomes(one: Replay, two: Replay, pairs: Mapping[int, int]) -> Dict[str, int]:
    outcomes = {record.index: record.outcome for record in two.records}
    counts = Counter((record.outcome, outcomes[pairs[record.index]]) for record in one.records
                     if record.index in pairs)
    return {'both_answered': counts['answered', 'answered'],
            'only_first_answered': sum(n for (a, b), n in counts.items()
                                       if a == 'answered' and b != a),
            'only_second_answered': sum(n for (a, b), n in counts.items()
                                        if b == 'answered' and a != b)}


def _differing(one: Replay, two: Replay, pairs: Mapping[int, int],
               accuracy: Accuracies) -> Tuple[Tuple[Frame, ...], str]:
    """Return the frames that differ most, and by what they were ranked."""
    others = {answer.record.index: answer for answer in two.answers}
    shared = [(answer, others[pairs[answer.record.index]]) for answer in one.answers
              if pairs.get(answer.record.index) in others]
    if accuracy.agreement:
        measure = ('change of the agreement with the truth (scores of right triplets over true '
                   'ones plus scores of wrong ones)')
        change = accuracy.agreement
    else:
        measure = ('share of the scores that only one of the two gave, by the best score of each '
                   'verb and object')
        change = {a.record.index: _apart(_told(a.scene), _told(b.scene)) for a, b in shared}
    ranked = sorted((pair for pair in shared if change.get(pair[0].record.index)),
                    key=lambda pair: -abs(change[pair[0].record.index]))
    return tuple(Frame(a.record.index, a.record.bag, one.seconds(a.record),
                       change[a.record.index], words(a.scene), words(b.scene))
                 for a, b in ranked[:SHOWN]), measure


def _told(scene: Any) -> Dict[str, float]:
    best: Dict[str, float] = {}
    for phrase, score in zip(scene.phrases(), scene.triplets.scores.tolist()):
        best[phrase] = max(score, best.get(phrase, 0.0))
    return best


def _apart(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    names = {*first, *second}
    larger = sum(max(first.get(n, 0.0), second.get(n, 0.0)) for n in names)
    smaller = sum(min(first.get(n, 0.0), second.get(n, 0.0)) for n in names)
    return 1 - smaller / larger if larger else 0.0


def _notes(one: RunInfo, two: RunInfo) -> Iterator[str]:
    if one.machine != two.machine or one.latency_source != two.latency_source:
        yield 'Latencies come from different machines or sources.'
    yield ('The interval of a latency says how much frames differ, not how busy the machine was: '
           'replay twice to see that.')
    if not (one.complete and two.complete):
        yield 'A replay is incomplete: it was interrupted, or its bag was cut.'


def _lines(found: Comparison) -> Iterator[str]:
    yield f'first:  {found.first}'
    yield f'second: {found.second}'
    frames = found.frames
    yield (f'frames: {frames["common"]} in both, {frames["only_first"]} only in the first, '
           f'{frames["only_second"]} only in the second; {frames["both_answered"]} answered by '
           'both')
    yield '' if found.changed else 'Nothing was run differently.'
    for change in found.changed:
        yield f'  {change.what}: {_short(change.first)} -> {_short(change.second)}'
    yield ''
    if found.accuracy.full is None:
        yield f'accuracy: not measured: {found.accuracy.why}'
    else:
        yield found.accuracy.full.sentence()
        more = [row for row in found.accuracy.classes if row.more_than_noise]
        yield (f'classes that changed by more than noise, each taken by itself: {len(more)} of '
               f'{len(found.accuracy.classes)}')
        yield from (f'  {row.sentence()}' for row in more)
    yield from (row.sentence() for row in found.latency)
    if found.differing:
        yield f'frames that differ most ({found.measure}):'
    for frame in found.differing[:5]:
        yield f'  {frame.index} ({frame.at_s:.2f} s): {frame.change:+.3f}'
    yield from found.notes


def _short(value: Any) -> str:
    text = 'nothing' if value is None else str(value)
    return text if len(text) <= 60 else f'{text[:57]}...'
