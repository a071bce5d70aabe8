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
Where instances are: positions and sizes in metres from a depth image aligned to the colour image.

Camera frame: optical (x right, y down, z forward, REP-103). Depth follows REP-118: 16UC1 in
millimetres, 32FC1 in metres; 0, NaN, infinity and negative values mean unknown. NumPy only.
"""

from dataclasses import replace
from typing import Any, NamedTuple, Sequence, Tuple

from hoi_perception.core.errors import FrameError
from hoi_perception.core.scene import Instances, MaskKind, Scene
import numpy as np

GRID = 40
"""Each instance is looked at in this many columns and rows, however large it is."""
_INNER = 0.25
"""Without a mask this margin on each side of a box is left out when its depth is judged."""
_LEAST_SHARE = 0.05
"""Share of an instance's samples that must have a depth, or its position is unknown."""
_SPREADS = 3 * 1.4826
"""Samples within this many median deviations (three sigmas of a normal distribution) belong."""
_LEAST_BAND = 0.03
"""They also belong within this share of the depth: sensors are no better than that."""

_ENCODINGS = {'16UC1': 2, 'mono16': 2, '32FC1': 4}


class Pinhole(NamedTuple):
    """A rectified camera: focal lengths and principal point in pixels, size of its image."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


def pinhole(k: Sequence[float], p: Sequence[float], width: int, height: int) -> Pinhole:
    """
    Return what a `sensor_msgs/CameraInfo` says; lens distortion is not looked at.

    k: 9 numbers; p: 12 numbers, used where set because it is that of the rectified image.
    Raises `FrameError` of kind camera_info if neither holds a calibration.
    """
    for matrix, (fx, fy, cx, cy) in ((p, (0, 5, 2, 6)), (k, (0, 4, 2, 5))):
        camera = Pinhole(float(matrix[fx]), float(matrix[fy]), float(matrix[cx]),
                         float(matrix[cy]), int(width), int(height))
        if np.isfinite(camera).all() and camera.fx > 0 and camera.fy > 0:
            return camera
    raise FrameError('camera_info', (
        f'camera_info has focal lengths {float(k[0])} and {float(k[4])}, expected positive '
        'pixels: calibrate the camera, without that positions stay unknown.'))


def decode_depth(encoding: str, width: int, height: int, step: int, data: Any,
                 is_bigendian: bool = False) -> np.ndarray:
    """
    Return the depth of a `sensor_msgs/Image` as (height, width), in the encoding's own unit.

    The result shares the memory of `data`; `metres` gives single values their meaning.
    Raises `FrameError` of kind depth_encoding or depth_size.
    """
    size = _ENCODINGS.get(encoding)
    if size is None:
        raise FrameError('depth_encoding', (
            f'depth encoding {str(encoding)[:40]!r} is not supported: publish 16UC1 '
            '(millimetres) or 32FC1 (metres).'))
    if width <= 0 or height <= 0 or step < width * size or len(data) != step * height:
        raise FrameError('depth_size', (
            f'depth image of {width}x{height} {encoding} pixels has step {step} and {len(data)} '
            f'bytes, expected a step of at least {width * size} and step * height bytes: the '
            'publisher fills the message wrongly.'))
    kind = f'{">" if is_bigendian else "<"}{"u2" if size == 2 else "f4"}'
    image: np.ndarray = np.ndarray((height, width), kind, memoryview(data).cast('B'),
                                   strides=(step, size))
    return image


def metres(values: np.ndarray) -> np.ndarray:
    """Return depth samples as float32 metres, NaN = unknown (see `decode_depth`)."""
    depth = values.astype(np.float32)
    if values.dtype.kind == 'u':
        depth *= np.float32(0.001)
    depth[~((depth > 0) & (depth < np.inf))] = np.nan
    return depth


def locate(scene: Scene, depth: np.ndarray, camera: Pinhole) -> Scene:
    """
    Return the scene with the position and extent of each instance that the depth image shows.

    depth: (height, width) of the scene, from `decode_depth`. An instance is sampled on a grid over
    its box. The samples inside its mask (without one: in the inner half of its box) give a median
    depth and its spread; samples beyond that belong to something before or behind it and are left
    out. Position is the median of the remaining points: the middle of the *visible surface*.
    Extent is the size of the visible part: along x and y from edge to edge, along z without the
    outermost twentieth of the samples at either end. Too little depth: NaN.
    Raises `FrameError` of kind depth_mismatch or camera_info_mismatch if sizes differ.
    """
    size = (scene.width, scene.height)
    if depth.shape[::-1] != size:
        raise FrameError('depth_mismatch', (
            f'depth image is {depth.shape[1]}x{depth.shape[0]} pixels and the image '
            f'{size[0]}x{size[1]}: publish depth that is aligned to the colour image.'))
    if (camera.width, camera.height) != size:
        raise FrameError('camera_info_mismatch', (
            f'camera_info is for {camera.width}x{camera.height} pixels and the image is '
            f'{size[0]}x{size[1]}: publish the camera_info that belongs to the image.'))
    if not len(scene.instances):
        return scene
    u, v = _samples(scene.instances, size)
    rows, columns = v.astype(np.int64), u.astype(np.int64)
    z = metres(depth[rows[:, :, None], columns[:, None, :]]).reshape(len(u), -1)
    core, member = _members(scene, rows, columns)
    positions, extents = _measure(z, core, member, u, v, camera)
    return replace(scene, instances=replace(
        scene.instances, positions=positions, extents=extents))


def _samples(instances: Instances, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """Return the centres of the grid's columns and rows, (N, GRID) each, inside the image."""
    boxes = np.clip(instances.boxes, 0, [*size, *size]).astype(np.float64)
    share = (np.arange(GRID) + 0.5) / GRID
    u = boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * share
    v = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * share
    # A box on the last edge, or of no width, must not point beyond the last pixel.
    return np.clip(u, 0, size[0] - 1e-6), np.clip(v, 0, size[1] - 1e-6)


