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

"""Find the truth about a bag, and recognise what form it has by its content."""

import json
from pathlib import Path
from typing import Any, Optional, Sequence

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.hico_json import is_hake, is_instances
from hoi_perception.evaluation.datasets.vcoco_json import is_vcoco_instances
from hoi_perception.evaluation.datasets.vcoco_original import is_vcoco_original
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.message_types import DETECTIONS
from hoi_perception.replay.truth.coco import import_coco, is_coco
from hoi_perception.replay.truth.datasets import open_hico, open_vcoco
from hoi_perception.replay.truth.frames import Truth
from hoi_perception.replay.truth.own import is_own, open_own_csv, open_own_json
from hoi_perception.replay.truth.topic import open_topic

KNOWN = ('HICO-DET JSON, V-COCO JSON, the JSON and CSV described in docs/replay.md, or what '
         '`hoi replay export` wrote')


def open_truth(source: Optional[str], readers: Sequence[BagReader]) -> Optional[Truth]:
    """
    Return the truth about the frames of these bags.

    source: None = topics of HoiDetections whose name contains `ground_truth`, if the bags have
    any (else the result is None); a file, recognised by its content; or the name of a topic of
    HoiDetections. Raises `HoiError` where there is no such file or topic or it is malformed.
    """
    if source is None:
        names = sorted({topic.name for reader in readers
                        for topic in reader.topics_of_type(DETECTIONS)
                        if 'ground_truth' in topic.name})
        return open_topic(names, readers) if names else None
    path = Path(source).expanduser()
    if path.is_file():
        return open_file(path)
    if any(topic.name == source for reader in readers for topic in reader.topics):
        return open_topic([source], readers)
    topics = sorted({topic.name for reader in readers
                     for topic in reader.topics_of_type(DETECTIONS)})
    raise HoiError(f'ground truth {source} is neither a file nor a topic of the bags; their '
                   f'topics of {DETECTIONS}: {", ".join(topics) or "none"}.')


def open_file(path: Path) -> Truth:
    """Return the truth in a file; raises `HoiError` if it is of no known form, or malformed."""
    if path.suffix.lower() == '.csv':
        return open_own_csv(path)
    try:
        raw: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise HoiError(f'ground truth {path} is not readable JSON ({error}): expected '
                       f'{KNOWN}.') from error
    if is_instances(raw) or is_hake(raw):
        return open_hico(raw, path)
    if is_vcoco_instances(raw) or is_vcoco_original(raw):
        return open_vcoco(raw, path)
    if is_coco(raw):
        return import_coco(path)
    if is_own(raw):
        return open_own_json(raw, path)
    keys = ', '.join(sorted(map(str, raw))[:8]) if isinstance(raw, dict) else type(raw).__name__
    raise HoiError(f'ground truth {path} has no form known here: got JSON with {keys or "nothing"}'
                   f', expected {KNOWN}.')
