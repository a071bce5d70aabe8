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
What a frozen detector finds in a data set, computed once and kept on disk.

A cache is a directory of NumPy arrays with one row per image. Its name tells what it was made
from (weights of the detector, pictures and annotations, settings), so another detector or data set
never meets a stale cache. It is filled in a directory beside it, which an interrupted run
continues, and gets its name when it is complete.
"""

from dataclasses import dataclass
import fcntl
import hashlib
import json
from pathlib import Path
from typing import Callable, Dict, NamedTuple, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.pairs import select_instances
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.detect_stage import DetectStage
from hoi_perception.runtime.preprocess import check_rgb, ImageTransform
from hoi_trainer.datasets.records import HoiDataset
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

CHUNK = 32
SAMPLED_IMAGES = 8

Layout = Dict[str, Tuple[str, Tuple[int, ...]]]
"""Data type and shape of a row by name of the array."""
Rows = Callable[[list, int], Dict[str, np.ndarray]]
"""Arrays of a chunk from its images and the index of the first of them."""


@dataclass(frozen=True)
class Slots:
    """
    How many instances of an image are kept, as at run time but with fewer places.

    humans, objects: most per side; least: fewest per side whatever their score. Instances at or
    above the bundle's threshold are taken, best first.
    """

    humans: int = 5
    objects: int = 8
    least: int = 3

    @property
    def total(self) -> int:
        """Return the number of boxes per image, padding included."""
        return self.humans + self.objects


class DetectionCache(NamedTuple):
    """
    Instances of N images in n slots: humans by falling score, other objects, padding.

    boxes: (N, n, 4) float32 xyxy in source pixels. scores: (N, n) float32, 0 for padding. labels:
    (N, n) int16 into the vocabulary's objects. mask: (N, n) bool. queries: (N, n, D) float16, the
    detector's feature of the instance. All are memory maps.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    queries: np.ndarray


def dataset_key(dataset: HoiDataset) -> str:
    """Return a hash of names, annotations and a few pictures of a data set."""
    digest = hashlib.sha256(json.dumps([dataset.names.objects, dataset.names.verbs]).encode())
    for record in dataset.records:
        digest.update(f'{record.image} {record.width} {record.height}'.encode())
        for array in (record.human_boxes, record.object_boxes, record.objects, record.verbs):
            digest.update(np.ascontiguousarray(array).tobytes())
    count = len(dataset.records)
    for index in np.unique(np.linspace(0, count - 1, SAMPLED_IMAGES).astype(int)).tolist():
        digest.update(np.ascontiguousarray(dataset.image(index)).tobytes())
    return digest.hexdigest()


def cached_detections(bundle: Bundle, dataset: HoiDataset, directory: Path, slots: Slots,
                      device: str = 'cpu') -> DetectionCache:
    """
    Return the detections of a data set, from the cache below `directory` or computed into it.

    Raises `HoiError` where the data set is empty or the detector returns NaN.
    """
    spec = bundle.spec
    key = cache_key('detections', dataset_key(dataset), spec.files['detector.safetensors'],
               spec.detector.model_dump_json(), spec.thresholds.instance, spec.thresholds.nms_iou,
               spec.vocabulary.objects, slots)
    work = _Detecting(bundle, slots, torch.device(device))
    arrays = filled(directory / key, len(dataset.records), work.layout, dataset, work.rows)
    return DetectionCache(**arrays)


def cached_images(bundle: Bundle, dataset: HoiDataset, directory: Path) -> np.ndarray:
    """
    Return the pictures as CLIP's input before normalisation, (N, 3, H, W) uint8, memory-mapped.

    They are resized exactly as at run time; the cache does not depend on CLIP's weights.
    """
    spec, device = bundle.spec.clip.preprocessing, torch.device('cpu')
    resizes = [ImageTransform(spec, device).resize]
    if bundle.spec.clip.after_detector:
        resizes.insert(0, ImageTransform(bundle.spec.detector.preprocessing, device).resize)

    def rows(images: list, first: int) -> Dict[str, np.ndarray]:
        for resize in resizes:
            images = [resize(image) for image in images]
        return {'images': np.stack(images).transpose(0, 3, 1, 2)}

    key = cache_key('images', dataset_key(dataset), spec.model_dump_json(), len(resizes) == 2
               and bundle.spec.detector.preprocessing.model_dump_json())
    layout = {'images': ('uint8', (3, spec.height, spec.width))}
    return filled(directory / key, len(dataset.records), layout, dataset, rows)['images']


