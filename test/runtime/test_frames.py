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

import array
from io import BytesIO
import random

from hoi_perception.core.errors import FrameError
from hoi_perception.runtime import frames
from hoi_perception.runtime.frames import decode_compressed, decode_raw, ENCODINGS
import numpy as np
from PIL import Image
import pytest

BYTES = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, '8UC3': 3, '8UC4': 4, 'mono8': 1,
         '8UC1': 1, 'mono16': 2, '16UC1': 2, 'yuv422': 2, 'uyvy': 2, 'yuv422_yuy2': 2, 'yuyv': 2,
         'bayer_rggb8': 1, 'bayer_bggr8': 1, 'bayer_gbrg8': 1, 'bayer_grbg8': 1, 'nv12': 1,
         'nv21': 1}
BAYER = {'bayer_rggb8': 'RGGB', 'bayer_bggr8': 'BGGR', 'bayer_gbrg8': 'GBRG',
         'bayer_grbg8': 'GRBG'}


@pytest.fixture(params=['opencv', 'numpy'])
def backend(request, monkeypatch):
    if request.param == 'numpy':
        monkeypatch.setattr(frames, 'cv2', None)
    elif frames.cv2 is None:
        pytest.skip('OpenCV is not installed')
    return request.param


def raw(encoding, width, height, padding=0, seed=3):
    step = width * BYTES[encoding] + padding
    rows = height + height // 2 if encoding.startswith('nv') else height
    return step, np.random.default_rng(seed).integers(0, 256, step * rows, np.uint8)


def bayer_pixel(mosaic, pattern, row, column):
    """Mean of the same-coloured nearest neighbours, borders mirrored, straight from the text."""
    height, width = mosaic.shape

    def mirror(i, n):
        return -i if i < 0 else 2 * (n - 1) - i if i >= n else i

    def colour(r, c):
        return pattern[2 * (r % 2) + c % 2]

    result = []
    for wanted in 'RGB':
        if colour(row, column) == wanted:
            result.append(int(mosaic[row, column]))
            continue
        for ring in (((0, -1), (0, 1), (-1, 0), (1, 0)), ((-1, -1), (-1, 1), (1, -1), (1, 1))):
            values = [int(mosaic[mirror(row + d, height), mirror(column + e, width)])
                      for d, e in ring if colour(row + d, column + e) == wanted]
            if values:
                result.append(int(sum(values) / len(values) + 0.5))
                break
    return result


def bt601(y, u, v):
    y, u, v = 1.164383 * max(y - 16.0, 0), u - 128.0, v - 128.0
    return [y + 1.596027 * v, y - 0.812968 * v - 0.391762 * u, y + 2.017232 * u]


