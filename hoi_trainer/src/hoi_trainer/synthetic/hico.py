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

"""Write a synthetic set as HICO-DET-style JSON with PNG images, and read such JSON back."""

import json
from pathlib import Path

import cv2
from hoi_trainer.synthetic.dataset import SyntheticSet
from hoi_trainer.synthetic.vocabulary import COMBINATIONS, OBJECTS, VERBS
import numpy as np


def write_hico(data: SyntheticSet, directory, split: str) -> Path:
    """
    Write `<directory>/images/<split>/*.png` and `<directory>/instances_<split>.json`.

    The layout follows the JSON edition of HICO-DET: per image one row of `boxes_h`, `boxes_o`
    (pixels), `object`, `verb` and `hoi` for every triplet; indices into the lists `objects`,
    `verbs` and `correspondence` (hoi, object, verb) of the same file. Returns the JSON's path.
    """
    directory = Path(directory)
    folder = directory / 'images' / split
    folder.mkdir(parents=True, exist_ok=True)
    hoi_of = {pair: i for i, pair in enumerate(COMBINATIONS)}
    annotations, names, sizes = [], [], []
    for i, (image, scene) in enumerate(zip(data.images, data.scenes)):
        name = f'synthetic_{split}_{i + 1:08d}.png'
        cv2.imwrite(str(folder / name), cv2.cvtColor(np.ascontiguousarray(image),
                                                     cv2.COLOR_RGB2BGR))
        row = {'boxes_h': [], 'boxes_o': [], 'hoi': [], 'object': [], 'verb': []}
        for human, verb, thing in scene.triplets.tolist():
            label = int(scene.labels[thing])
            row['boxes_h'].append(scene.boxes[human].tolist())
            row['boxes_o'].append(scene.boxes[thing].tolist())
            row['hoi'].append(hoi_of[verb, label])
            row['object'].append(label)
            row['verb'].append(verb)
        annotations.append(row)
        names.append(name)
        sizes.append([scene.width, scene.height])
    path = directory / f'instances_{split}.json'
    path.write_text(json.dumps({
        'annotation': annotations, 'filenames': names, 'size': sizes,
        'empty': [i for i, row in enumerate(annotations) if not row['hoi']],
        'objects': list(OBJECTS), 'verbs': list(VERBS),
        'correspondence': [[i, label, verb] for i, (verb, label) in enumerate(COMBINATIONS)],
    }), encoding='utf-8')
    return path
