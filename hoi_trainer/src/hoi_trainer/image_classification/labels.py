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
Which HOI classes an image shows: from annotated pairs, or from HICO's own list of labels.

Labels are (images, C) int8 as `hoi_perception.evaluation.hico_classification` names them: 1 shown,
0 ambiguous, -1 not shown beside its object, -2 without its object. Training takes only 1 as
positive; an image without any is negative for every class.
"""

from pathlib import Path
from typing import NamedTuple, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.hico_names import hico_names
from hoi_perception.evaluation.hico_classification import NEGATIVE, NO_OBJECT, POSITIVE
from hoi_trainer.datasets.images import open_images
from hoi_trainer.datasets.records import HoiDataset, HoiRecord
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.synthetic import load
import numpy as np
from scipy.io import loadmat

SPLITS = ('train', 'test')


class LabelledImages(NamedTuple):
    """A data set whose pictures and names count, and the (images, C) int8 labels."""

    dataset: HoiDataset
    labels: np.ndarray


def labels_of(dataset: HoiDataset, present: np.ndarray) -> np.ndarray:
    """
    Return the labels that annotated pairs imply; nothing is ambiguous.

    present: (images, objects) bool, objects that an image holds beside the one who acts.
    """
    table, things = dataset.names.class_table(), dataset.names.combinations[:, 1]
    shown = np.zeros((len(dataset), len(things)), bool)
    for row, record in zip(shown, dataset.records):
        classes = table[record.verbs, record.objects]
        row[classes[classes >= 0]] = True
    beside = present[:, things]
    return np.where(shown, POSITIVE, np.where(beside, NEGATIVE, NO_OBJECT)).astype(np.int8)


def annotated_objects(dataset: HoiDataset) -> np.ndarray:
    """Return (images, objects) bool: the objects of annotated pairs."""
    present = np.zeros((len(dataset), len(dataset.names.objects)), bool)
    for row, record in zip(present, dataset.records):
        row[record.objects] = True
    return present


def synthetic_objects(directory: Path, count: int, human: int, objects: int) -> np.ndarray:
    """Return (count, objects) bool of rendered scenes; people count where there are two."""
    scenes = load(directory).scenes[:count]
    counts = np.array([np.bincount(scene.labels, minlength=objects) for scene in scenes])
    counts[:, human] -= 1
    return counts > 0


def open_labelled(path: Path, limit: Optional[int] = None, images: Optional[Path] = None,
                  split: str = 'train') -> LabelledImages:
    """
    Return at most `limit` images with their labels.

    path: a directory of `hoi-trainer synth`, an annotation file of HICO-DET, or HICO's
    `anno_hico_classification.mat` (anno.mat), which holds both splits and says what is ambiguous.
    images: directory of the photos. Raises `HoiError`.
    """
    path = Path(path)
    if path.suffix == '.mat':
        found = read_hico_labels(path, split, images)
        dataset = HoiDataset(found.dataset.names, found.dataset.records[:limit],
                             found.dataset.images)
        return LabelledImages(dataset, found.labels[:limit])
    dataset = open_dataset(path, limit, images, split)
    names = dataset.names
    present = synthetic_objects(path, len(dataset), names.human, len(names.objects)) \
        if path.is_dir() else annotated_objects(dataset)
    return LabelledImages(dataset, labels_of(dataset, present))


def read_hico_labels(path: Path, split: str, images: Optional[Path] = None) -> LabelledImages:
    """
    Return HICO's image-level labels (anno.mat): 38,118 training and 9,658 test images.

    NaN there means that the object was not seen. Raises `HoiError`.
    """
    if split not in SPLITS:
        raise HoiError(f'{path} holds two splits, got split {split!r}: choose train or test.')
    keys = (f'anno_{split}', f'list_{split}', 'list_action')
    try:
        raw = loadmat(path, squeeze_me=True, struct_as_record=False, variable_names=keys)
    except FileNotFoundError:
        raise
    except Exception as error:  # scipy lets through whatever its parser meets in a broken file
        raise HoiError(f'{path} cannot be read as a MATLAB file ({type(error).__name__}: {error})'
                       ': fetch it again.') from error
    names = hico_names()
    if any(key not in raw for key in keys):
        raise HoiError(f'{path} lacks {next(key for key in keys if key not in raw)}, expected '
                       f'{", ".join(keys)} of HICO; anno_bbox.mat, for instance, has boxes '
                       'without labels.')
    classes = [(a.nname, a.vname) for a in np.atleast_1d(raw['list_action'])]
    expected = [(names.objects[o], names.verbs[v]) for v, o in names.combinations]
    if classes != expected:
        raise HoiError(f'{path} lists {len(classes)} classes in list_action, which are not the '
                       '600 of HICO in their order: its labels cannot be told.')
    table, files = np.atleast_2d(raw[keys[0]]), [str(f) for f in np.atleast_1d(raw[keys[1]])]
    values = np.where(np.isnan(table), NO_OBJECT, table).T
    if values.shape != (len(files), len(expected)) or not np.isin(values, (1, 0, -1, -2)).all():
        raise HoiError(f'{path}: {keys[0]} has shape {table.shape} for {len(files)} files, or '
                       'holds other values than 1, 0, -1 and NaN; fetch it again.')
    boxes, none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    records = tuple(HoiRecord(file, 0, 0, boxes, boxes, none, none) for file in files)
    dataset = HoiDataset(names, records, open_images(images))
    return LabelledImages(dataset, values.astype(np.int8))
