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

"""Binary masks cropped to windows of the source image."""

from functools import lru_cache
from typing import List, Optional, Sequence, Tuple

from hoi_perception.core.scene import Mask, MaskKind
import numpy as np
import torch
from torch import Tensor


@lru_cache(maxsize=64)
def _interpolation(size: int, grid: int, scale: float, offset: float) -> Tensor:
    """Return the (size, grid) matrix of linear interpolation from cell centres to pixels."""
    position = np.clip(
        ((np.arange(size) + 0.5) * scale + offset) * grid - 0.5, 0, grid - 1)
    low = np.minimum(position.astype(np.int64), max(grid - 2, 0))
    share = (position - low).astype(np.float32)
    matrix = np.zeros((size, grid), np.float32)
    rows = np.arange(size)
    matrix[rows, low] = 1 - share
    matrix[rows, np.minimum(low + 1, grid - 1)] += share
    return torch.from_numpy(matrix)


def window(box: np.ndarray, width: int, height: int) -> Tuple[int, int, int, int]:
    """Return the whole pixels `(x1, y1, x2, y2)` a box touches, cut to the image."""
    x1, y1 = np.floor(np.clip(box[:2], 0, [width, height])).astype(int)
    x2, y2 = np.ceil(np.clip(box[2:], 0, [width, height])).astype(int)
    return int(x1), int(y1), int(x2), int(y2)


def instance_masks(logits: np.ndarray, boxes: np.ndarray, width: int, height: int,
                   scale: Optional[Tuple[float, float]] = None,
                   offset: Tuple[float, float] = (0.0, 0.0)) -> List[Mask]:
    """
    Cut low-resolution mask logits to binary masks at source resolution, each within its box.

    logits: (n, h, w) over the network image, positive inside. boxes: (n, 4) source pixels.
    scale, offset: a source pixel x lies at `x * scale + offset` of the network image measured
    0..1 (the default is an image stretched to the network's size). Only the pixels inside a box
    are interpolated (bilinear, as two small matrix products; torch's, because a second pool of
    BLAS threads beside torch's own stalls both on a busy machine). Instances of zero area are left
    out.
    """
    scale = scale or (1 / width, 1 / height)
    _, rows, columns = logits.shape
    across = _interpolation(width, columns, scale[0], offset[0])
    down = _interpolation(height, rows, scale[1], offset[1])
    masks = []
    for owner, (grid, box) in enumerate(zip(torch.from_numpy(logits), boxes)):
        x1, y1, x2, y2 = window(box, width, height)
        if x2 > x1 and y2 > y1:
            bitmap = (down[y1:y2] @ (grid @ across[x1:x2].T)) > 0
            masks.append(Mask(MaskKind.INSTANCE, owner, x1, y1, bitmap.numpy()))
    return masks


def mask_within(kind: MaskKind, owner: int, logits: np.ndarray, boxes: Sequence[np.ndarray],
                width: int, height: int, scale: Tuple[float, float],
                offset: Tuple[float, float]) -> Optional[Mask]:
    """
    Cut one (h, w) grid of mask logits at source resolution, to what lies in any of the boxes.

    For scale and offset see `instance_masks`. None where the boxes hold no pixel of the image.
    """
    windows = [window(box, width, height) for box in boxes]
    windows = [w for w in windows if w[2] > w[0] and w[3] > w[1]]
    if not windows:
        return None
    hull = np.array([*np.min(windows, 0)[:2], *np.max(windows, 0)[2:]], np.float64)
    mask, = instance_masks(logits[None], hull[None], width, height, scale, offset)
    inside = np.zeros_like(mask.bitmap)
    for x1, y1, x2, y2 in windows:
        inside[y1 - mask.y:y2 - mask.y, x1 - mask.x:x2 - mask.x] = True
    return Mask(kind, owner, mask.x, mask.y, mask.bitmap & inside)


def _extent(mask: Mask) -> Tuple[int, int, int, int]:
    rows, columns = mask.bitmap.shape
    return mask.x, mask.y, mask.x + columns, mask.y + rows


def _paste(mask: Mask, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    canvas = np.zeros((y2 - y1, x2 - x1), dtype=bool)
    left, top, right, bottom = _extent(mask)
    left, top, right, bottom = max(left, x1), max(top, y1), min(right, x2), min(bottom, y2)
    if right > left and bottom > top:
        canvas[top - y1:bottom - y1, left - x1:right - x1] = mask.bitmap[
            top - mask.y:bottom - mask.y, left - mask.x:right - mask.x]
    return canvas


def union(first: Mask, second: Mask, owner: int) -> Mask:
    """Return the pixels of either mask."""
    a, b = _extent(first), _extent(second)
    frame = min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
    return Mask(MaskKind.UNION, owner, frame[0], frame[1],
                _paste(first, *frame) | _paste(second, *frame))


def intersection(first: Mask, second: Mask, owner: int) -> Mask:
    """Return the pixels of both masks; a bitmap without pixels where the windows are apart."""
    a, b = _extent(first), _extent(second)
    x1, y1 = max(a[0], b[0]), max(a[1], b[1])
    frame = x1, y1, max(min(a[2], b[2]), x1), max(min(a[3], b[3]), y1)
    return Mask(MaskKind.INTERSECTION, owner, x1, y1,
                _paste(first, *frame) & _paste(second, *frame))


def triplet_masks(masks: Sequence[Mask], human: np.ndarray, thing: np.ndarray) -> List[Mask]:
    """
    Return union and intersection masks of every triplet whose two instances have masks.

    human, thing: (T,) instance indices. The intersection is left out where it has no pixel.
    """
    by_owner = {mask.owner: mask for mask in masks if mask.kind == MaskKind.INSTANCE}
    known, result = {}, []
    for owner, key in enumerate(zip(human.tolist(), thing.tolist())):
        if key[0] not in by_owner or key[1] not in by_owner:
            continue
        if key not in known:
            parts = by_owner[key[0]], by_owner[key[1]]
            known[key] = union(*parts, owner), intersection(*parts, owner)
        for mask in known[key]:
            if mask.kind == MaskKind.UNION or mask.bitmap.any():
                result.append(Mask(mask.kind, owner, mask.x, mask.y, mask.bitmap))
    return result
