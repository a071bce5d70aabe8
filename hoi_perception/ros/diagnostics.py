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

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from hoi_perception.ros.statistics import Snapshot
from hoi_perception.ros.troubles import Trouble


@dataclass(frozen=True)
class ModelHealth:
    """
    What the model is and which verbs it looks for; empty where nothing is configured.

    hardware: name of the GPU, or cpu. memory_mib: of a GPU, by what the number means.
    """

    model_id: str = ''
    device: str = ''
    prompt_version: int = 0
    verbs: int = 0
    hardware: str = ''
    memory_mib: Mapping[str, int] = field(default_factory=dict)


def _status(level: bytes, name: str, message: str, hardware: str,
            values: Mapping[str, object]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level, name=name, message=message, hardware_id=hardware,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])


def model_status(node: str, state: str, health: ModelHealth, failure: str,
                 trouble: Optional[Trouble] = None) -> DiagnosticStatus:
    """Return the state of node and model; an error while the last transition failed."""
    if failure:
        level, message = DiagnosticStatus.ERROR, failure
    elif trouble is not None:
        level, message = DiagnosticStatus.WARN, trouble.sentence
    elif state == 'active':
        level, message = DiagnosticStatus.OK, 'looking for interactions'
    else:
        level, message = DiagnosticStatus.OK, f'not running: the node is {state}'
    return _status(level, f'{node}: model', message, health.hardware, {
        'state': state, 'model': health.model_id, 'device': health.device,
        'prompt_version': health.prompt_version, 'verbs': health.verbs,
        **{f'gpu_memory.{kind}_mib': size for kind, size in health.memory_mib.items()}})


def engine_status(node: str, hardware: str, pipeline: Any) -> DiagnosticStatus:
    """Return what runs a pipeline's networks and why; a warning where an engine cannot be used."""
    report, warnings = pipeline.engines, (*pipeline.engine_failures, *pipeline.engines.warnings)
    values: Dict[str, object] = {}
    for graph in report.graphs:
        values[f'{graph.name}.{graph.bucket}'] = f'{graph.backend} {graph.precision}'
        values[f'{graph.name}.{graph.bucket}.reason'] = graph.reason
    values.update({f'{name}.eager_calls': count for name, count in pipeline.eager_calls.items()})
    values.update({f'warning.{n}': text for n, text in enumerate(warnings, 1)})
    if warnings:
        return _status(DiagnosticStatus.WARN, f'{node}: engines', warnings[0], hardware, values)
    return _status(DiagnosticStatus.OK, f'{node}: engines', str(report), hardware, values)


class CameraHealth:
    """Turn the counters of one camera into a status; keeps the last ones to tell rates."""

    def __init__(self, node: str, name: str, topic: str, hardware: str) -> None:
        self._title = f'{node}: camera {name}' if name else f'{node}: camera'
        self._topic, self._hardware = topic, hardware
        self._last = (0.0, 0, 0)
        self._before: Mapping[str, int] = {}

    def status(self, now: float, paused: str, seen: Snapshot, publishers: int,
               trouble: Optional[Trouble]) -> DiagnosticStatus:
        """
        Return rate, drops, defects and latency.

        now: by the monotonic clock in seconds. paused: why nothing is subscribed to, or empty.
        trouble: why no frame comes in.
        """
        before, frames_in, frames_out = self._last
        self._last = now, seen.frames_in, seen.frames_out
        counted = {**seen.bad, **{f'dropped {kind}': n for kind, n in seen.dropped.items()},
                   **{f'stamp {kind}': n for kind, n in seen.odd_stamps.items()}}
        new = {kind: n - self._before.get(kind, 0) for kind, n in counted.items()}
        self._before = counted
        span = max(now - before, 1e-6) if before else 0.0
        values: Dict[str, object] = {
            'topic': self._topic,
            'publishers': publishers,
            'rate_in_hz': f'{(seen.frames_in - frames_in) / span:.2f}' if span else '0.00',
            'rate_out_hz': f'{(seen.frames_out - frames_out) / span:.2f}' if span else '0.00',
            'idle_s': '' if seen.idle_s is None else f'{seen.idle_s:.1f}',
            'frames_in': seen.frames_in, 'frames_out': seen.frames_out,
            'dropped': sum(seen.dropped.values()), 'bad': sum(seen.bad.values()),
            'bad_boxes': seen.bad_boxes, 'lost_by_middleware': seen.lost}
        for group, counters in (('dropped', seen.dropped), ('bad', seen.bad),
                                ('stamp', seen.odd_stamps)):
            values.update({f'{group}.{kind}': n for kind, n in sorted(counters.items())})
        for stage, (p50, p95) in seen.percentiles.items():
            values[f'latency.{stage}.p50_ms'] = f'{p50:.2f}'
            values[f'latency.{stage}.p95_ms'] = f'{p95:.2f}'
        level, message = self._judge(paused, seen, trouble, new)
        return _status(level, self._title, message, self._hardware, values)

    def _judge(self, paused: str, seen: Snapshot, trouble: Optional[Trouble],
               new: Mapping[str, int]) -> Tuple[bytes, str]:
        if paused:
            return DiagnosticStatus.OK, f'not subscribed: {paused}'
        if trouble is not None:
            return (DiagnosticStatus.STALE if trouble.kind == 'silent'
                    else DiagnosticStatus.WARN), trouble.sentence
        if new.get('failed'):
            return DiagnosticStatus.ERROR, (
                f'{new["failed"]} frames made the model fail since the last report: the log has '
                'the error; if it stays, start the process again.')
        bad = sorted(kind for kind in seen.bad if new[kind])
        if bad:
            return DiagnosticStatus.WARN, (
                f'{sum(new[kind] for kind in bad)} unusable frames since the last report '
                f'({", ".join(bad)}) on {self._topic}: the log has the reason.')
        if new.get('dropped too_old'):
            return DiagnosticStatus.WARN, (
                f'{new["dropped too_old"]} frames of {self._topic} were older than max_age: '
                'synchronize the clocks, set use_sim_time for a bag, or raise max_age.')
        if new.get('stamp future'):
            return DiagnosticStatus.WARN, (
                f'stamps of {self._topic} lie in the future: synchronize the clocks, or set '
                'use_sim_time alike on both sides.')
        if seen.idle_s is None:
            return DiagnosticStatus.OK, f'waiting for the first frame on {self._topic}'
        return DiagnosticStatus.OK, 'frames are answered'
