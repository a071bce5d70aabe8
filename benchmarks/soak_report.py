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
The report of the soak: what is added up over sessions, and how memory grew.

The file is also the state: a run that was killed goes on with the minutes that are left. One
session is one life of the nodes.
"""

from dataclasses import asdict, dataclass, field
import datetime
import json
import os
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

WARM_UP_S = 300.0
WARM_UP_SHARE = 0.1
ENDS_SHARE = 0.1
"""Memory at the start and at the end is the median over this share of the time after warm-up."""

SUMS = ('frames_in', 'frames_out', 'malformed_sent', 'mislabelled', 'images_sent',
        'sent_while_nobody_listened', 'results_checked', 'boxes_checked', 'names_checked',
        'without_vocabulary', 'parameter_changes', 'refused', 'wrong_answers', 'service_calls',
        'listeners_joined', 'cameras_came', 'deactivations', 'unaccounted')


@dataclass
class Session:
    """
    One life of the nodes.

    rate_hz: of the fastest camera.
    sums: the counters of `SUMS`. dropped: frames that entered and were not answered, by cause.
    memory: by node, (seconds since the start, RSS in MiB, anonymous part in MiB). ending: how it
    ended: '' = it runs or was interrupted.
    """

    seconds: float = 0.0
    crashes: int = 0
    ending: str = ''
    sums: Dict[str, int] = field(default_factory=dict)
    dropped: Dict[str, int] = field(default_factory=dict)
    odd_stamps: Dict[str, int] = field(default_factory=dict)
    rate_hz: float = 0.0
    answer_ms: Dict[str, Dict[str, float]] = field(default_factory=dict)
    examples: List[str] = field(default_factory=list)
    memory: Dict[str, List[Tuple[float, float, float]]] = field(default_factory=dict)

    def take_sent(self, event: Dict[str, Any]) -> None:
        """Note what the cameras have sent."""
        self.sums.update(images_sent=event['images'], malformed_sent=event['malformed'],
                         sent_while_nobody_listened=event['unheard'],
                         cameras_came=event['cameras_came'])
        self.rate_hz = event['rate_hz']

    def take_changed(self, event: Dict[str, Any]) -> None:
        """Note what was changed."""
        for name in ('parameter_changes', 'refused', 'wrong_answers', 'service_calls',
                     'listeners_joined', 'deactivations'):
            self.sums[name] = event.get(name, 0)
        self.answer_ms = event['answer_ms']
        self._examples(event)

    def take_checked(self, event: Dict[str, Any]) -> None:
        """Note what was checked, and the counters of the nodes."""
        self.sums.update(results_checked=event.get('results', 0),
                         **{name: event.get(name, 0) for name in (
                             'mislabelled', 'boxes_checked', 'names_checked',
                             'without_vocabulary')})
        cameras = list(event['cameras'].values())
        for name in ('frames_in', 'frames_out'):
            self.sums[name] = sum(camera[name] for camera in cameras)
        self.dropped = _added(*(camera[group] for camera in cameras
                                for group in ('dropped', 'bad')))
        self.odd_stamps = _added(*(camera['stamp'] for camera in cameras))
        self._examples(event)

    def _examples(self, event: Dict[str, Any]) -> None:
        self.examples = list(dict.fromkeys([*self.examples, *event['examples']]))[:40]

    @property
    def difference(self) -> int:
        """Frames that entered and are neither answered nor counted by cause."""
        return (self.sums.get('frames_in', 0) - self.sums.get('frames_out', 0)
                - sum(self.dropped.values()))


def _added(*counters: Dict[str, int]) -> Dict[str, int]:
    total: Dict[str, int] = {}
    for counter in counters:
        for name, count in counter.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))


def memory_growth(samples: List[Tuple[float, float, float]]) -> Dict[str, float]:
    """
    Return how memory grew after the warm-up (5 minutes, or a tenth of a shorter time).

    samples: (seconds, RSS, anonymous) in MiB. start, end: medians over the first and last tenth.
    slope: of the least-squares line. anonymous_percent: growth without the mapped files, which
    the system drops and reads again as it likes.
    """
    table = np.array(samples, float).reshape(-1, 3)
    if len(table) < 5:
        return {}
    length = table[-1, 0]
    after = table[table[:, 0] >= min(WARM_UP_S, WARM_UP_SHARE * length)]
    if len(after) < 4:
        return {}
    count = max(1, round(ENDS_SHARE * len(after)))
    (start, anonymous), (end, anonymous_end) = (
        np.median(part, axis=0)[1:] for part in (after[:count], after[-count:]))
    slope = np.polyfit(after[:, 0] / 3600, after[:, 1], 1)[0]
    return {'start_mib': round(start, 1), 'end_mib': round(end, 1),
            'percent': round(100 * (end - start) / start, 2),
            'anonymous_percent': round(100 * (anonymous_end - anonymous) / anonymous, 2),
            'slope_mib_per_hour': round(slope, 2), 'after_s': round(after[0, 0]),
            'over_s': round(after[-1, 0] - after[0, 0])}


def build_report(sessions: List[Session], planned_minutes: float, conditions: Dict[str, Any]
                 ) -> Dict[str, Any]:
    """Return the report of the sessions there were, the last of which may still run."""
    sums = {name: sum(session.sums.get(name, 0) for session in sessions) for name in SUMS}
    whole = [session for session in sessions if session.ending == 'as planned']
    sums['unaccounted'] = sum(session.difference for session in whole)
    minutes = sum(session.seconds for session in sessions) / 60
    longest = max(sessions, key=lambda session: session.seconds, default=Session())
    growth = {node: memory_growth(samples) for node, samples in longest.memory.items()}
    percents = [found['percent'] for found in growth.values() if found]
    return {
        'minutes': round(minutes, 2),
        'crashes': sum(session.crashes for session in sessions),
        'mislabelled': sums['mislabelled'], 'frames_in': sums['frames_in'],
        'frames_out': sums['frames_out'],
        'dropped': _added(*(session.dropped for session in sessions)),
        'malformed_sent': sums['malformed_sent'],
        'rss_growth_percent': max(percents, default=None),
        'planned_minutes': planned_minutes,
        'complete': minutes >= planned_minutes - 1e-6,
        'unaccounted': sums['unaccounted'],
        'on_their_way_when_interrupted': sum(
            session.difference for session in sessions if session not in whole),
        'lost_in_middleware': (sums['images_sent'] - sums['sent_while_nobody_listened']
                               - sums['frames_in']),
        **{name: sums[name] for name in SUMS if name not in (
            'frames_in', 'frames_out', 'mislabelled', 'malformed_sent', 'unaccounted')},
        'answered_hz': round(sums['frames_out'] / max(60 * minutes, 1e-9), 2),
        'camera_hz': longest.rate_hz,
        'odd_stamps': _added(*(session.odd_stamps for session in sessions)),
        'answer_ms': longest.answer_ms, 'memory': growth,
        'examples': [example for session in sessions for example in session.examples][:40],
        **conditions, 'date': datetime.date.today().isoformat(),
        'sessions': [asdict(session) for session in sessions]}


def write_report(path: Path, report: Dict[str, Any]) -> None:
    """Write the report whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix('.part')
    temporary.write_text(json.dumps(report, indent=1) + '\n')
    os.replace(temporary, path)


def read_sessions(path: Path, planned_minutes: float) -> List[Session]:
    """Return the sessions of an unfinished run of as many minutes, or none."""
    try:
        report = json.loads(path.read_text())
        if report['complete'] or report['planned_minutes'] != planned_minutes:
            return []
        return [Session(**session) for session in report['sessions']]
    except (OSError, ValueError, KeyError, TypeError):
        return []
