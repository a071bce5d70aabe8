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

"""Truth from COCO-style files with interactions, as `hoi replay export` writes them."""

import json
from pathlib import Path
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import Instances, Mask, MaskKind, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
from hoi_perception.replay.truth.frames import AnnotatedFrames, index_places, Place
from hoi_perception.replay.truth.own import sentence_of
from hoi_perception.runtime.bundle import sha256
import numpy as np
from pycocotools import mask as coco
from pydantic import BaseModel, Field, ValidationError

FILE_NAME = re.compile(r'\d+_(\d+)_(\d{9})\.\w+$')
"""Number, seconds and nanoseconds: what is left of a frame's name where a tool kept only files."""


class _FrameName(BaseModel):
    sec: int
    nanosec: int
    frame_id: str


class _Image(BaseModel):
    id: int
    file_name: str
    width: int
    height: int
    frame: Optional[_FrameName] = None

    def place(self) -> Optional[Place]:
        if self.frame is not None:
            return (self.frame.sec, self.frame.nanosec), self.frame.frame_id
        named = FILE_NAME.search(self.file_name)
        return ((int(named[1]), int(named[2])), None) if named else None


class _Annotation(BaseModel):
    id: int
    image_id: int
    category_id: int
    bbox: Tuple[float, float, float, float]
    segmentation: Union[Dict[str, Any], List[Any]] = Field(default_factory=list)
    track_id: int = 0


class _Category(BaseModel):
    id: int
    name: str


class _Interaction(BaseModel):
    id: int
    image_id: int
    subject_id: int
    object_id: Optional[int] = None
    category_id: int


class _CocoFile(BaseModel):
    images: List[_Image]
    annotations: List[_Annotation]
    categories: List[_Category]
    hoi_categories: List[_Category]
    hoi_annotation: List[_Interaction]


class _Frame(NamedTuple):
    image: _Image
    annotations: List[_Annotation]
    interactions: List[_Interaction]


def is_coco(raw: Any) -> bool:
    """Tell COCO's layout: images, annotations and categories."""
    return isinstance(raw, dict) and {'images', 'annotations', 'categories'} <= set(raw)


def import_coco(path: Path) -> AnnotatedFrames:
    """
    Return the truth in a corrected file; what the tool added is not looked at.

    Instances are found by their ids, which the tool must keep. A frame is named by `frame` of its
    image, or by the file name where the tool dropped that. Raises `HoiError`.
    """
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise HoiError(f'{path} is not readable JSON ({error}).') from error
    absent = {'hoi_categories', 'hoi_annotation'} - set(raw)
    if absent:
        raise HoiError(f'{path} is a COCO file without {" and ".join(sorted(absent))}, so it says '
                       'nothing about interactions: expected what `hoi replay export` wrote. Some '
                       'tools drop lists they do not know: copy them back from the exported '
                       'file.')
    try:
        file = _CocoFile.model_validate(raw)
    except ValidationError as error:
        raise HoiError(f'{path}: {sentence_of(error)}') from error
    frames, places = _frames(file, path), []
    for frame in frames:
        place = frame.image.place()
        if place is None:
            raise HoiError(f'{path}: image {frame.image.id} ({frame.image.file_name}) does not '
                           'say which frame it is: expected `frame` with sec, nanosec and '
                           'frame_id, or the file name it was exported with.')
        places.append(place)
    objects = {category.id: category.name for category in file.categories}
    verbs = {category.id: category.name for category in file.hoi_categories}
    words = Vocabulary(tuple(dict.fromkeys(['person', *objects.values()])),
                       tuple(Verb(name) for name in dict.fromkeys(verbs.values())))
    label = {key: words.objects.index(name) for key, name in objects.items()}
    number = {key: words.verb_names.index(name) for key, name in verbs.items()}
    index, notes = index_places(places)
    return AnnotatedFrames(f'COCO file {path.name}', sha256(path), index,
                           lambda row: _scene(frames[row], words, label, number), notes)


