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

"""Interactions over time: what began and ended, and how that fits the truth."""

from itertools import groupby
from typing import Any, Dict, List, Optional, Tuple

from hoi_perception.evaluation.event_accuracy import event_accuracy, EventAccuracy, TimedScenes
from hoi_perception.replay.report.figures import Figure, figure, not_measured
from hoi_perception.replay.report.material import events, Replay
from hoi_perception.replay.report.verdicts import Verdicts
from hoi_perception.runtime.events import EventKind
import numpy as np

Rows = List[Tuple[str, Figure]]
PROTOCOL = 'intervals by track, IoU 0.5'
HOW = ('A true interval is one person, verb and object from its first to its last annotated frame '
       '(gaps up to 0.5 s are bridged). A predicted interaction belongs to the true interval that '
       'most of its frames matched (verb, class and both boxes, IoU 0.5). Errors are predicted '
       'minus true: positive is late. {seconds:.1f} s of annotated time.')


def happenings(replay: Replay, verdicts: Optional[Verdicts], why: str) -> Dict[str, Any]:
    """Return counts of the events, and their accuracy where there is truth."""
    spans, counts = _told(replay)
    if verdicts is None:
        return {'how': 'Events as they were published.', 'figures': {'recall': not_measured(why)},
                'rows': counts}
    # Whole sequences, because frames without an answer are what events must bridge.
    parts = [event_accuracy(frames, spans, [verb for verb, _ in verdicts.classes])
             for frames in sequences(replay)]
    found = EventAccuracy.join(parts)
    if not len(found.pieces):
        why = (f'the {found.untracked} true triplets have no track ids' if found.untracked
               else 'the truth has no interactions')
        return {'how': 'Events as they were published.', 'figures': {'recall': not_measured(why)},
                'rows': counts}
    figures = _figures(found)
    return {'how': HOW.format(seconds=found.seconds), 'figures': figures, 'rows': [
        ('true intervals that were noticed (share)', figures['recall']),
        ('predicted interactions that are true (share)', figures['precision']),
        ('start error, median', figures['start_error']),
        ('start error, middle 90 % (half width)', figures['start_spread']),
        ('end error, median', figures['end_error']),
        ('end error, middle 90 % (half width)', figures['end_spread']),
        ('share of a noticed interval that is covered, mean', figures['covered']),
        ('pieces per noticed interval, mean (1 = never broken)', figures['fragmentation']),
        ('made-up interactions per minute', figures['false_per_minute']), *counts]}


def sequences(replay: Replay) -> List[List[TimedScenes]]:
    """Return the frames of each bag and topic by their stamps, answered or not."""
    predicted = {answer.record.index: answer for answer in replay.answers}
    truth = {answer.record.index: answer.truth for answer in replay.answers}
    truth.update((record.index, real) for record, real in replay.unanswered)
    parts = []
    for _, group in groupby(replay.records, key=lambda record: (record.bag, record.topic)):
        frames = [TimedScenes(
            record.key[0] * 10**9 + record.key[1],
            predicted[record.index].scene if record.index in predicted else None,
            truth.get(record.index)) for record in group]
        parts.append(sorted(frames, key=lambda frame: frame.stamp_ns))
    return parts


def _figures(found: EventAccuracy) -> Dict[str, Figure]:
    total, noticed = len(found.pieces), int((found.pieces > 0).sum())

    def shown(value: float, count: int, of: str, unit: str = '') -> Figure:
        return figure(value, count, of, PROTOCOL, unit=unit, why='no interval was noticed')
    figures = {
        'recall': shown(found.recall, total, 'true intervals'),
        'precision': shown(found.precision, found.predicted, 'predicted interactions'),
        'fragmentation': shown(found.fragmentation, noticed, 'noticed intervals'),
        'covered': shown(float(found.covered[found.pieces > 0].mean()) if noticed else np.nan,
                         noticed, 'noticed intervals'),
        'false_per_minute': shown(found.false_per_minute, found.false, 'made-up interactions')}
    for name, errors in (('start', found.start_error), ('end', found.end_error)):
        known = errors[~np.isnan(errors)]
        low, middle, high = np.percentile(known, (5, 50, 95)) if len(known) else (np.nan,) * 3
        figures[f'{name}_error'] = shown(middle, noticed, 'noticed intervals', 's')
        figures[f'{name}_spread'] = shown((high - low) / 2, noticed, 'noticed intervals', 's')
    return figures


def _told(replay: Replay) -> Tuple[Dict[int, Tuple[int, int]], Rows]:
    """Return start and end of every interaction that ended, and counts of the events."""
    spans: Dict[int, Tuple[int, int]] = {}
    started = 0
    for event in events(replay):
        if event.kind == EventKind.STARTED:
            started += 1
            continue
        start = event.start.sec * 10**9 + event.start.nanosec
        spans[int(event.interaction_id)] = (
            start, start + event.duration.sec * 10**9 + event.duration.nanosec)
    durations = [1e-9 * (end - start) for start, end in spans.values()]
    of = 'events as published'
    return spans, [
        ('interactions that began', figure(started, started, 'STARTED events', of)),
        ('interactions that ended', figure(len(spans), len(spans), 'ENDED events', of)),
        ('duration of those that ended, median', figure(
            float(np.median(durations)) if durations else None, len(durations), 'ENDED events',
            of, unit='s', why='no interaction ended'))]
