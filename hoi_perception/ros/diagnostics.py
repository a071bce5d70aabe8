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

"""The node's health as `diagnostic_msgs/DiagnosticArray`."""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from hoi_perception.ros.statistics import Snapshot

STALE_AFTER_S = 3.0


@dataclass(frozen=True)
class ModelHealth:
    """What the model is and which verbs it looks for; empty where nothing is configured."""

    model_id: str = ''
    device: str = ''
    prompt_version: int = 0
    verbs: int = 0


def _status(level: bytes, name: str, message: str, hardware: str,
            values: Mapping[str, object]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])


def model_status(node: str, state: str, health: ModelHealth, failure: str) -> DiagnosticStatus:
    """Return the state of node and model; an error while the last transition failed."""
    if failure:
        level, message = DiagnosticStatus.ERROR, failure
    elif state == 'active':
        level, message = DiagnosticStatus.OK, 'looking for interactions'
    else:
        level, message = DiagnosticStatus.OK, f'not running: the node is {state}'
    return _status(level, f'{node}: model', message, health.device, {
        'state': state, 'model': health.model_id, 'device': health.device,
        'prompt_version': health.prompt_version, 'verbs': health.verbs})


def engine_status(node: str, hardware: str, report: Any,
                  eager_calls: Mapping[str, int]) -> DiagnosticStatus:
    """
    Return what runs the networks and why; a warning where an engine cannot be used.

    report: an `EngineReport`. eager_calls: by network, calls in shapes without an engine.
    """
    values: Dict[str, object] = {}
    for graph in report.graphs:
        values[f'{graph.name}.{graph.bucket}'] = f'{graph.backend} {graph.precision}'
        values[f'{graph.name}.{graph.bucket}.reason'] = graph.reason
    values.update({f'{name}.eager_calls': count for name, count in eager_calls.items()})
    values.update({f'warning.{n}': text for n, text in enumerate(report.warnings, 1)})
    if report.warnings:
        return _status(DiagnosticStatus.WARN, f'{node}: engines', report.warnings[0], hardware,
                       values)
    return _status(DiagnosticStatus.OK, f'{node}: engines', str(report), hardware, values)


class CameraHealth:
    """Turn the counters of one camera into a status; keeps the last ones to tell rates."""

    def __init__(self, node: str, name: str, topic: str, hardware: str) -> None:
        self._title = f'{node}: camera {name}' if name else f'{node}: camera'
        self._topic, self._hardware = topic, hardware
        self._last: Tuple[float, int, int, int] = (0.0, 0, 0, 0)

    def status(self, now: float, active: bool, seen: Snapshot,
               publishers: int) -> DiagnosticStatus:
        """Return rate, drops, defects and latency; `now` by the monotonic clock in seconds."""
        bad = sum(seen.bad.values())
        before, frames_in, frames_out, old_bad = self._last
        self._last = now, seen.frames_in, seen.frames_out, bad
        span = max(now - before, 1e-6) if before else 0.0
        values: Dict[str, object] = {
            'topic': self._topic,
            'publishers': publishers,
            'rate_in_hz': f'{(seen.frames_in - frames_in) / span:.2f}' if span else '0.00',
            'rate_out_hz': f'{(seen.frames_out - frames_out) / span:.2f}' if span else '0.00',
            'idle_s': '' if seen.idle_s is None else f'{seen.idle_s:.1f}',
            'frames_in': seen.frames_in, 'frames_out': seen.frames_out,
            'dropped': sum(seen.dropped.values()), 'bad': bad, 'bad_boxes': seen.bad_boxes}
        for group, counters in (('dropped', seen.dropped), ('bad', seen.bad),
                                ('stamp', seen.odd_stamps)):
            values.update({f'{group}.{kind}': n for kind, n in sorted(counters.items())})
        for stage, (p50, p95) in seen.percentiles.items():
            values[f'latency.{stage}.p50_ms'] = f'{p50:.2f}'
            values[f'latency.{stage}.p95_ms'] = f'{p95:.2f}'
        level, message = self._judge(active, seen, publishers, bad - old_bad)
        return _status(level, self._title, message, self._hardware, values)

    def _judge(self, active: bool, seen: Snapshot, publishers: int,
               new_bad: int) -> Tuple[bytes, str]:
        if not active:
            return DiagnosticStatus.OK, 'not subscribed: the node is not active'
        if not publishers:
            return DiagnosticStatus.WARN, (
                f'nobody publishes {self._topic}: start the camera or remap the topic')
        if seen.idle_s is None or seen.idle_s > STALE_AFTER_S:
            return DiagnosticStatus.STALE, f'{self._topic} has a publisher but no frame comes'
        if new_bad:
            kinds: List[str] = sorted(seen.bad)
            return DiagnosticStatus.WARN, (
                f'{new_bad} unusable frames in the last second ({", ".join(kinds)} so far)')
        return DiagnosticStatus.OK, 'frames are answered'
