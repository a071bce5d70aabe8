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

"""How long frames take on a robot: recorded there, drawn from here."""

from dataclasses import dataclass
import json
import math
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_files import data_files
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.message_types import LATENCIES
from hoi_perception.runtime.bundle import sha256
import numpy as np

_SEED = 20


@dataclass(frozen=True)
class LatencyProfile:
    """
    Recorded stage times of frames, in milliseconds.

    Waiting in the mailbox is not part of them: a stage is work. name, digest: of the file.
    """

    name: str
    digest: str
    frames: Tuple[Mapping[str, float], ...]

    def draw(self, index: int) -> Dict[str, float]:
        """Return the stages of one recorded frame, always the same one for the same index."""
        row = np.random.default_rng((_SEED, index)).integers(len(self.frames))
        return dict(self.frames[int(row)])


def work_ms(stages: Mapping[str, float]) -> float:
    """Return how long a frame is worked on: the sum of its stages."""
    return math.fsum(stages.values())


def read_profile(path: Path) -> LatencyProfile:
    """
    Return the profile in a bag with the node's `latency` topic, or in a JSON file.

    The JSON is a list with one number per frame (milliseconds of work), or one object per frame
    (milliseconds by stage). Raises `HoiError` on anything else.
    """
    path = Path(path).expanduser()
    if path.is_dir() or path.suffix in ('.mcap', '.db3'):
        frames, files = _from_bag(path), data_files(path)
    else:
        frames, files = _from_json(path), [path]
    for index, stages in enumerate(frames):
        for stage, value in stages.items():
            if not 0 <= value < math.inf:
                raise HoiError(f'{path}: frame {index} took {value} ms for {stage}, expected 0 or '
                               'more.')
    if not frames:
        raise HoiError(f'{path} holds no latencies: record the topic latency of the node.')
    return LatencyProfile(path.name, ' '.join(sha256(file) for file in files), tuple(frames))


def _from_bag(path: Path) -> List[Dict[str, float]]:
    with BagReader(path) as reader:
        topics = reader.topics_of_type(LATENCIES)
        if not topics:
            raise HoiError(f'bag {path} has no latencies: record the topic latency of the node '
                           f'({LATENCIES}).')
        return [{str(name): float(value)
                 for name, value in zip(message.stages, message.milliseconds)}
                for topic in topics for _, message in reader.messages(topic)]


def _from_json(path: Path) -> List[Dict[str, float]]:
    try:
        rows: Any = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(rows, list):
            raise ValueError(f'it holds {type(rows).__name__}')
        return [{str(name): float(value) for name, value in row.items()}
                if isinstance(row, dict) else {'work': float(row)} for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise HoiError(f'{path} cannot be read as a latency profile ({error}): expected a bag '
                       'with the topic latency, or JSON with a list of milliseconds per '
                       'frame.') from error
