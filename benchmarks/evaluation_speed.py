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
Time of both HICO-DET protocols over the whole test annotation, 100 detections per image.

The detections are random but plausible: half of them are ground-truth pairs of their image,
moved by a few percent of their size, the rest random boxes; a third of the classes are wrong.
One run; times are wall clock in seconds. Run with `python -m benchmarks.evaluation_speed`.
"""

import argparse
import json
from pathlib import Path
import time

from benchmarks.machine import machine
from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.hico_det import evaluate, known_object, PROTOCOLS
from hoi_perception.evaluation.pairs import BoxPairs
from hoi_perception.evaluation.streaming import HicoDetEvaluator
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
ANNOTATION = ROOT.parent / 'shared/data/annotations/hicodet/instances_test2015.json'
PER_IMAGE, CLASSES = 100, 600


def ground_truth(annotation: dict) -> BoxPairs:
    """Return all pairs of the set as edges."""
    def joined(key: str, shape: tuple) -> np.ndarray:
        return np.concatenate([np.reshape(image.get(key, []), shape)
                               for image in annotation['annotation']])
    boxes = [joined(key, (-1, 4)).astype(np.float32) - np.array([1, 1, 0, 0], np.float32)
             for key in ('boxes_h', 'boxes_o')]
    counts = [len(image.get('hoi', [])) for image in annotation['annotation']]
    return BoxPairs(*boxes, joined('hoi', (-1,)).astype(np.int64),
                    images=np.repeat(np.arange(len(counts)), counts))


def detections(truth: BoxPairs, sizes: np.ndarray, seed: int = 0) -> BoxPairs:
    """Return PER_IMAGE detections of every image, sizes (images, 2) width and height."""
    rng = np.random.default_rng(seed)
    images = np.repeat(np.arange(len(sizes)), PER_IMAGE)
    count = np.bincount(truth.images, minlength=len(sizes))
    source = (np.cumsum(count) - count)[images] + (
        rng.random(len(images)) * count[images]).astype(np.int64)
    near = (rng.random(len(images)) < 0.5) & (count[images] > 0)
    source = np.where(near, source, 0)
    extent = np.tile(sizes[images], 2).astype(np.float32)
    boxes = []
    for real in (truth.humans[source], truth.objects[source]):
        corners = np.sort(rng.random((len(images), 2, 2), np.float32), axis=1).reshape(-1, 4)
        moved = real + rng.normal(0, 0.1, real.shape).astype(np.float32) * np.tile(
            real[:, 2:] - real[:, :2], 2)
        boxes.append(np.where(near[:, None], np.clip(moved, 0, extent), corners * extent))
    right = near & (rng.random(len(images)) < 2 / 3)
    classes = np.where(right, truth.classes[source], rng.integers(0, CLASSES, len(images)))
    return BoxPairs(*boxes, classes, rng.random(len(images), np.float32), images)


def streamed(protocol, found: BoxPairs, truth: BoxPairs, images: int) -> HicoDetEvaluator:
    """Return an evaluator that was given the set image by image."""
    evaluator = HicoDetEvaluator(protocol, CLASSES)
    bounds = np.searchsorted(truth.images, np.arange(images + 1))
    for i in range(images):
        evaluator.add(found.take(np.s_[i * PER_IMAGE:(i + 1) * PER_IMAGE]),
                      truth.take(np.s_[bounds[i]:bounds[i + 1]]))
    return evaluator


def main(arguments=None) -> dict:
    """Parse arguments, measure, print and return the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--annotation', type=Path, default=ANNOTATION,
                        help='instances_test2015.json of HICO-DET')
    parser.add_argument('--write', type=Path, help='also write the report to this file')
    options = parser.parse_args(arguments)
    if not options.annotation.is_file():
        raise HoiError(f'{options.annotation} is not there: give the HICO-DET test annotation '
                       '(instances_test2015.json) with --annotation.')
    report: dict = {'machine': machine(), 'seconds': {}}
    annotation = json.loads(options.annotation.read_text())
    truth, sizes = ground_truth(annotation), np.array(annotation['size'])
    found = detections(truth, sizes)
    labels = np.full((CLASSES, len(sizes)), -1)
    labels[truth.classes, truth.images] = 1
    known = known_object(labels, np.array(annotation['correspondence'])[:, 1])
    report.update(images=len(sizes), detections=len(found), ground_truth=len(truth))
    seconds = report['seconds']
    for name, protocol in PROTOCOLS.items():
        for setting, where in (('default', None), ('known_object', known)):
            start = time.perf_counter()
            result = evaluate(protocol, found, truth, CLASSES, len(sizes), where)
            seconds[f'{name}, {setting}'] = round(time.perf_counter() - start, 2)
            print(f'{seconds[f"{name}, {setting}"]:6.2f} s  {result}')
        start = time.perf_counter()
        evaluator = streamed(protocol, found, truth, len(sizes))
        seconds[f'{name}, image by image'] = round(time.perf_counter() - start, 2)
        start = time.perf_counter()
        evaluator.result()
        seconds[f'{name}, result of the stream'] = round(time.perf_counter() - start, 2)
    report['seconds_all'] = round(sum(seconds.values()), 2)
    print(json.dumps(report, indent=2))
    if options.write:
        options.write.write_text(json.dumps(report, indent=2) + '\n')
    return report


if __name__ == '__main__':
    main()
