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

"""The charts of a report, from what its JSON says."""

from typing import Any, Dict, List, Mapping

from hoi_perception.replay.report.charts import Axis, Bar, bar_chart, line_chart, Series
from markupsafe import Markup
import numpy as np


def drawings(report: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the charts by name: SVG, [] or '' where there is nothing to draw."""
    return {'curves': _curves(report['curves']), **_reliability(report['calibration']),
            **_latency(report['latency']), 'losses': _losses(report['losses'])}


def _curves(curves: Mapping[str, Any]) -> List[Markup]:
    if curves['overall'] is None:
        return []
    axes = Axis('recall', 0, 1), Axis('precision', 0, 1)

    def series(name: str, precision: List[float]) -> Series:
        points = np.column_stack([curves['recalls'], precision])
        reached = points[:, 1] > 0
        return Series(name, points[reached])
    overall = series(f'all classes ({curves["overall"]["positives"]})',
                     curves['overall']['precision'])
    verbs = [series(f'{row["name"]} ({row["positives"]})', row['precision'])
             for row in curves['verbs']]
    return [line_chart('Precision over recall, all classes', [overall], *axes),
            line_chart('Precision over recall by verb (true triplets)', verbs, *axes)]


def _reliability(calibration: Mapping[str, Any]) -> Dict[str, Any]:
    bins = calibration['bins']
    if not any(row['triplets'] for row in bins):
        return {'reliability': '', 'scores': ''}
    bars = [Bar(row['from'], row['to'], (row['right'],),
                f'score {row["score"]:.3f}, {row["right"]:.3f} right, {row["triplets"]} triplets')
            for row in bins if row['triplets']]
    counts = [Bar(row['from'], row['to'], (float(row['triplets']),),
                  f'{row["from"]:.2f} to {row["to"]:.2f}: {row["triplets"]} triplets')
              for row in bins]
    return {'reliability': bar_chart(
        'Share of right triplets by score; the line is perfect calibration', bars, [],
        Axis('score', 0, 1), Axis('share that is right', 0, 1), diagonal=True),
        'scores': bar_chart('How often each score is given', counts, [], Axis('score', 0, 1),
                            Axis('triplets', 0))}


def _latency(latency: Mapping[str, Any]) -> Dict[str, Any]:
    if not latency['timeline']:
        return {'histogram': '', 'timeline': ''}
    bars = [Bar(row['from'], row['to'], (float(row['frames']),),
                f'{row["from"]:.1f} to {row["to"]:.1f} ms: {row["frames"]} frames')
            for row in latency['histogram']]
    stages = list(latency['stages'])
    groups = []
    for row in latency['timeline']:
        if row['answered']:
            parts = tuple(row['mean'].get(name, 0.0) for name in stages)
            rest = max(row['mean_total'] - sum(parts), 0.0)
            groups.append(Bar(row['first'], row['last'] + 1, (*parts, rest), (
                f'{_where(row)}: mean {row["mean_total"]:.1f} ms, largest '
                f'{row["max_total"]:.1f} ms')))
    low = min((row['from'] for row in latency['histogram']), default=0.0)
    return {'histogram': bar_chart('Distribution of the whole frame', bars, [],
                                   Axis('milliseconds', low), Axis('frames', 0)),
            'timeline': bar_chart(
                'Mean milliseconds per stage over the input', groups, [*stages, 'waiting, other'],
                Axis('frame of the input', 0), Axis('milliseconds', 0), width=1120, height=300)}


def _losses(losses: Mapping[str, Any]) -> Any:
    causes = list(losses['causes'])
    if not causes:
        return ''
    bars = [Bar(row['first'], row['last'] + 1,
                tuple(float(row['causes'].get(cause, 0)) for cause in causes),
                f'{_where(row)}: ' + ', '.join(f'{n} {c}' for c, n in row['causes'].items()))
            for row in losses['timeline']]
    return bar_chart('Frames without an answer over the input', bars, causes,
                     Axis('frame of the input', 0), Axis('frames', 0))


def _where(row: Mapping[str, Any]) -> str:
    return (f'frames {row["first"]} to {row["last"]} ({row["bag"]}, {row["from_s"]:.1f} to '
            f'{row["to_s"]:.1f} s)')
