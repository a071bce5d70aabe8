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

"""Write and read data sets of rendered scenes: memory-mappable arrays and one JSON line each."""

from dataclasses import dataclass
from functools import partial
import json
from multiprocessing import get_context
from pathlib import Path
from typing import Tuple

import cv2
from hoi_trainer.synthetic.cast import World
from hoi_trainer.synthetic.people import parts_of
from hoi_trainer.synthetic.render import boxes_of, draw, hidden, without
from hoi_trainer.synthetic.scene import sample_world
from hoi_trainer.synthetic.vocabulary import pair_caption, scene_caption
import numpy as np

SPLITS: Tuple[str, ...] = ('train', 'val', 'test', 'demo')
WORLD_SEED = 20240


@dataclass(frozen=True)
class SceneRecord:
    """
    Ground truth of one image.

    boxes: (N, 4) float32, visible extent, pixels. labels: (N,) int64 into `OBJECTS`. triplets:
    (T, 3) int64 (human, verb in `VERBS`, object), instance indices. caption: all interactions.
    pairs: a row (human, object, caption) for every ordered pair of a person and another
    instance, those without interaction included ('a person and a cup'). parts: (M, 3) float32
    visible body parts as x, y in pixels and index into `people.PARTS`.
    """

    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    triplets: np.ndarray
    caption: str
    pairs: Tuple[Tuple[int, int, str], ...]
    parts: np.ndarray


@dataclass(frozen=True)
class SyntheticSet:
    """
    A data set on disk.

    images: (N, H, W, 3) uint8 RGB. instance_maps: (N, H, W) uint8, i + 1 = instance i. Both are
    memory maps.
    """

    images: np.ndarray
    instance_maps: np.ndarray
    scenes: Tuple[SceneRecord, ...]

    def __len__(self) -> int:
        return len(self.scenes)


def scene_rng(split: str, index: int, seed: int = WORLD_SEED) -> np.random.Generator:
    """Return the random numbers of one scene; no two splits or indices share them."""
    if split not in SPLITS:
        raise ValueError(f'split is {split!r}, expected one of {", ".join(SPLITS)}.')
    return np.random.Generator(np.random.PCG64(
        np.random.SeedSequence([seed, SPLITS.index(split), index])))


def visible_parts(world: World, instances: np.ndarray) -> list:
    """Return [x, y, part] of the body parts that nothing covers; instances: (H, W) map."""
    found = []
    for owner, person in enumerate(world.people, start=1):
        for x, y, part in parts_of(*person).tolist():
            inside = 0 <= x < world.width and 0 <= y < world.height
            if inside and instances[int(y), int(x)] == owner:
                found.append([round(x, 1), round(y, 1), int(part)])
    return found


def describe(world: World, boxes: np.ndarray, parts: list) -> dict:
    """Return the JSON record of a drawn world."""
    labels, n = world.labels.tolist(), len(world.people)
    verbs = {}
    for human, verb, thing in world.triplets:
        verbs.setdefault((human, thing), []).append(verb)
    pairs = [[h, o, pair_caption(verbs.get((h, o), ()), labels[o])]
             for h in range(n) for o in range(len(labels)) if o != h]
    return {'width': world.width, 'height': world.height, 'boxes': boxes.astype(int).tolist(),
            'labels': labels, 'triplets': [list(t) for t in world.triplets],
            'caption': scene_caption([(v, labels[o]) for _, v, o in world.triplets], labels),
            'pairs': pairs, 'parts': parts}


def make_scene(split: str, index: int, size: Tuple[int, int] = (480, 360),
               seed: int = WORLD_SEED) -> Tuple[np.ndarray, np.ndarray, dict]:
    """Return (image (H, W, 3), instance map (H, W), record) of one scene; size is (W, H)."""
    rng = scene_rng(split, index, seed)
    while True:
        world = sample_world(rng, *size)
        paint = rng.integers(0, 2 ** 63)
        for _ in range(3):
            image, instances, areas = draw(world, np.random.Generator(np.random.PCG64(paint)))
            boxes = boxes_of(instances, len(areas))
            gone = hidden(world, instances, areas, boxes)
            if not gone.any():
                return image, instances, describe(
                    world, boxes, visible_parts(world, instances))
            world = without(world, gone)
            if not world.people or not world.things:
                break


def _fill(chunk: Tuple[int, int], split: str, directory: Path, size, seed: int) -> list:
    cv2.setNumThreads(1)
    images = np.load(directory / 'images.npy', mmap_mode='r+')
    maps = np.load(directory / 'instance_maps.npy', mmap_mode='r+')
    lines = []
    for index in range(*chunk):
        images[index], maps[index], record = make_scene(split, index, size, seed)
        lines.append(json.dumps(record, separators=(',', ':')))
    return lines


def generate(split: str, count: int, directory, workers: int = 1,
             size: Tuple[int, int] = (480, 360), seed: int = WORLD_SEED) -> Path:
    """
    Render `count` scenes of a split into a directory; size is (width, height).

    Writes images.npy, instance_maps.npy and scenes.jsonl. Every scene depends on (seed, split,
    index) only, not on the number of workers.
    """
    scene_rng(split, 0, seed)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    width, height = size
    for name, shape in (('images.npy', (count, height, width, 3)),
                        ('instance_maps.npy', (count, height, width))):
        np.lib.format.open_memmap(directory / name, 'w+', np.uint8, shape).flush()
    chunks = [(i, min(i + 50, count)) for i in range(0, count, 50)]
    work = partial(_fill, split=split, directory=directory, size=size, seed=seed)
    with open(directory / 'scenes.jsonl', 'w', encoding='utf-8') as file:
        if workers <= 1:
            for chunk in chunks:
                file.writelines(line + '\n' for line in work(chunk))
        else:
            with get_context('spawn').Pool(workers) as pool:
                for lines in pool.imap(work, chunks):
                    file.writelines(line + '\n' for line in lines)
    return directory


def load(directory) -> SyntheticSet:
    """Open a data set written by `generate`; raises FileNotFoundError if it is not one."""
    directory = Path(directory)
    scenes = []
    with open(directory / 'scenes.jsonl', encoding='utf-8') as file:
        for line in file:
            raw = json.loads(line)
            scenes.append(SceneRecord(
                raw['width'], raw['height'],
                np.array(raw['boxes'], np.float32).reshape(-1, 4),
                np.array(raw['labels'], np.int64),
                np.array(raw['triplets'], np.int64).reshape(-1, 3), raw['caption'],
                tuple((h, o, caption) for h, o, caption in raw['pairs']),
                np.array(raw['parts'], np.float32).reshape(-1, 3)))
    return SyntheticSet(np.load(directory / 'images.npy', mmap_mode='r'),
                        np.load(directory / 'instance_maps.npy', mmap_mode='r'), tuple(scenes))
