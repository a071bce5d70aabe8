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
Frame conversion to RGB at 1280x720: ours with and without OpenCV against rosbags-image.

All ways take turns in one run, so that a machine that slows down slows all of them. Prints
medians in milliseconds and how many times longer each way takes than ours as installed.
Run with `python -m benchmarks.frame_conversion`.
"""

from io import BytesIO
import json
import statistics
import time
from typing import Callable, Dict

from hoi_perception.replay.message_types import common_typestore, COMPRESSED_IMAGE, IMAGE
from hoi_perception.runtime import frames
import numpy as np
from PIL import Image

WIDTH, HEIGHT, ROUNDS = 1280, 720, 25
BYTES = {'rgb8': 3, 'bgr8': 3, 'mono8': 1, 'mono16': 2, 'yuv422': 2, 'bayer_rggb8': 1}
OPENCV = frames.cv2


def _photo() -> np.ndarray:
    """Return a smooth picture with some noise, so that JPEG has about a photo's work to do."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (45, 80, 3), np.uint8))
    smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
    return np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


def _ours(opencv, call: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
    def run() -> np.ndarray:
        frames.cv2 = opencv
        return call()
    return run


def _raw_ways(encoding: str) -> Dict[str, Callable[[], object]]:
    step = WIDTH * BYTES[encoding]
    data = np.random.default_rng(1).integers(0, 256, step * HEIGHT, np.uint8)

    def decode() -> np.ndarray:
        return frames.decode_raw(encoding, WIDTH, HEIGHT, step, data)

    ways: Dict[str, Callable[[], object]] = {'numpy': _ours(None, decode)}
    if OPENCV is not None:
        from rosbags.image import message_to_cvimage
        types = common_typestore().types
        header = types['std_msgs/msg/Header'](
            types['builtin_interfaces/msg/Time'](0, 0), 'camera')
        message = types[IMAGE](header, HEIGHT, WIDTH, encoding, 0, step, data)
        ways['opencv'] = _ours(OPENCV, decode)
        ways['rosbags-image'] = lambda: message_to_cvimage(message, 'rgb8')
    return ways


def _jpeg_ways() -> Dict[str, Callable[[], object]]:
    buffer = BytesIO()
    Image.fromarray(_photo()).save(buffer, 'JPEG', quality=90)
    data = np.frombuffer(buffer.getvalue(), np.uint8)
    # Ours decodes JPEG with Pillow in any case: unlike OpenCV it refuses truncated files.
    ways: Dict[str, Callable[[], object]] = {
        'ours (Pillow)': lambda: frames.decode_compressed('jpeg', data)}
    if OPENCV is not None:
        from rosbags.image import message_to_cvimage
        types = common_typestore().types
        header = types['std_msgs/msg/Header'](
            types['builtin_interfaces/msg/Time'](0, 0), 'camera')
        message = types[COMPRESSED_IMAGE](header, 'jpeg', data)
        ways['opencv'] = lambda: OPENCV.cvtColor(
            OPENCV.imdecode(data, OPENCV.IMREAD_COLOR), OPENCV.COLOR_BGR2RGB)
        ways['rosbags-image'] = lambda: message_to_cvimage(message, 'rgb8')
    return ways


def measure(ways: Dict[str, Callable[[], object]]) -> Dict[str, float]:
    """Return the median time of each way in milliseconds; the ways take turns."""
    times: Dict[str, list] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> Dict[str, Dict[str, float]]:
    """Measure every encoding, print the table and return it in milliseconds."""
    results = {}
    print(f'{WIDTH}x{HEIGHT} to RGB, median of {ROUNDS} in ms (times the default):')
    try:
        for name, ways in [(e, _raw_ways(e)) for e in BYTES] + [('jpeg', _jpeg_ways())]:
            results[name] = measure(ways)
            default = results[name].get('ours (Pillow)') or results[name].get(
                'opencv') or results[name]['numpy']
            row = '  '.join(f'{way} {value:6.2f} ({value / default:5.1f}x)'
                            for way, value in results[name].items())
            print(f'{name:12s} {row}')
    finally:
        frames.cv2 = OPENCV
    print(json.dumps({name: {way: round(value, 3) for way, value in row.items()}
                      for name, row in results.items()}))
    return results


if __name__ == '__main__':
    main()
