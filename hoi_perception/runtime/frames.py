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
Camera frames of every common encoding to RGB pixels; no ROS and no OpenCV needed.

Encodings follow `sensor_msgs/image_encodings.hpp` and REP-118; `yuv422` is UYVY and
`yuv422_yuy2` YUYV; `nv12` and `nv21` have height rows of luma, then height / 2 rows of chroma (u v
or v u) for 2x2 pixels each, all of `step` bytes. All are ITU-R BT.601 in studio range as cameras
and OpenCV have it. Bayer patterns name the first row then the second (`rggb`: red top left) and
are interpolated bilinearly with mirrored borders. Sixteen-bit values are scaled to eight bits,
65535 becoming 255.

OpenCV does the arithmetic-heavy encodings when it is installed (`benchmarks/frame_conversion.py`
has the measurement); the NumPy path gives the same pixels, within one level for YUV.
"""

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Callable, Dict, Sequence, Tuple

from hoi_perception.core.errors import FrameError
import numpy as np
from PIL import Image

try:
    import cv2
except ImportError:  # OpenCV is optional
    cv2 = None  # type: ignore[assignment]

MAX_PIXELS = 1 << 26
"""Largest compressed image accepted by default (67 megapixels, 200 MB of RGB)."""


@dataclass(frozen=True)
class _Layout:
    """
    How pixels of an encoding lie in memory, and the function that turns them into RGB.

    chroma_rows: rows of chroma follow those of luma, half as many.
    """

    bytes_per_pixel: int
    to_rgb: Callable[[np.ndarray], np.ndarray]
    even_width: bool = False
    minimum: int = 1
    chroma_rows: bool = False

    def fits(self, width: int, height: int) -> bool:
        """Return whether an image may have this size."""
        return (min(width, height) >= self.minimum and not (self.even_width and width % 2)
                and not (self.chroma_rows and height % 2))


def decode_raw(encoding: str, width: int, height: int, step: int, data: Any,
               is_bigendian: bool = False) -> np.ndarray:
    """
    Return the pixels of a `sensor_msgs/Image` as (height, width, 3) contiguous uint8 RGB.

    data: any bytes-like object of exactly step * height bytes (nv12, nv21: half as many again).
    For rgb8 without row padding the result shares its memory: treat it as read only.
    Raises `FrameError` of kind unknown_encoding, zero_size, step_too_small, size_mismatch or
    odd_size; nothing is read beyond the data and nothing is guessed.
    """
    layout = _LAYOUTS.get(encoding)
    if layout is None:
        raise FrameError('unknown_encoding', (
            f'image encoding {str(encoding)[:40]!r} is not supported: publish one of '
            f'{", ".join(_LAYOUTS)}.'))
    if width <= 0 or height <= 0:
        raise FrameError('zero_size', (
            f'image is {width}x{height} pixels: both must be at least 1; check the camera '
            'driver.'))
    row = width * layout.bytes_per_pixel
    if step < row:
        raise FrameError('step_too_small', (
            f'image step is {step} bytes, but a row of {width} {encoding} pixels takes {row}: '
            'the publisher fills the message wrongly.'))
    pixels = np.frombuffer(data, np.uint8) if len(data) else np.zeros(0, np.uint8)
    lines = height + height // 2 if layout.chroma_rows else height
    if pixels.size != step * lines:
        raise FrameError('size_mismatch', (
            f'image data has {pixels.size} bytes, expected step {step} * '
            f'{"rows" if layout.chroma_rows else "height"} {lines} = {step * lines}: the '
            'publisher fills the message wrongly.'))
    if not layout.fits(width, height):
        raise FrameError('odd_size', (
            f'image of {width}x{height} pixels cannot be {encoding}: yuv422 pairs pixels in a row '
            '(even width), nv12 and nv21 in both directions, bayer needs at least 2x2.'))
    rows = pixels.reshape(lines, step)[:, :row]
    if layout.bytes_per_pixel > 1:
        rows = np.ascontiguousarray(rows).reshape(height, width, layout.bytes_per_pixel)
    if encoding in ('mono16', '16UC1'):
        return _mono(_sixteen_to_eight(_as_uint16(rows, is_bigendian)))
    return np.ascontiguousarray(layout.to_rgb(rows))


def _as_uint16(pixels: np.ndarray, is_bigendian: bool) -> np.ndarray:
    return pixels.view('>u2' if is_bigendian else '<u2')[..., 0]


@lru_cache(maxsize=1)
def _eight_bit_table() -> np.ndarray:
    return ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)


def _sixteen_to_eight(values: np.ndarray) -> np.ndarray:
    eight: np.ndarray = _eight_bit_table()[values]
    return eight


def _mono(grey: np.ndarray) -> np.ndarray:
    grey = np.ascontiguousarray(grey)
    if cv2 is not None:
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    return _copy_channels(grey[..., None], (0, 0, 0))


def _copy_channels(pixels: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    rgb = np.empty(pixels.shape[:2] + (3,), np.uint8)
    for target, source in enumerate(channels):  # three strided copies beat a reversed view
        rgb[..., target] = pixels[..., source]
    return rgb


def _pick(code: str, *channels: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that copies these channels; `code` is OpenCV's name for the same."""

    def pick(pixels: np.ndarray) -> np.ndarray:
        if cv2 is not None:
            return cv2.cvtColor(pixels, getattr(cv2, code))
        return _copy_channels(pixels, channels)
    return pick


