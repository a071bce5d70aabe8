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

"""Truth from the annotation files of HICO-DET and V-COCO; a frame's frame_id is its file name."""

from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import Scene
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.evaluation.datasets.files import read_json
from hoi_perception.evaluation.datasets.hico_json import is_instances, read_hake, read_instances
from hoi_perception.evaluation.datasets.pair_table import find_problems, PairTable, zero_based
from hoi_perception.evaluation.datasets.problems import refuse_errors
from hoi_perception.evaluation.datasets.vcoco_json import is_vcoco_instances, read_vcoco_instances
from hoi_perception.evaluation.datasets.vcoco_original import read_vcoco_original
from hoi_perception.evaluation.vcoco_truth import truth_from_json, truth_from_pairs, VcocoTruth
from hoi_perception.replay.truth.frames import (
    AnnotatedFrames,
    index_places,
    Pairs,
    scene_of_pairs,
)
from hoi_perception.runtime.bundle import sha256
import numpy as np

COCO_FILES = ('instances_vcoco_all_2014.json', 'instances_val2014.json',
              'instances_train2014.json')
"""Where the original form of V-COCO finds its boxes: beside it, or one directory above."""
PAIRS_ONLY = ('This form of V-COCO names only people with an object: others are not in the '
              'recall, and role AP is not that of the official files.')


def open_hico(raw: Any, path: Path) -> AnnotatedFrames:
    """
    Return the truth of `instances_*.json` in either object order, or of HAKE's training set.

    The order is found out from the file (`datasets.object_order`); boxes become edges from 0.
    Raises `HoiError`.
    """
    read = read_instances if is_instances(raw) else read_hake
    return _truth(read(raw, str(path)), 'HICO-DET', path)


def open_vcoco(raw: Any, path: Path) -> AnnotatedFrames:
    """
    Return the truth of V-COCO in either form; verbs are 'action role' ('hold obj').

    The original form has no boxes: those are read from one of `COCO_FILES`. Raises `HoiError`.
    """
    if is_vcoco_instances(raw):
        table = read_vcoco_instances(raw, str(path))
        return _truth(table, 'V-COCO (instances form)', path, truth_from_pairs(table),
                      (PAIRS_ONLY,))
    coco = _boxes(path)
    table = read_vcoco_original(raw, str(path), coco)
    refuse_errors(find_problems(table), table.file)
    ids: Dict[str, int] = {image['file_name']: image['id'] for image in coco['images']}
    vcoco = truth_from_json(coco, raw, [ids[name] for name in table.images])
    return _truth(table, 'V-COCO', path, vcoco)


def _boxes(path: Path) -> Any:
    for folder in (path.parent, path.parent.parent):
        for name in COCO_FILES:
            if (folder / name).is_file():
                return read_json(folder / name)
    raise HoiError(f'{path} is V-COCO in its original form, which has no boxes; they are in a '
                   f'file of COCO: put {COCO_FILES[0]} beside it or one directory above.')


def _truth(table: PairTable, form: str, path: Path, vcoco: Optional[VcocoTruth] = None,
           notes: Tuple[str, ...] = ()) -> AnnotatedFrames:
    problems = find_problems(table)
    refuse_errors(problems, table.file)
    if problems:
        notes += (f'{len(problems)} oddities in {path.name} do no harm; the first: '
                  f'{problems[0]}.',)
    index, twice = index_places([(None, name) for name in table.images])
    return AnnotatedFrames(f'{form} {path.name}', sha256(path), index, _scenes(table),
                           notes + twice, vcoco)


def _scenes(table: PairTable) -> Callable[[int], Scene]:
    names = table.names
    words = Vocabulary(names.objects, tuple(
        Verb(name, phrase=phrase) for name, phrase in zip(names.verbs, names.phrases)),
        human=names.human)
    order = np.argsort(table.record, kind='stable')
    starts = np.searchsorted(table.record[order], np.arange(len(table.images) + 1))
    humans, things = (zero_based(boxes, table.one_based)
                      for boxes in (table.human_boxes, table.object_boxes))

    def scene_at(row: int) -> Scene:
        rows = order[starts[row]:starts[row + 1]]
        width, height = table.sizes[row].tolist()
        untracked = np.zeros(len(rows), np.int64)
        return scene_of_pairs(words, (width, height), Pairs(
            humans[rows], things[rows], table.verbs[rows], table.objects[rows], untracked,
            untracked))
    return scene_at