def _members(scene: Scene, rows: np.ndarray, columns: np.ndarray
             ) -> Tuple[np.ndarray, np.ndarray]:
    """Return which samples are surely of the instance, and which may be, (N, GRID * GRID)."""
    n = len(rows)
    member = np.ones((n, GRID, GRID), bool)
    core = np.zeros((n, GRID, GRID), bool)
    margin = round(_INNER * GRID)
    core[:, margin:GRID - margin, margin:GRID - margin] = True
    for mask in scene.masks:
        if mask.kind == MaskKind.INSTANCE and 0 <= mask.owner < n and mask.bitmap.size:
            y, x = rows[mask.owner] - mask.y, columns[mask.owner] - mask.x
            height, width = mask.bitmap.shape
            inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
            hit = mask.bitmap[np.clip(y, 0, height - 1)[:, None], np.clip(x, 0, width - 1)]
            member[mask.owner] = core[mask.owner] = hit & inside
    return core.reshape(n, -1), member.reshape(n, -1)


def _measure(z: np.ndarray, core: np.ndarray, member: np.ndarray, u: np.ndarray, v: np.ndarray,
             camera: Pinhole) -> Tuple[np.ndarray, np.ndarray]:
    """Return positions and extents (N, 3) from samples (N, GRID * GRID)."""
    n = len(z)
    seen = np.where(core, z, np.nan)
    middle = _quantile(seen, 0.5)[:, None]
    spread = _quantile(np.abs(seen - middle), 0.5)[:, None]
    band = np.maximum(_SPREADS * spread, _LEAST_BAND * middle)
    # Comparisons with NaN are false: without a median nothing belongs.
    z = np.where(member & (np.abs(z - middle) <= band), z, np.nan)
    # A box edge lies at e, the centre of pixel i at i + 0.5; camera_info has that at i.
    x = (np.repeat(u[:, None, :], GRID, 1).reshape(n, -1) - 0.5 - camera.cx) / camera.fx * z
    y = (np.repeat(v[:, :, None], GRID, 2).reshape(n, -1) - 0.5 - camera.cy) / camera.fy * z
    half_x = (u[:, 1:2] - u[:, :1]) / 2 / camera.fx * z
    half_y = (v[:, 1:2] - v[:, :1]) / 2 / camera.fy * z
    positions = np.stack([_quantile(axis, 0.5) for axis in (x, y, z)], 1)
    extents = np.stack([_span(x, half_x), _span(y, half_y),
                        _quantile(z, 0.95) - _quantile(z, 0.05)], 1)
    enough = (np.isfinite(seen).sum(1) >= _LEAST_SHARE * core.sum(1)) & core.any(1)
    known = enough & (extents[:, 0] > 0) & (extents[:, 1] > 0)
    positions[~known] = extents[~known] = np.nan
    return positions, extents


def _span(values: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return the distance from the outer edge of the least to that of the greatest sample."""
    top = np.where(np.isnan(values), -np.inf, values + half).max(1)
    bottom = np.where(np.isnan(values), np.inf, values - half).min(1)
    return np.where(np.isfinite(top), top - bottom, np.nan)


def _quantile(values: np.ndarray, q: float) -> np.ndarray:
    """Return the quantile of each row without its NaN; several times faster than NumPy's own."""
    ordered = np.sort(values, axis=1)  # NaN last
    last = np.maximum(np.count_nonzero(~np.isnan(ordered), axis=1) - 1, 0)
    place = q * last
    low = np.floor(place).astype(np.int64)
    rows = np.arange(len(values))
    below, above = ordered[rows, low], ordered[rows, np.minimum(low + 1, last)]
    between: np.ndarray = below + (above - below) * (place - low)
    return between