class _Detecting:
    """The runtime's detector and selection over a chunk of images."""

    def __init__(self, bundle: Bundle, slots: Slots, device: torch.device) -> None:
        self._stage, self._slots = DetectStage(bundle, device), slots
        self._threshold = bundle.spec.thresholds.instance
        self._human = bundle.spec.core_vocabulary().human
        total = slots.total
        self.layout: Layout = {
            'boxes': ('float32', (total, 4)), 'scores': ('float32', (total,)),
            'labels': ('int16', (total,)), 'mask': ('bool', (total,)),
            'queries': ('float16', (total, self._stage.query_dim))}

    @torch.inference_mode()
    def rows(self, images: list, first: int) -> Dict[str, np.ndarray]:
        """Return the arrays of a chunk."""
        transform = self._stage.transform
        inputs = self._stage.prepare([transform.resize(image) for image in images])
        output, host = self._stage.detect(inputs)
        result = {name: np.zeros((len(images), *shape), dtype)
                  for name, (dtype, shape) in self.layout.items()}
        for i, image in enumerate(images):
            height, width = image.shape[:2]
            found = self._stage.find(host[i], transform.place(height, width), width, height)
            instances, slots = found.instances, self._slots
            kept = select_instances(instances.scores, instances.labels, self._human,
                                    self._threshold, slots.least, slots.humans, slots.objects)
            count = len(kept)
            result['boxes'][i, :count] = instances.boxes[kept]
            result['scores'][i, :count] = instances.scores[kept]
            result['labels'][i, :count] = instances.labels[kept]
            result['mask'][i, :count] = True
            result['queries'][i, :count] = _host(output.queries[i])[found.rows[kept]]
        return result


def _host(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()


def cache_key(kind: str, *parts: object) -> str:
    """Return a directory's name that tells what the cache was made from."""
    return f'{kind}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}'


def filled(path: Path, count: int, layout: Layout, dataset: HoiDataset,
           rows: Rows) -> Dict[str, np.ndarray]:
    """Return the arrays at `path`; one process fills them, others wait for it."""
    if count == 0:
        raise HoiError('the data set has no images: nothing can be detected.')
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_name(f'{path.name}.lock'), 'w', encoding='utf-8') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.is_dir():
                _fill(path, count, layout, dataset, rows)
        path.with_name(f'{path.name}.lock').unlink(missing_ok=True)
    return {name: np.load(path / f'{name}.npy', mmap_mode='r') for name in layout}


def _fill(path: Path, count: int, layout: Layout, dataset: HoiDataset,
          rows: Rows) -> None:
    """Fill what is missing chunk by chunk beside `path`, then give it its name."""
    part = path.with_name(f'{path.name}.part')
    part.mkdir(exist_ok=True)
    counter = part / 'done'
    done = int(counter.read_text()) if counter.is_file() else 0
    arrays = {name: np.lib.format.open_memmap(
        part / f'{name}.npy', 'r+' if done else 'w+', dtype, (count, *shape))
        for name, (dtype, shape) in layout.items()}
    bar = tqdm(total=count, initial=done, desc=path.name.split('-')[0], unit='images',
               mininterval=5)
    for start in range(done, count, CHUNK):
        stop = min(start + CHUNK, count)
        images = [check_rgb(dataset.image(i)) for i in range(start, stop)]
        for name, values in rows(images, start).items():
            arrays[name][start:stop] = values
            arrays[name].flush()
        _write_whole(counter, str(stop))
        bar.update(stop - start)
    bar.close()
    counter.unlink(missing_ok=True)
    part.rename(path)


def _write_whole(path: Path, text: str) -> None:
    """Replace a file at once, so that a reader never sees half of it."""
    work = path.with_suffix('.new')
    work.write_text(text)
    work.replace(path)
