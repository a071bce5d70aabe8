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

"""What a results bag says: frames, latencies, prompt versions and triplet mAP."""

from collections import Counter
import os
from pathlib import Path
import platform
from typing import Dict, List, Mapping, Optional, Sequence, Set, Tuple

from hoi_perception.core.scene import Scene
from hoi_perception.evaluation.triplet_map import evaluate_scenes
from hoi_perception.replay.bag_reader import BagReader, frame_key, FrameKey
from hoi_perception.replay.message_types import DETECTIONS, EVENT, LATENCIES, VOCABULARY
from hoi_perception.replay.scenes import scene_of, vocabulary_of
import numpy as np


def summarize(results_bag: Path, published: Sequence[FrameKey],
              truth: Mapping[FrameKey, object]) -> dict:
    """
    Return the summary of a results bag.

    published: header of every frame that was played, in order. truth: HoiDetections of ground
    truth by frame; may be empty, then triplet_map is None. A frame counts as answered when a
    result carries its header; a frame without result was dropped.
    """
    with BagReader(results_bag) as reader:
        results = _messages(reader, DETECTIONS)
        latencies = _messages(reader, LATENCIES)
        events = _messages(reader, EVENT)
        vocabularies = {int(message.version): message
                        for topic in reader.topics_of_type(VOCABULARY)
                        for _, message in reader.messages(topic)}
    detections = {frame_key(message.header): message for message in results}
    # Counted, because a camera without a clock gives every frame the same stamp.
    played, answers = Counter(published), Counter(frame_key(m.header) for m in results)
    answered = sum((played & answers).values())
    return {
        'frames_in': len(published),
        'frames_out': answered,
        'frames_dropped': len(published) - answered,
        'results_without_frame': len(results) - answered,
        'triplets_out': sum(len(message.triplets) for message in results),
        'events_out': len(events),
        **_accuracy(detections, truth, vocabularies),
        'latency_ms': _latency(latencies),
        'prompt_versions': sorted({int(m.prompt_version) for m in results}),
        'verbs': {str(version): list(message.verbs)
                  for version, message in sorted(vocabularies.items())},
        'model_id': ', '.join(sorted({message.model_id for message in results})),
        'machine': machine(),
    }


def _messages(reader: BagReader, type_: str) -> List[object]:
    return [message for topic in reader.topics_of_type(type_)
            for _, message in reader.messages(topic)]


def _accuracy(detections: Mapping[FrameKey, object], truth: Mapping[FrameKey, object],
              vocabularies: Mapping[int, object]) -> dict:
    """Return triplet mAP over the frames computed with the vocabulary the node started with."""
    full = _full_versions(vocabularies)
    frames = [key for key, message in detections.items() if key in truth and
              (not full or int(message.prompt_version) in full)]
    if not frames:
        return {'triplet_map': None, 'triplet_map_frames': 0, 'triplet_map_protocol': None}
    report = evaluate_scenes([(_scene(detections[key]), _scene(truth[key])) for key in frames])
    return {'triplet_map': round(report.full, 4), 'triplet_map_frames': len(frames),
            'triplet_map_protocol': report.protocol}


def _scene(message) -> Scene:
    return scene_of(message, vocabulary_of([message]))


def _full_versions(vocabularies: Mapping[int, object]) -> Set[int]:
    if not vocabularies:
        return set()
    first = list(vocabularies[min(vocabularies)].verbs)
    return {version for version, message in vocabularies.items() if list(message.verbs) == first}


def _latency(messages: List[object]) -> dict:
    """Return median and 95th percentile of the whole frame and of every stage, in ms."""
    totals: List[float] = [float(message.total) for message in messages]
    stages: Dict[str, List[float]] = {}
    for message in messages:
        for name, value in zip(message.stages, message.milliseconds):
            stages.setdefault(str(name), []).append(float(value))
    return {**_percentiles(totals),
            'stages': {name: _percentiles(values) for name, values in stages.items()}}


def _percentiles(values: Sequence[float]) -> Dict[str, Optional[float]]:
    if not values:
        return {'p50': None, 'p95': None}
    low, high = np.percentile(values, (50, 95))
    return {'p50': round(float(low), 2), 'p95': round(float(high), 2)}


def machine() -> Dict[str, object]:
    """Return what the figures were measured on."""
    return {'processor': _processor(), 'cores': os.cpu_count(), 'system': platform.system(),
            'architecture': platform.machine(), 'python': platform.python_version()}


def _processor() -> str:
    try:
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    except OSError:
        pass
    return platform.processor()


def lines_of(summary: dict) -> List[Tuple[str, str]]:
    """Return the summary as rows (what, value) for people."""
    latency, rows = summary['latency_ms'], []
    rows.append(('frames in / out / dropped',
                 f'{summary["frames_in"]} / {summary["frames_out"]} / '
                 f'{summary["frames_dropped"]}'))
    if latency['p50'] is not None:
        rows.append(('latency p50 / p95', f'{latency["p50"]:.1f} / {latency["p95"]:.1f} ms'))
    for name, stage in latency['stages'].items():
        rows.append((f'  {name}', f'{stage["p50"]:.1f} / {stage["p95"]:.1f} ms'))
    if summary['triplet_map'] is not None:
        rows.append(('triplet mAP', f'{summary["triplet_map"]:.3f} '
                     f'({summary["triplet_map_protocol"]}) over the '
                     f'{summary["triplet_map_frames"]} frames with all verbs'))
    else:
        rows.append(('triplet mAP', 'none: the bag has no ground truth for these frames'))
    rows.append(('interactions that began or ended', str(summary['events_out'])))
    rows.append(('prompt versions', ', '.join(map(str, summary['prompt_versions']))))
    rows.append(('model', summary['model_id']))
    return rows
