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

"""The report of a replay: `report.json` for programs, `report.html` for people."""

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from hoi_perception.core.scene import Scene
from hoi_perception.replay.records import RunInfo
from hoi_perception.replay.report import pictures
from hoi_perception.replay.report.accuracy import accuracy
from hoi_perception.replay.report.drawings import drawings
from hoi_perception.replay.report.happenings import happenings
from hoi_perception.replay.report.material import masked_scenes, read_replay, Replay
from hoi_perception.replay.report.measures import calibrated, confusion, curves, masks
from hoi_perception.replay.report.page import plain, render
from hoi_perception.replay.report.timing import frame_counts, latency, losses
from hoi_perception.replay.report.verdicts import MATCHES, verdicts_of
from hoi_perception.replay.truth import Truth

JSON, HTML = 'report.json', 'report.html'
VERSION = 1
SECTIONS = (('accuracy', 'Accuracy'), ('curves', 'Precision and recall'),
            ('confusion', 'Confusion'), ('calibration', 'Calibration'), ('masks', 'Masks'),
            ('events', 'Events'), ('latency', 'Latency'), ('losses', 'Losses'),
            ('worst', 'Worst frames'), ('best', 'Best frames'), ('run', 'What was run'))


def write_report(directory: Path, truth: Optional[Truth],
                 source: pictures.FrameSource) -> Dict[str, Any]:
    """
    Judge a replay and write `report.json`, `report.html` and `matches.npz` beside its records.

    truth: None = unknown, then everything is reported that needs none. source: where the
    pictures come from. Returns what report.json holds. Raises `HoiError` where the directory is
    no replay.
    """
    directory = Path(directory)
    replay = read_replay(directory, truth)
    verdicts = verdicts_of(replay.judged, replay.main_verbs) if replay.judged else None
    (directory / MATCHES).unlink(missing_ok=True)
    if verdicts is not None:
        verdicts.save(directory)
    found = accuracy(replay, truth, verdicts)
    why = found['full'].why
    chosen = pictures.chosen(replay, verdicts)
    report = plain({
        'version': VERSION, 'run': replay.run,
        'bags': list(dict.fromkeys(record.bag for record in replay.records)),
        'truth': None if truth is None else {'name': truth.name, 'digest': truth.digest},
        'frames': frame_counts(replay), 'accuracy': found, 'curves': curves(verdicts, why),
        'confusion': confusion(replay, verdicts, why), 'calibration': calibrated(verdicts, why),
        'masks': masks(replay, truth, verdicts, why),
        'events': happenings(replay, verdicts, why), 'latency': latency(replay),
        'losses': losses(replay), 'pictures': chosen})
    _write(directory / JSON, json.dumps(report, indent=1, allow_nan=False) + '\n')
    images = _images(replay, truth, chosen, source)
    _write(directory / HTML, render(
        'report.html.j2', report={**report, 'pictures': {**report['pictures'], **images}},
        charts=drawings(report), sections=SECTIONS, facts=facts(replay.run),
        options=_given(replay.run.options)))
    return report


def _images(replay: Replay, truth: Optional[Truth], chosen: Mapping[str, Any],
            source: pictures.FrameSource) -> Dict[str, List[Dict[str, Any]]]:
    """Return the best and worst frames with their pictures."""
    wanted = {row['index'] for kind in ('best', 'worst') for row in chosen[kind]}
    scenes: Dict[int, Tuple[Scene, Optional[Scene]]] = {}
    for answer in replay.answers:
        if answer.record.index in wanted:
            real = truth.scene(answer.record.key) if truth is not None else None
            scenes[answer.record.index] = answer.scene, real
    for answer, scene in masked_scenes(replay, wanted):
        scenes[answer.record.index] = scene, scenes[answer.record.index][1]
    return {kind: pictures.images_of(chosen[kind], scenes, source) for kind in ('best', 'worst')}


def facts(run: RunInfo) -> List[Tuple[str, str]]:
    """Return what was run as rows for people."""
    return [
        ('model', run.model_id), ('bundle', run.bundle), ('interaction head', run.head),
        ('mode', run.mode), ('latencies', run.latency_source),
        ('wall time of the replay', f'{run.wall_seconds:.1f} s, without this report'),
        ('every frame of the input was read', 'yes' if run.complete else 'no')]


def _given(options: Mapping[str, Any]) -> List[Tuple[str, Any]]:
    return [(name, value) for name, value in options.items()
            if value is not None and value != [] and value != '']


def _write(path: Path, text: str) -> None:
    """Write at once: whoever reads it sees the old file or the new one."""
    scratch = path.with_suffix(path.suffix + '.part')
    scratch.write_text(text, encoding='utf-8')
    scratch.replace(path)
