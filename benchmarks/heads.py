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
Every head of a bundle side by side: quality by boxes and by masks, speed and size.

    python -m benchmarks.heads DATA [--bundle DIRECTORY] [--limit 500] [--rounds 40] [--write FILE]

DATA is a split of the synthetic world that no training saw. Quality is that of the whole pipeline
on its frames with the networks uncompiled. For the times the heads take turns frame by frame, so
that other load weighs on all of them alike.
"""

import argparse
import json
from pathlib import Path
import statistics
import time
from typing import Dict, List, Sequence

from benchmarks.machine import machine
from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_perception.runtime.pipeline import HoiPipeline
from hoi_perception.runtime.stage_engines import EngineOptions
from hoi_trainer.set_prediction.quadruplets import evaluate_quadruplets
from hoi_trainer.synthetic import load
import numpy as np
import torch

COLUMNS = (('box mAP', 'box_map'), ('mask mAP', 'mask_map'), ('union mask mAP', 'union_map'),
           ('union IoU', 'union_iou'), ('frame, ms', 'frame_ms'), ('head, ms', 'head_ms'),
           ('weights, MB', 'megabytes'))


def speed(bundle: Path, heads: Sequence[str], images: np.ndarray, backend: str,
          rounds: int) -> Dict[str, Dict[str, float]]:
    """Return the median milliseconds of a frame and of the interaction stage, by head."""
    pipelines = {name: HoiPipeline(bundle, 'cpu', name, engines=EngineOptions(backend))
                 for name in heads}
    frames: Dict[str, List[float]] = {name: [] for name in heads}
    stages: Dict[str, List[float]] = {name: [] for name in heads}
    for number in range(rounds + 3):
        image = np.asarray(images[number % len(images)])
        for name, pipeline in pipelines.items():
            start = time.perf_counter()
            result = pipeline.run([image])[0]
            if number >= 3:  # the first ones warm up
                frames[name].append(1e3 * (time.perf_counter() - start))
                stages[name].append(result.stages['interact'])
    return {name: {'frame_ms': round(statistics.median(frames[name]), 1),
                   'head_ms': round(statistics.median(stages[name]), 1),
                   'backend': str(pipelines[name].engines.summary())} for name in heads}


def megabytes(bundle: Bundle, head: str) -> float:
    """Return the size of the files that only this head needs."""
    files = bundle.spec.heads[head].weight_files(head)
    return round(sum((bundle.path / file).stat().st_size for file in files) / 1e6, 2)


def compare(bundle: Path, data: Path, limit: int, rounds: int, backend: str) -> dict:
    """Return a row per head; raises `HoiError`."""
    opened = Bundle.open(bundle)
    heads = list(opened.spec.heads)
    scenes = load(data)
    rows = {}
    for name in heads:
        rows[name] = {'kind': opened.spec.heads[name].kind, 'megabytes': megabytes(opened, name),
                      **evaluate_quadruplets(bundle, data, name, limit)}
        print(f'{name}: box mAP {rows[name]["box_map"]}', flush=True)
    for name, times in speed(bundle, heads, scenes.images, backend, rounds).items():
        rows[name].update(times)
    return {'machine': machine(), 'model': opened.model_id, 'scenes': limit, 'rounds': rounds,
            'threads': torch.get_num_threads(), 'heads': rows}


def table(report: dict) -> str:
    """Return the rows as a Markdown table."""
    lines = ['| head | ' + ' | '.join(title for title, _ in COLUMNS) + ' |',
             '|---|' + '---|' * len(COLUMNS)]
    for name, row in report['heads'].items():
        lines.append(f'| `{name}` | ' + ' | '.join(str(row[key]) for _, key in COLUMNS) + ' |')
    return '\n'.join(lines)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('data', type=Path)
    parser.add_argument('--bundle', type=Path, default=default_bundle_path())
    parser.add_argument('--limit', type=int, default=500)
    parser.add_argument('--rounds', type=int, default=40)
    parser.add_argument('--backend', default='eager')
    parser.add_argument('--write', type=Path)
    options = parser.parse_args()
    try:
        report = compare(options.bundle, options.data, options.limit, options.rounds,
                         options.backend)
    except HoiError as error:
        parser.exit(2, f'{error}\n')
    print(table(report))
    if options.write:
        options.write.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
