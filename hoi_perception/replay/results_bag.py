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
The results bag of a replay: the node's messages with the stamps and log times of their images.

Nothing in it was measured, so that two replays of one bag give it byte for byte.
"""

from pathlib import Path
import shutil
from typing import Iterable

from hoi_perception.replay.answer import TOPICS, Written
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import VOCABULARY


class ResultsBag:
    """
    Writes the bag from its beginning; use it as a context manager.

    directory: replaced where it is a bag, finished or not; `HoiError` where it is anything else.
    storage: `mcap` or `sqlite3`.
    """

    def __init__(self, directory: Path, storage: str) -> None:
        if _is_unfinished(directory):
            shutil.rmtree(directory)
        self._writer = BagWriter(directory, storage)
        for topic, type_ in TOPICS.items():
            self._writer.add_topic(topic, type_, latched=type_ == VOCABULARY)

    def write(self, log_time: int, messages: Iterable[Written]) -> None:
        """Write the messages of a frame; log_time: of its image, in nanoseconds."""
        for message in messages:
            self._writer.write_serialized(
                message.topic, TOPICS[message.topic], log_time, message.serialized)

    def __enter__(self) -> 'ResultsBag':
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            self._writer.close()
        except Exception:
            if kind is None:
                raise  # else what went wrong first is what matters


def _is_unfinished(directory: Path) -> bool:
    """Whether there is nothing but the one data file of an interrupted writer."""
    if not directory.is_dir() or (directory / 'metadata.yaml').exists():
        return False
    return {path.name.removesuffix('-journal') for path in directory.iterdir()} <= {
        f'{directory.name}.mcap', f'{directory.name}.db3'}