def _frames(file: _CocoFile, path: Path) -> List[_Frame]:
    """Gather what belongs to each image, and refuse references that lead nowhere."""
    frames = {image.id: _Frame(image, [], []) for image in file.images}
    categories = {category.id for category in file.categories}
    owner: Dict[int, int] = {}
    for annotation in file.annotations:
        place = f'{path}: annotation {annotation.id}'
        _known(place, 'image_id', annotation.image_id, frames)
        _known(place, 'category_id', annotation.category_id, categories)
        if annotation.id in owner:
            raise HoiError(f'{place} comes twice, expected ids that are all different.')
        if not (np.isfinite(annotation.bbox).all() and min(annotation.bbox[2:]) > 0):
            raise HoiError(f'{place}: got bbox {annotation.bbox}, expected finite x, y, width and '
                           'height with width and height above 0.')
        owner[annotation.id] = annotation.image_id
        frames[annotation.image_id].annotations.append(annotation)
    verbs = {category.id for category in file.hoi_categories}
    for interaction in file.hoi_annotation:
        place = f'{path}: hoi_annotation {interaction.id}'
        _known(place, 'image_id', interaction.image_id, frames)
        _known(place, 'category_id', interaction.category_id, verbs)
        for key, value in (('subject_id', interaction.subject_id),
                           ('object_id', interaction.object_id)):
            if value is not None and owner.get(value) != interaction.image_id:
                raise HoiError(f'{place}: got {key} {value}, expected the id of an annotation of '
                               f'image {interaction.image_id} (was it deleted in the tool? then '
                               'delete the interaction, too).')
        frames[interaction.image_id].interactions.append(interaction)
    return list(frames.values())


def _known(place: str, key: str, value: int, known: Any) -> None:
    if value not in known:
        raise HoiError(f'{place}: got {key} {value}, expected one that the file lists.')


def _scene(frame: _Frame, words: Vocabulary, label: Dict[int, int],
           number: Dict[int, int]) -> Scene:
    found, interactions = frame.annotations, frame.interactions
    row = {annotation.id: i for i, annotation in enumerate(found)}
    boxes = np.array([one.bbox for one in found], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    masks = [mask for i, one in enumerate(found) for mask in _masks(i, one, frame.image)]
    return Scene(
        frame.image.width, frame.image.height, words,
        Instances(boxes, np.ones(len(found)), [label[one.category_id] for one in found],
                  [one.track_id for one in found]),
        Triplets([row[one.subject_id] for one in interactions],
                 [NONE if one.object_id is None else row[one.object_id] for one in interactions],
                 [number[one.category_id] for one in interactions], np.ones(len(interactions))),
        tuple(masks), 'ground truth')


def _masks(owner: int, annotation: _Annotation, image: _Image) -> List[Mask]:
    """Return the mask of a segmentation: polygons, run lengths, or none."""
    if not annotation.segmentation:
        return []
    try:
        runs = annotation.segmentation
        if not isinstance(runs, dict) or isinstance(runs['counts'], list):
            runs = coco.frPyObjects(runs, image.height, image.width)
        bitmap = coco.decode(coco.merge(runs) if isinstance(runs, list) else runs).astype(bool)
    except Exception as error:  # pycocotools raises whatever its C code stumbles over
        raise HoiError(f'annotation {annotation.id} has a segmentation that is neither polygons '
                       f'nor run lengths ({error}).') from error
    rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
    if bitmap.shape != (image.height, image.width):
        raise HoiError(f'annotation {annotation.id} has a segmentation of {bitmap.shape[1]}x'
                       f'{bitmap.shape[0]} pixels, expected {image.width}x{image.height}.')
    if not len(rows):
        return []
    y, x = int(rows[0]), int(columns[0])
    return [Mask(MaskKind.INSTANCE, owner, x, y, bitmap[y:rows[-1] + 1, x:columns[-1] + 1])]
