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

"""How long frames took: distribution, stages and timeline, and which frames were lost when."""

from collections import Counter
from typing import Any, Dict, List, Sequence

from hoi_perception.replay.records import FrameRecord
from hoi_perception.replay.report.figures import Figure, figure, not_measured
from hoi_perception.replay.report.material import Replay
import numpy as np

COLUMNS = 160
"""Most columns of a timeline; each holds as many frames as needed."""
HISTOGRAM_BINS = 40
OUTCOMES = ('answered', 'dropped', 'bad')


def frame_counts(replay: Replay) -> Dict[str, int]:
    """Return how many frames there were and what became of them."""
    outcomes = Counter(record.outcome for record in replay.records)
    return {'input': len(replay.records), **{name: outcomes[name] for name in OUTCOMES},
            'annotated': replay.annotated, 'judged': len(replay.judged)}


def latency(replay: Replay) -> Dict[str, Any]:
    """
    Return percentiles of the whole frame and of each stage, a histogram and a timeline, in ms.

    Every part is absent (`total` says why) where no frame was answered.
    """
    answered = [r for r in replay.records if r.outcome == 'answered']
    protocol = replay.run.latency_source
    if not answered:
        return {'total': {name: not_measured('no frame was answered')
                          for name in ('p50', 'p95', 'p99', 'max')},
                'stages': {}, 'histogram': [], 'timeline': [], 'protocol': protocol}
    totals = np.array([record.total for record in answered])
    names = stage_names(answered)
    stages = {name: np.array([r.stages[name] for r in answered if name in r.stages])
              for name in names}
    top = float(np.percentile(totals, 99.5))
    counts, edges = np.histogram(totals[totals <= top], bins=HISTOGRAM_BINS)
    return {
        'protocol': protocol,
        'total': percentiles(totals, protocol),
        'stages': {name: {**percentiles(values, protocol), 'mean': figure(
            float(values.mean()), len(values), 'frames', protocol, unit='ms')}
            for name, values in stages.items()},
        'histogram': [{'from': float(a), 'to': float(b), 'frames': int(n)}
                      for a, b, n in zip(edges, edges[1:], counts)],
        'beyond_histogram': int((totals > top).sum()),
        'timeline': _timeline(replay, names)}


def stage_names(records: Sequence[FrameRecord]) -> List[str]:
    """Return every stage in the order in which a frame passes them."""
    return list(dict.fromkeys(name for record in records for name in record.stages))


def percentiles(values: np.ndarray, protocol: str) -> Dict[str, Figure]:
    """Return median, 95th and 99th percentile and largest value in ms."""
    found = np.percentile(values, (50, 95, 99, 100))
    return {name: figure(value, len(values), 'frames', protocol, unit='ms')
            for name, value in zip(('p50', 'p95', 'p99', 'max'), found)}


def columns(replay: Replay) -> List[Sequence[FrameRecord]]:
    """Return the frames of the input in at most `COLUMNS` groups of neighbours."""
    count = len(replay.records)
    if not count:
        return []
    bounds = np.linspace(0, count, min(count, COLUMNS) + 1).astype(int)
    return [replay.records[a:b] for a, b in zip(bounds, bounds[1:])]


def place_of(replay: Replay, group: Sequence[FrameRecord]) -> Dict[str, Any]:
    """Return where in the input a group of neighbours lies."""
    first, last = group[0], group[-1]
    return {'first': first.index, 'last': last.index, 'bag': first.bag,
            'from_s': replay.seconds(first), 'to_s': replay.seconds(last)}


def _timeline(replay: Replay, names: Sequence[str]) -> List[Dict[str, Any]]:
    rows = []
    for group in columns(replay):
        answered = [record for record in group if record.outcome == 'answered']
        rows.append({
            **place_of(replay, group), 'answered': len(answered),
            'mean': {name: float(np.mean([r.stages.get(name, 0.0) for r in answered]))
                     for name in names} if answered else {},
            'mean_total': float(np.mean([r.total for r in answered])) if answered else None,
            'max_total': max(r.total for r in answered) if answered else None})
    return rows


def losses(replay: Replay) -> Dict[str, Any]:
    """Return frames that were dropped, by cause and when, and frames that could not be used."""
    lost = [record for record in replay.records if record.outcome != 'answered']
    causes = Counter(cause(record) for record in lost)
    timeline = []
    for group in columns(replay):
        found = Counter(cause(r) for r in group if r.outcome != 'answered')
        timeline.append({**place_of(replay, group), 'frames': len(group),
                         'causes': dict(sorted(found.items()))})
    bad = [{'index': r.index, 'bag': r.bag, 'at_s': replay.seconds(r), 'reason': r.reason}
           for r in replay.records if r.outcome == 'bad']
    return {'causes': dict(causes.most_common()), 'frames': len(replay.records),
            'timeline': timeline, 'bad': bad[:50], 'bad_frames': len(bad)}


def cause(record: FrameRecord) -> str:
    """Return why a frame has no answer, in a word; bad frames are one cause."""
    return 'bad frame' if record.outcome == 'bad' else record.reason or 'cause not recorded'
