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

"""Box arithmetic in NumPy; boxes are (n, 4) `(x1, y1, x2, y2)` in pixels."""

import numpy as np

FARTHEST = 1e5
"""Pixels beyond which nothing is a place in an image; areas of such boxes would overflow."""


def area(boxes: np.ndarray) -> np.ndarray:
    """Return the (n,) areas; a box turned inside out has area 0."""
    size = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    areas: np.ndarray = size[:, 0] * size[:, 1]
    return areas


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the (n, m) intersection over union; 0 where both boxes are empty."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    size = np.clip(high - low, 0, None)
    inter = size[..., 0] * size[..., 1]
    union = area(first)[:, None] + area(second)[None, :] - inter
    overlap: np.ndarray = inter / np.maximum(union, 1e-12)
    return overlap


def clip(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """Return the boxes cut to the image `(0, 0, width, height)`."""
    cut: np.ndarray = np.clip(boxes, 0, np.asarray([width, height, width, height], boxes.dtype))
    return cut


def nms(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray,
        threshold: float) -> np.ndarray:
    """
    Return the indices kept by class-wise non-maximum suppression, best score first.

    boxes: (n, 4) xyxy. scores, labels: (n,). A box is dropped when a better box of its class
    overlaps it by more than `threshold`. Meant for some hundred boxes: the IoU matrix is computed
    at once, the greedy pass is a loop over rows. Ties keep the order of the input.
    """
    order = np.argsort(-scores, kind='stable')
    boxes, labels = boxes[order], labels[order]
    suppresses = (iou(boxes, boxes) > threshold) & (labels[:, None] == labels[None, :])
    alive = np.ones(len(order), dtype=bool)
    for row in range(len(order)):
        if alive[row]:
            alive[row + 1:] &= ~suppresses[row, row + 1:]
    return order[alive]