def expected(encoding, width, height, step, data, bigendian=False):
    """Return every pixel computed one by one in plain Python, as floats."""
    rgb = np.zeros((height, width, 3))
    rows = [bytes(data[r * step:(r + 1) * step]) for r in range(height)]
    mosaic = np.array([list(r[:width]) for r in rows], np.uint8) if encoding in BAYER else None
    for r, row in enumerate(rows):
        for c in range(width):
            p = row[c * BYTES[encoding]:(c + 1) * BYTES[encoding]]
            if encoding in ('rgb8', 'rgba8'):
                pixel = p[0], p[1], p[2]
            elif encoding in ('bgr8', 'bgra8', '8UC3', '8UC4'):
                pixel = p[2], p[1], p[0]
            elif encoding in ('mono8', '8UC1'):
                pixel = (p[0],) * 3
            elif encoding in ('mono16', '16UC1'):
                value = int.from_bytes(p, 'big' if bigendian else 'little')
                pixel = (int(value * 255 / 65535 + 0.5),) * 3
            elif encoding in ('nv12', 'nv21'):
                at = (height + r // 2) * step + c // 2 * 2
                u, v = data[at:at + 2] if encoding == 'nv12' else data[at:at + 2][::-1]
                pixel = bt601(int(p[0]), int(u), int(v))
            elif encoding in BAYER:
                pixel = bayer_pixel(mosaic, BAYER[encoding], r, c)
            else:
                g = row[(c // 2) * 4:(c // 2) * 4 + 4]
                y0, u, y1, v = ((g[1], g[0], g[3], g[2]) if encoding in ('yuv422', 'uyvy')
                                else g)
                pixel = bt601(y1 if c % 2 else y0, u, v)
            rgb[r, c] = np.clip(pixel, 0, 255)
    return rgb


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('size', [(2, 2), (6, 4), (8, 5)])
@pytest.mark.parametrize('encoding', sorted(BYTES))
def test_pixels_are_those_of_the_definition(backend, encoding, size, padding):
    width, height = size
    if encoding.startswith('nv'):
        height += height % 2
    step, data = raw(encoding, width, height, padding)
    rgb = decode_raw(encoding, width, height, step, data)
    assert rgb.dtype == np.uint8 and rgb.shape == (height, width, 3)
    assert rgb.flags.c_contiguous
    allowed = 1.5 if encoding.startswith(('yuv', 'uyvy', 'yuyv', 'nv')) else 0
    difference = np.abs(rgb - expected(encoding, width, height, step, data))
    assert difference.max() <= allowed


def test_every_supported_encoding_is_in_the_table():
    assert set(ENCODINGS) == set(BYTES)


@pytest.mark.parametrize('encoding', sorted(BAYER))
def test_smallest_mosaic_gives_every_pixel_the_colours_of_its_cell(backend, encoding):
    rgb = decode_raw(encoding, 2, 2, 2, bytes([10, 20, 30, 40]))
    values = dict(zip(range(4), (10, 20, 30, 40)))
    red, blue = values[BAYER[encoding].index('R')], values[BAYER[encoding].index('B')]
    assert set(rgb[..., 0].flat) == {red} and set(rgb[..., 2].flat) == {blue}


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
@pytest.mark.parametrize('bigendian', [False, True])
def test_sixteen_bits_are_scaled_in_both_byte_orders(backend, encoding, bigendian):
    values = [0, 128, 129, 257, 32896, 65535]
    data = b''.join(v.to_bytes(2, 'big' if bigendian else 'little') for v in values)
    rgb = decode_raw(encoding, 6, 1, 12, data, bigendian)
    assert rgb[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_rgb8_without_padding_is_not_copied():
    data = array.array('B', range(24))
    assert np.shares_memory(decode_raw('rgb8', 4, 2, 12, data), np.frombuffer(data, np.uint8))


BAD_RAW = {
    'too little data': (('rgb8', 4, 4, 12, b'x' * 47), 'size_mismatch'),
    'too much data': (('rgb8', 4, 4, 12, b'x' * 49), 'size_mismatch'),
    'no data': (('rgb8', 4, 4, 12, b''), 'size_mismatch'),
    'step too small': (('rgb8', 4, 4, 11, b'x' * 44), 'step_too_small'),
    'step zero': (('mono8', 4, 4, 0, b''), 'step_too_small'),
    'width zero': (('rgb8', 0, 4, 12, b'x' * 48), 'zero_size'),
    'height zero': (('rgb8', 4, 0, 12, b''), 'zero_size'),
    'huge size, little data': (('rgb8', 2**32 - 1, 2**32 - 1, 2**32 - 1, b'x'), 'step_too_small'),
    'huge height, little data': (('mono8', 4, 2**32 - 1, 4, b'xxxx'), 'size_mismatch'),
    'unknown encoding': (('rgb24', 4, 4, 12, b'x' * 48), 'unknown_encoding'),
    'no encoding': (('', 4, 4, 12, b'x' * 48), 'unknown_encoding'),
    'float depth': (('32FC1', 4, 4, 16, b'x' * 64), 'unknown_encoding'),
    'odd yuv422': (('yuv422', 3, 2, 6, b'x' * 12), 'odd_size'),
    'odd nv12': (('nv12', 4, 3, 4, b'x' * 16), 'odd_size'),
    'nv12 without chroma': (('nv12', 4, 4, 4, b'x' * 16), 'size_mismatch'),
    'bayer line': (('bayer_rggb8', 4, 1, 4, b'xxxx'), 'odd_size'),
}


@pytest.mark.parametrize('case', sorted(BAD_RAW))
def test_bad_raw_image_is_refused_by_kind_with_a_sentence(case):
    arguments, kind = BAD_RAW[case]
    with pytest.raises(FrameError) as error:
        decode_raw(*arguments)
    assert error.value.kind == kind
    assert str(error.value).endswith('.') and len(str(error.value)) > 40


def encoded(kind, size=(64, 48), mode='RGB', **options):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue(), np.asarray(image.convert('RGB'))


@pytest.mark.parametrize('format_', ['png', 'rgb8; png compressed bgr8', 'PNG', ''])
def test_png_is_decoded_exactly(format_):
    data, rgb = encoded('PNG')
    assert np.array_equal(decode_compressed(format_, data), rgb)


@pytest.mark.parametrize('format_', ['jpeg', 'jpg', 'bgr8; jpeg compressed bgr8',
                                     'rgb8; jpeg compressed bgr8', ''])
def test_jpeg_is_decoded_in_rgb_whatever_the_publisher_calls_it(format_):
    data, rgb = encoded('JPEG', quality=95, subsampling=0)
    decoded = decode_compressed(format_, array.array('B', data))
    assert np.abs(decoded.astype(int) - rgb).mean() < 3
    assert decoded.flags.c_contiguous


def test_red_and_blue_are_exchanged_when_rgb_was_handed_to_a_bgr_encoder():
    data, rgb = encoded('PNG')
    assert np.array_equal(decode_compressed('rgb8; png compressed rgb8', data), rgb[..., ::-1])


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', '1', 'LA'])
def test_png_of_any_mode_becomes_rgb(mode):
    data, rgb = encoded('PNG', mode=mode)
    assert np.array_equal(decode_compressed('png', data), rgb)


def test_grey_and_progressive_and_cmyk_jpeg_become_rgb():
    for mode, options in (('L', {}), ('RGB', {'progressive': True}), ('CMYK', {})):
        assert decode_compressed('jpeg', encoded('JPEG', mode=mode, **options)[0]).shape == (
            48, 64, 3)


def test_sixteen_bit_png_is_scaled_and_not_clipped():
    buffer = BytesIO()
    Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16)).save(buffer, 'PNG')
    assert decode_compressed('mono16; png compressed', buffer.getvalue())[0, :, 1].tolist() == [
        0, 1, 128, 255]


def jpeg_that_claims(width, height):
    data = bytearray(encoded('JPEG')[0])
    place = data.index(b'\xff\xc0') + 5
    data[place:place + 4] = height.to_bytes(2, 'big') + width.to_bytes(2, 'big')
    return bytes(data)


def png_that_claims(width, height):
    import zlib
    data = bytearray(encoded('PNG')[0])
    data[16:24] = width.to_bytes(4, 'big') + height.to_bytes(4, 'big')
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
    return bytes(data)


BAD_COMPRESSED = {
    'empty': ('jpeg', lambda: b'', 'zero_size'),
    'truncated jpeg': ('jpeg', lambda: encoded('JPEG')[0][:-200], 'truncated'),
    'half a jpeg': ('jpeg', lambda: encoded('JPEG')[0][:300], 'truncated'),
    'three bytes of a jpeg': ('jpeg', lambda: encoded('JPEG')[0][:3], 'truncated'),
    'truncated png': ('png', lambda: encoded('PNG')[0][:-900], 'truncated'),
    'jpeg bomb': ('jpeg', lambda: jpeg_that_claims(65000, 65000), 'too_large'),
    'png bomb': ('png', lambda: png_that_claims(2**30, 2**30), 'too_large'),
    'somewhat large jpeg': ('jpeg', lambda: jpeg_that_claims(9000, 8000), 'too_large'),
    'not an image': ('jpeg', lambda: b'hello, this is text' * 10, 'undecodable'),
    'gif inside': ('jpeg', lambda: encoded('GIF')[0], 'undecodable'),
    'video': ('h264', lambda: encoded('JPEG')[0], 'unknown_encoding'),
    'compressed depth': ('16UC1; compressedDepth png', lambda: encoded('PNG')[0],
                         'unknown_encoding'),
}


@pytest.mark.parametrize('case', sorted(BAD_COMPRESSED))
def test_bad_compressed_image_is_refused_by_kind_with_a_sentence(case):
    format_, data, kind = BAD_COMPRESSED[case]
    with pytest.raises(FrameError) as error:
        decode_compressed(format_, data())
    assert error.value.kind == kind
    assert str(error.value).endswith('.') and len(str(error.value)) > 40


def test_limit_of_pixels_is_the_callers():
    data, _ = encoded('JPEG')
    assert decode_compressed('jpeg', data, max_pixels=64 * 48).shape == (48, 64, 3)
    with pytest.raises(FrameError, match='3071'):
        decode_compressed('jpeg', data, max_pixels=64 * 48 - 1)


def test_two_thousand_random_messages_give_an_array_or_a_frame_error(backend):
    dice = random.Random(11)
    jpeg, png = encoded('JPEG')[0], encoded('PNG')[0]
    arrays = 0
    for _ in range(1500):
        encoding = dice.choice(list(BYTES) + ['', 'nv24', '32FC1', '\x00'])
        width, height = (dice.choice([0, 1, 2, 3, 7, 8, 2**31, 2**32 - 1]) for _ in range(2))
        right = width * BYTES.get(encoding, 3)
        step = dice.choice([right, right, right + 3, 0, right - 1, 2**32 - 1])
        size = step * height if 0 <= step * height < 4096 and dice.random() < 0.7 else (
            dice.randrange(64))
        arrays += outcome(decode_raw, encoding, width, height, step,
                          dice.randbytes(size), dice.random() < 0.5)
    for _ in range(500):
        data = bytearray(dice.choice([jpeg, png, dice.randbytes(200)]))
        for _ in range(dice.randrange(20)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        if dice.random() < 0.3:
            del data[dice.randrange(len(data)):]
        arrays += outcome(decode_compressed, dice.choice(['jpeg', 'png', '', 'x', '\x00']),
                          bytes(data), 10**6)
    assert arrays > 100


def outcome(decode, *arguments):
    try:
        rgb = decode(*arguments)
    except FrameError as error:
        assert error.kind and str(error)
        return 0
    assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3
    return 1
