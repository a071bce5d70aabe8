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

"""Draw a world: the picture, the exact visible masks and boxes."""

from dataclasses import replace
from typing import Tuple

import cv2
from hoi_trainer.synthetic.cast import World
from hoi_trainer.synthetic.people import shapes_of
import numpy as np

_SHIFT = 4
_NOISE = np.sort(np.random.Generator(np.random.PCG64(1)).normal(0, 1, 256)).astype(np.float32)
MIN_SHARE, MIN_SIDE = 0.3, 10
"""Least visible share of an instance and least side of its box in pixels (at 360 rows)."""


def background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a textured floor and wall with gradients, blobs and stripes, (H, W, 3) uint8 RGB."""
    base = rng.uniform(60, 215, 3)
    coarse = base + rng.normal(0, 16, (3, 4, 3))
    image = cv2.resize(np.clip(coarse, 20, 240).astype(np.uint8), (width, height),
                       interpolation=cv2.INTER_LINEAR)
    horizon = int(rng.uniform(0.35, 0.75) * height)
    floor = np.clip(base + rng.normal(0, 30, 3), 30, 230)
    image[horizon:] = (0.25 * image[horizon:] + 0.75 * floor).astype(np.uint8)
    for _ in range(rng.integers(0, 6)):
        colour = tuple(int(v) for v in np.clip(base + rng.normal(0, 28, 3), 10, 245))
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        axes = (int(rng.uniform(0.03, 0.2) * width), int(rng.uniform(0.03, 0.2) * height))
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1,
                    cv2.LINE_AA)
    if rng.random() < 0.5:
        colour = tuple(int(v) for v in np.clip(base + rng.normal(0, 22, 3), 10, 245))
        step, slope = rng.uniform(0.06, 0.2) * width, rng.uniform(-1, 1) * height
        for x in np.arange(-height, width + height, step):
            cv2.line(image, (int(x), 0), (int(x + slope), height), colour,
                     max(1, int(step * 0.25)), cv2.LINE_AA)
    return image


def _layers(world: World):
    layers = []
    for i, (body, posture) in enumerate(world.people):
        layers += [(depth, i + 1, points, colour)
                   for depth, points, colour in shapes_of(body, posture)]
    n = len(world.people)
    for i, thing in enumerate(world.things):
        layers += [(thing.depth + k * 1e-7, n + i + 1, points, colour)
                   for k, (points, colour) in enumerate(thing.shapes())]
    layers.sort(key=lambda layer: layer[0])
    return layers


def draw(world: World, rng: np.random.Generator,
         noise: float = 7.0) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return (image, instance map, full areas); noise is the largest deviation in grey levels.

    image: (H, W, 3) uint8 RGB. instance map: (H, W) uint8, 0 = background, i + 1 = visible part
    of instance i. full areas: (N,) pixels inside the image that each instance would cover alone.
    """
    width, height = world.width, world.height
    image = background(rng, width, height)
    instances = np.zeros((height, width), np.uint8)
    n = len(world.people) + len(world.things)
    whole = np.zeros((n, height, width), np.uint8)
    for _, owner, points, colour in _layers(world):
        fixed = [np.rint(points * (1 << _SHIFT)).astype(np.int32)]
        cv2.fillPoly(image, fixed, colour, cv2.LINE_AA, _SHIFT)
        edge = tuple(int(c * 0.55) for c in colour)
        cv2.polylines(image, fixed, True, edge, 1, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(instances, fixed, owner, cv2.LINE_8, _SHIFT)
        cv2.fillPoly(whole[owner - 1], fixed, 1, cv2.LINE_8, _SHIFT)
    areas = np.array([cv2.countNonZero(mask) for mask in whole], np.int64)
    return _photograph(image, rng, noise), instances, areas


def _photograph(image: np.ndarray, rng: np.random.Generator, noise: float) -> np.ndarray:
    """Apply uneven light, slight blur and pixel noise."""
    height, width = image.shape[:2]
    light = cv2.resize(rng.uniform(0.82, 1.12, (2, 3)).astype(np.float32) * np.float32(
        rng.uniform(0.85, 1.1)), (width, height), interpolation=cv2.INTER_LINEAR)
    image = cv2.multiply(image, cv2.merge([light] * 3), dtype=cv2.CV_8U)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (3, 3), 0.8)
    strength = rng.uniform(1.0, 7.0) * noise / 7.0
    table = np.rint(_NOISE * strength).astype(np.int8)
    dice = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    return cv2.add(image, table[dice], dtype=cv2.CV_8U)


def boxes_of(instances: np.ndarray, count: int) -> np.ndarray:
    """Return the boxes (N, 4) float32 of the visible parts; zeros for what cannot be seen."""
    boxes = np.zeros((count, 4), np.float32)
    for i in range(count):
        x, y, w, h = cv2.boundingRect(cv2.compare(instances, i + 1, cv2.CMP_EQ))
        boxes[i] = (x, y, x + w, y + h)
    return boxes


def hidden(world: World, instances: np.ndarray, areas: np.ndarray,
           boxes: np.ndarray) -> np.ndarray:
    """Return which instances (N,) bool are seen too little to be labelled."""
    visible = np.bincount(instances.ravel(), minlength=len(areas) + 1)[1:]
    sides = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return (visible < MIN_SHARE * areas) | (sides < MIN_SIDE * world.height / 360)


def without(world: World, gone: np.ndarray) -> World:
    """Return the world without some instances (N,) bool and their triplets."""
    index = np.cumsum(~gone) - 1
    n = len(world.people)
    return replace(
        world,
        people=tuple(p for p, g in zip(world.people, gone[:n]) if not g),
        things=tuple(t for t, g in zip(world.things, gone[n:]) if not g),
        triplets=tuple((int(index[h]), v, int(index[o])) for h, v, o in world.triplets
                       if not gone[h] and not gone[o]))
