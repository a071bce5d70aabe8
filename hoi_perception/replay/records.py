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
What a replay leaves in its directory: one record per frame, and what was run on what.

`frames.jsonl` and `run.json` hold everything that was measured; the results bag holds nothing
that was, so that two replays give the same bag byte for byte.
"""

from dataclasses import asdict, dataclass, field, fields
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Type, TypeVar

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_reader import FrameKey

FRAMES, RUN, RESULTS = 'frames.jsonl', 'run.json', 'results'
"""Names of the files and of the results bag in the directory of a replay."""

BAGS = 'bags'
"""The option of a `RunInfo` that says where the input lay, so that it can be read again."""

VERSION = 1
"""Of both files; other versions are refused."""

_Record = TypeVar('_Record')


@dataclass(frozen=True)
class FrameRecord:
    """
    What became of one frame of the input.

    index: position in the input, from 0, over all bags. bag: name of the bag. log_time:
    nanoseconds at which it was recorded. key: stamp and frame_id of its header. outcome:
    `answered`, `dropped` or `bad`. reason: cause of a drop, sentence of a bad frame. stages:
    milliseconds per stage, measured here or simulated. total: milliseconds from arrival to
    result (`real-time`: waiting included).
    """

    index: int
    bag: str
    topic: str
    log_time: int
    key: FrameKey
    outcome: str
    reason: str = ''
    stages: Dict[str, float] = field(default_factory=dict)
    total: float = 0.0


@dataclass(frozen=True)
class RunInfo:
    """
    What was run on what.

    mode: `every-frame`, `real-time` or `live`. bundle: its directory. engines: what ran each
    network. prompts: the verbs of each prompt version. options: what the replay was asked for.
    inputs: sha256 of every input file. machine: what it ran on. latency_source: where the times
    come from. wall_seconds: of the replay without its report. complete: whether every frame of
    the input was read.
    """

    version: int
    mode: str
    bundle: str
    model_id: str
    head: str
    engines: Dict[str, str]
    prompts: Dict[int, List[str]]
    options: Dict[str, Any]
    inputs: Dict[str, str]
    machine: Dict[str, Any]
    latency_source: str
    wall_seconds: float
    complete: bool


def frame_line(record: FrameRecord) -> str:
    """Return the record as a line of `frames.jsonl`, its end included."""
    return json.dumps(asdict(record)) + '\n'


def parse_frame(line: str) -> FrameRecord:
    """Return the record of a line; `ValueError` if it is none."""
    values = json.loads(line)
    return _record(FrameRecord, {**values, 'key': tuple(values['key'])})


def iterate_frames(directory: Path) -> Iterator[FrameRecord]:
    """Yield the records of a replay in the order of its input; `HoiError` if there are none."""
    path = Path(directory) / FRAMES
    _must_exist(path)
    with path.open(encoding='utf-8') as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield parse_frame(line)
            except (ValueError, KeyError, TypeError) as error:
                raise HoiError(f'{path}, line {number} is not the record of a frame ({error}): '
                               'run `hoi replay` again.') from error


def read_frames(directory: Path) -> List[FrameRecord]:
    """Return the records of a replay in the order of its input; `HoiError` if there are none."""
    return list(iterate_frames(directory))


def write_run(directory: Path, info: RunInfo) -> None:
    """Write `run.json` at once: whoever reads it sees the old one or the new one."""
    path = Path(directory) / RUN
    scratch = path.with_suffix('.part')
    scratch.write_text(json.dumps(asdict(info), indent=1) + '\n', encoding='utf-8')
    scratch.replace(path)


def read_run(directory: Path) -> RunInfo:
    """Return what was run on what; `HoiError` if that is not there or cannot be read."""
    path = Path(directory) / RUN
    _must_exist(path)
    try:
        values = json.loads(path.read_text(encoding='utf-8'))
        version = values['version']
        values['prompts'] = {int(key): verbs for key, verbs in values['prompts'].items()}
        info = _record(RunInfo, values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HoiError(f'{path} cannot be read as the description of a replay ({error}): run '
                       '`hoi replay` again.') from error
    if version != VERSION:
        raise HoiError(f'{path} has version {version}, expected {VERSION}: replay the bag again '
                       'with this release.')
    return info


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise HoiError(f'{path.parent} is not the output of `hoi replay`: it has no {path.name}.')


def _record(type_: Type[_Record], values: Dict[str, Any]) -> _Record:
    """Return the dataclass of these values; unknown or missing names are a `ValueError`."""
    names = {f.name for f in fields(type_)}  # type: ignore[arg-type]
    if set(values) - names:
        raise ValueError(f'unknown: {", ".join(sorted(set(values) - names))}')
    return type_(**values)
