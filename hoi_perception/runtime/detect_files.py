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

"""Run the pipeline over files: what `hoi detect` does."""

import json
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple

from hoi_perception.core.errors import FrameError, HoiError
from hoi_perception.core.scene import NONE, Scene
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')
VIDEOS = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg')


def read_image(path: Path) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB, turned upright by its EXIF tag. Raises `FrameError`."""
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert('RGB'))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError,
            Image.DecompressionBombError) as error:
        raise FrameError('unreadable', f'{path} cannot be read as an image: {error}') from error


def read_video(path: Path) -> Iterator[np.ndarray]:
    """Yield (H, W, 3) uint8 RGB frames. Raises `HoiError` without OpenCV or on a broken file."""
    try:
        import cv2
    except ImportError as error:
        raise HoiError(f'{path} is a video, and reading videos needs OpenCV: install the extra '
                       "with pip install 'hoi_perception[opencv]', or apt's "
                       'python3-opencv.') from error
    capture = cv2.VideoCapture(str(path))
    try:
        count = 0
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            count += 1
            yield np.ascontiguousarray(frame[:, :, ::-1])
    finally:
        capture.release()
    if count == 0:
        raise HoiError(f'{path} has no frame that OpenCV can decode.')


def frames(source: Path) -> Iterator[Tuple[str, np.ndarray]]:
    """
    Yield (name, RGB) of an image file, of every image in a directory (sorted), or of a video.

    Raises `HoiError` on anything else and on a directory without images.
    """
    if source.is_dir():
        paths = sorted(p for p in source.iterdir() if p.suffix.lower() in IMAGES)
        if not paths:
            raise HoiError(f'{source} holds no image ({", ".join(IMAGES)}).')
        for path in paths:
            yield path.name, read_image(path)
    elif not source.is_file():
        raise HoiError(f'{source} does not exist: give an image, a directory or a video.')
    elif source.suffix.lower() in VIDEOS:
        for index, frame in enumerate(read_video(source)):
            yield f'{source.stem}_{index:06d}', frame
    else:
        yield source.name, read_image(source)


def scene_as_mapping(scene: Scene) -> Dict[str, Any]:
    """Return a scene as plain values for JSON; masks are left out, boxes are source pixels."""
    found, names = scene.instances, scene.vocabulary
    instances = [{'label': names.objects[label], 'score': round(float(score), 4),
                  'box': [round(float(v), 2) for v in box]}
                 for box, score, label in zip(found.boxes, found.scores, found.labels)]
    triplets = [{'human': int(human), 'verb': names.verbs[verb].name,
                 'object': None if thing == NONE else int(thing), 'score': round(float(score), 4),
                 'phrase': phrase}
                for human, verb, thing, score, phrase in zip(
                    scene.triplets.human, scene.triplets.verb, scene.triplets.object,
                    scene.triplets.scores, scene.phrases())]
    return {'width': scene.width, 'height': scene.height, 'model_id': scene.model_id,
            'prompt_version': scene.prompt_version, 'dropped_pairs': scene.dropped_pairs,
            'instances': instances, 'triplets': triplets}


class ResultWriter:
    """Writes one overlay picture per frame and `detections.json` into a directory."""

    def __init__(self, directory: Optional[Path]) -> None:
        self.directory = directory
        self.results: Dict[str, Any] = {}
        if directory is not None:
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise HoiError(f'--out {directory} cannot be made a directory: '
                               f'{error.strerror}.') from error

    def add(self, name: str, rgb: np.ndarray, scene: Scene) -> Dict[str, Any]:
        """Keep a result and draw it on rgb (H, W, 3) uint8; return it as plain values."""
        result = self.results[name] = scene_as_mapping(scene)
        if self.directory is not None:
            from hoi_perception.runtime.overlay import draw_overlay
            picture = self.directory / f'{Path(name).stem}_overlay.jpg'
            Image.fromarray(draw_overlay(rgb, scene)).save(picture, quality=90)
        return result

    def finish(self) -> None:
        """Write the JSON file."""
        if self.directory is not None:
            (self.directory / 'detections.json').write_text(
                json.dumps(self.results, indent=1) + '\n', encoding='utf-8')
