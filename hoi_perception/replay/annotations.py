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
Frames of a replay with predictions as COCO-style files, for correction in an annotation tool.

`OUT/images/NUMBER_SEC_NANOSEC.jpg` and `OUT/annotations.json`, COCO's instances format (images,
annotations with xywh boxes and run-length masks, categories) and, in the style of V-COCO and
HOI-A, `hoi_categories` (verbs) and `hoi_annotation` (subject_id, object_id, category_id). The
corrected file is read back as ground truth by `open_truth` (docs/replay.md).
"""

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import MaskKind, NONE, Scene
from hoi_perception.replay.bag_reader import BagReader, frame_key, FrameKey
from hoi_perception.replay.inputs import Inputs
from hoi_perception.replay.message_types import DETECTIONS, MASKS
from hoi_perception.replay.records import read_frames, RESULTS
from hoi_perception.replay.scenes import masks_of, scene_of, vocabulary_of
from hoi_perception.replay.truth.coco import import_coco
import numpy as np
from PIL import Image
from pycocotools import mask as coco

__all__ = ['export_bags', 'export_coco', 'Exported', 'import_coco']

QUALITY = 95
"""Of the JPEG files; enough not to be seen in the labels."""

Pixels = Callable[[FrameKey], Optional[np.ndarray]]
"""Reads a frame again: (H, W, 3) uint8 RGB, or None where that cannot be."""


class Exported(NamedTuple):
    """What was written; without_image: answered frames that could not be read again."""

    directory: Path
    frames: int
    instances: int
    interactions: int
    without_image: int

    def __str__(self) -> str:
        lost = f'; {self.without_image} frames could not be read again and were left out' \
            if self.without_image else ''
        return (f'{self.directory / "annotations.json"}: {self.frames} frames, {self.instances} '
                f'instances, {self.interactions} interactions{lost}.')


def export_bags(directory: Path, out: Path, bags: Sequence[Path],
                least_score: float = 0.0) -> Exported:
    """Write the frames of a replay; bags: those that were replayed. Raises `HoiError`."""
    records = read_frames(directory)
    with Inputs(bags) as inputs:
        return export_coco(directory, out, inputs.pixels_by_key(records), least_score)


def export_coco(directory: Path, out: Path, pixels: Pixels,
                least_score: float = 0.0) -> Exported:
    """
    Write the answered frames of a replay with what was predicted in them.

    directory: output of a replay. out: a directory that is new or empty. least_score: triplets
    below are left out. Raises `HoiError`.
    """
    images = Path(out) / 'images'
    if Path(out).exists() and (not Path(out).is_dir() or any(Path(out).iterdir())):
        raise HoiError(f'{out} exists and is not an empty directory: nothing in it is '
                       'overwritten, choose another one.')
    file = _CocoFile()
    lost = 0
    with BagReader(Path(directory) / RESULTS) as reader:
        masks = {frame_key(message.header): message for topic in reader.topics_of_type(MASKS)
                 for _, message in reader.messages(topic)}
        images.mkdir(parents=True, exist_ok=True)
        for topic in reader.topics_of_type(DETECTIONS):
            for _, message in reader.messages(topic):
                key = frame_key(message.header)
                rgb = pixels(key)
                if rgb is None:
                    lost += 1
                    continue
                name = f'{len(file.images) + 1:06d}_{key[0]}_{key[1]:09d}.jpg'
                Image.fromarray(rgb).save(images / name, quality=QUALITY)
                beside = masks.get(key)
                scene = scene_of(message, vocabulary_of([message]))
                file.add(key, name, scene, {
                    mask.owner: mask.full(scene.width, scene.height) for mask in
                    (masks_of(beside) if beside else ()) if mask.kind == MaskKind.INSTANCE},
                    least_score)
    if not file.images:
        raise HoiError(f'{directory} has no frame to export: {lost} were answered, and none of '
                       'them could be read again from the bags; give the bags that were replayed.'
                       if lost else f'{directory} has no frame to export: none was answered.')
    (Path(out) / 'annotations.json').write_text(json.dumps(file.content()) + '\n')
    return Exported(Path(out), len(file.images), len(file.annotations), len(file.interactions),
                    lost)


class _CocoFile:
    """The lists of the file while they grow; ids count from 1."""

    def __init__(self) -> None:
        self.images: List[dict] = []
        self.annotations: List[dict] = []
        self.interactions: List[dict] = []
        self._objects: Dict[str, int] = {'person': 1}
        self._verbs: Dict[str, int] = {}
        self._model = ''

    def add(self, key: FrameKey, name: str, scene: Scene, bitmaps: Dict[int, np.ndarray],
            least_score: float) -> None:
        """Take in a frame."""
        image, first = len(self.images) + 1, len(self.annotations) + 1
        self._model = scene.model_id
        self.images.append({
            'id': image, 'file_name': name, 'width': scene.width, 'height': scene.height,
            'frame': {'sec': key[0], 'nanosec': key[1], 'frame_id': key[2]}})
        found, triplets = scene.instances, scene.triplets
        for row, ((x1, y1, x2, y2), score, label, track) in enumerate(zip(
                found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(),
                found.track_ids.tolist())):
            class_name = scene.vocabulary.objects[label]
            self.annotations.append({
                'id': first + row, 'image_id': image,
                'category_id': self._objects.setdefault(class_name, len(self._objects) + 1),
                'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': (x2 - x1) * (y2 - y1), 'iscrowd': 0,
                'segmentation': _segmentation(bitmaps.get(row)), 'score': score,
                'track_id': track})
        for human, thing, verb, score in zip(
                triplets.human.tolist(), triplets.object.tolist(), triplets.verb.tolist(),
                triplets.scores.tolist()):
            if score < least_score:
                continue
            verb_name = scene.vocabulary.verb_names[verb]
            self.interactions.append({
                'id': len(self.interactions) + 1, 'image_id': image, 'subject_id': first + human,
                'object_id': None if thing == NONE else first + thing,
                'category_id': self._verbs.setdefault(verb_name, len(self._verbs) + 1),
                'score': score})

    def content(self) -> Dict[str, Any]:
        """Return the file."""
        def listed(names: Dict[str, int]) -> List[dict]:
            return [{'id': number, 'name': name} for name, number in names.items()]
        return {
            'info': {'description': f'Predictions of {self._model}, to be corrected',
                     'version': '1'},
            'images': self.images, 'annotations': self.annotations,
            'categories': listed(self._objects), 'hoi_categories': listed(self._verbs),
            'hoi_annotation': self.interactions}


def _segmentation(bitmap: Optional[np.ndarray]) -> Any:
    """Return COCO's run lengths of a mask, [] where there is none."""
    if bitmap is None:
        return []
    runs = coco.encode(np.asfortranarray(bitmap, dtype=np.uint8))
    return {'size': [int(side) for side in runs['size']], 'counts': runs['counts'].decode()}