@lru_cache(maxsize=1)
def _bt601_tables() -> Tuple[np.ndarray, ...]:
    """Return int16 tables in 1/32 level: luma with rounding, and the chroma contributions."""
    value = np.arange(256, dtype=np.float64)
    chroma = 32 * (value - 128)
    tables = (32 * 1.164383 * np.maximum(value - 16, 0) + 16,
              1.596027 * chroma, -0.812968 * chroma, -0.391762 * chroma, 2.017232 * chroma)
    return tuple(np.rint(table).astype(np.int16) for table in tables)


def _chroma(u: np.ndarray, v: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what chroma adds to red, green and blue, in 1/32 level."""
    _, red_v, green_v, green_u, blue_u = _bt601_tables()
    return (np.take(red_v, v), np.take(green_v, v) + np.take(green_u, u), np.take(blue_u, u))


def _yuv422(luma: int, u: int, v: int) -> Callable[[np.ndarray], np.ndarray]:
    """Convert packed 4:2:2; arguments: byte of the first luma, u and v in each group of four."""

    def convert(pixels: np.ndarray) -> np.ndarray:
        if cv2 is not None:
            return cv2.cvtColor(pixels, cv2.COLOR_YUV2RGB_UYVY if luma else
                                cv2.COLOR_YUV2RGB_YUYV)
        height, width = pixels.shape[:2]
        groups = pixels.reshape(height, width // 2, 4)
        parts = _chroma(groups[..., u], groups[..., v])
        rgb = np.empty((height, width // 2, 2, 3), np.uint8)
        for side in (0, 1):
            y = np.take(_bt601_tables()[0], groups[..., luma + 2 * side])
            for channel, part in enumerate(parts):
                rgb[:, :, side, channel] = np.clip((y + part) >> 5, 0, 255)
        return rgb.reshape(height, width, 3)
    return convert


def _yuv420(u: int, v: int) -> Callable[[np.ndarray], np.ndarray]:
    """Convert rows of luma and, below, of interleaved chroma; arguments: which byte is u, v."""

    def convert(rows: np.ndarray) -> np.ndarray:
        if cv2 is not None:
            return cv2.cvtColor(np.ascontiguousarray(rows), cv2.COLOR_YUV2RGB_NV21 if u else
                                cv2.COLOR_YUV2RGB_NV12)
        height, width = 2 * len(rows) // 3, rows.shape[1]
        cells = rows[height:].reshape(height // 2, width // 2, 2)
        # Luma by cell: (row of cells, row in it, column of cells, column in it).
        y = np.take(_bt601_tables()[0], rows[:height]).reshape(height // 2, 2, width // 2, 2)
        rgb = np.empty((*y.shape, 3), np.uint8)
        for channel, part in enumerate(_chroma(cells[..., u], cells[..., v])):
            rgb[..., channel] = np.clip((y + part[:, None, :, None]) >> 5, 0, 255)
        return rgb.reshape(height, width, 3)
    return convert


def _bayer(red_row: int, red_column: int) -> Callable[[np.ndarray], np.ndarray]:
    """Interpolate a Bayer mosaic; arguments: where red lies in the 2x2 cell."""

    def convert(mosaic: np.ndarray) -> np.ndarray:
        height, width = mosaic.shape
        # Two mirrored pixels keep the phase of the pattern and give every pixel neighbours.
        padded = np.pad(mosaic, 2, mode='reflect')
        if cv2 is not None:
            # OpenCV names a pattern by its second row, second and third pixel.
            code = {(0, 0): cv2.COLOR_BayerBG2RGB, (1, 1): cv2.COLOR_BayerRG2RGB,
                    (1, 0): cv2.COLOR_BayerGR2RGB, (0, 1): cv2.COLOR_BayerGB2RGB}
            return cv2.cvtColor(padded, code[red_row, red_column])[2:-2, 2:-2]
        return _bilinear(padded.astype(np.uint16), height, width, red_row, red_column)
    return convert


def _bilinear(padded: np.ndarray, height: int, width: int, red_row: int,
              red_column: int) -> np.ndarray:
    def shifted(down: int, right: int) -> np.ndarray:
        return padded[2 + down:2 + down + height, 2 + right:2 + right + width]

    centre = shifted(0, 0)
    across = (shifted(0, -1) + shifted(0, 1) + 1) >> 1
    along = (shifted(-1, 0) + shifted(1, 0) + 1) >> 1
    plus = (shifted(0, -1) + shifted(0, 1) + shifted(-1, 0) + shifted(1, 0) + 2) >> 2
    cross = (shifted(-1, -1) + shifted(-1, 1) + shifted(1, -1) + shifted(1, 1) + 2) >> 2
    rgb = np.empty((height, width, 3), np.uint8)
    for row in range(2):
        for column in range(2):
            place = (slice(row, None, 2), slice(column, None, 2))
            same_row, same_column = row == red_row, column == red_column
            if same_row and same_column:
                colours = centre, plus, cross
            elif same_row:
                colours = across, centre, along
            elif same_column:
                colours = along, centre, across
            else:
                colours = cross, plus, centre
            for channel, source in enumerate(colours):
                rgb[place + (channel,)] = source[place]
    return rgb


_LAYOUTS: Dict[str, _Layout] = {
    'rgb8': _Layout(3, lambda pixels: pixels),
    'bgr8': _Layout(3, _pick('COLOR_BGR2RGB', 2, 1, 0)),
    'rgba8': _Layout(4, _pick('COLOR_RGBA2RGB', 0, 1, 2)),
    'bgra8': _Layout(4, _pick('COLOR_BGRA2RGB', 2, 1, 0)),
    'mono8': _Layout(1, _mono),
    'mono16': _Layout(2, _mono),
    'yuv422': _Layout(2, _yuv422(1, 0, 2), even_width=True),
    'uyvy': _Layout(2, _yuv422(1, 0, 2), even_width=True),
    'yuv422_yuy2': _Layout(2, _yuv422(0, 1, 3), even_width=True),
    'yuyv': _Layout(2, _yuv422(0, 1, 3), even_width=True),
    'nv12': _Layout(1, _yuv420(0, 1), even_width=True, chroma_rows=True),
    'nv21': _Layout(1, _yuv420(1, 0), even_width=True, chroma_rows=True),
    'bayer_rggb8': _Layout(1, _bayer(0, 0), minimum=2),
    'bayer_bggr8': _Layout(1, _bayer(1, 1), minimum=2),
    'bayer_gbrg8': _Layout(1, _bayer(1, 0), minimum=2),
    'bayer_grbg8': _Layout(1, _bayer(0, 1), minimum=2),
    '8UC1': _Layout(1, _mono),
    # OpenCV's convention: untyped colour is BGR.
    '8UC3': _Layout(3, _pick('COLOR_BGR2RGB', 2, 1, 0)),
    '8UC4': _Layout(4, _pick('COLOR_BGRA2RGB', 2, 1, 0)),
    '16UC1': _Layout(2, _mono),
}

ENCODINGS = tuple(_LAYOUTS)
"""Raw encodings `decode_raw` accepts."""


def decode_compressed(format: str, data: Any, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """
    Return a JPEG or PNG of a `sensor_msgs/CompressedImage` as (H, W, 3) contiguous uint8 RGB.

    format: as publishers write it: `jpeg`, `png` or `bgr8; jpeg compressed bgr8`. What the data
    is, is read from the data. `compressed rgb8` means that the publisher handed RGB to an encoder
    that takes BGR (image_transport's rule), so red and blue are exchanged.
    Raises `FrameError` of kind unknown_encoding, zero_size, too_large (by its header, before
    anything is decoded), truncated or undecodable.
    """
    _check_format(format)
    data = bytes(data)
    if not data:
        raise FrameError('zero_size', 'compressed image has no data: check the camera driver.')
    try:
        with Image.open(BytesIO(data), formats=('JPEG', 'PNG')) as image:
            if image.width * image.height > max_pixels:
                raise _too_large(f'{image.width}x{image.height} pixels', max_pixels)
            pixels = _image_to_rgb(image)
    except FrameError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large('far more pixels', max_pixels) from None
    except Exception as error:  # Pillow's decoders raise a dozen unrelated types on bad data
        raise _undecodable(data, error) from error
    if 'compressed rgb8' in format:
        pixels = np.ascontiguousarray(pixels[..., ::-1])
    return pixels


def _check_format(format: str) -> None:
    lowered = format.lower()
    if lowered and ('compresseddepth' in lowered.replace(' ', '') or
                    not any(name in lowered for name in ('jpeg', 'jpg', 'png'))):
        raise FrameError('unknown_encoding', (
            f'compressed image format {format[:40]!r} is not supported: publish jpeg or png.'))


def _image_to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith('I'):  # 16-bit PNG; Pillow's own conversion would clip at 255
        values = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        return _mono(_sixteen_to_eight(values))
    return np.array(image if image.mode == 'RGB' else image.convert('RGB'))


def _too_large(what: str, max_pixels: int) -> FrameError:
    return FrameError('too_large', (
        f'compressed image says it has {what}, at most {max_pixels} are accepted: it is not '
        'decoded.'))


def _undecodable(data: bytes, error: Exception) -> FrameError:
    cut = ((data.startswith(b'\xff\xd8') and b'\xff\xd9' not in data[-64:]) or
           (data.startswith(b'\x89PNG') and b'IEND' not in data[-64:]) or
           'truncated' in str(error).lower())
    if cut:
        return FrameError('truncated', (
            f'compressed image ends early after {len(data)} bytes: it was cut on its way or the '
            'publisher sent it too soon.'))
    return FrameError('undecodable', (
        f'compressed image of {len(data)} bytes beginning with {data[:8].hex(" ")} is neither a '
        'readable JPEG nor PNG.'))
