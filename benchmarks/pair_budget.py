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
What a pair budget costs in triplets found and saves in time, on synthetic test scenes.

    python -m benchmarks.pair_budget DATA [BUNDLE] [--scenes 300] [--head lain]

DATA: a split written by `hoi-trainer synth`. Pairs are cut by the product of the detector's
scores before the head sees them. Scenes are computed with every budget in turn, with all
instances that the selection allows, because few pairs need no budget.
"""

import argparse
from dataclasses import replace
from datetime import date
import json
from pathlib import Path
import time
from typing import Any, Dict, List

from benchmarks.engine_measures import summary
from benchmarks.machine import machine
from hoi_perception.evaluation.triplet_map import named_triplets, SceneEvaluator
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_trainer.bundle_evaluation import TRIPLETS, truth_scene
from hoi_trainer.synthetic import load
import numpy as np
import torch

RESULT = Path(__file__).resolve().parent / 'results' / 'pair_budget.json'
BUDGETS = (1, 2, 4, 8, 12, 16, 32, 64, 128, 435)


def main() -> Dict[str, Any]:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n\n')[0])
    parser.add_argument('data', type=Path)
    parser.add_argument('bundle', type=Path, nargs='?', default=default_bundle_path())
    parser.add_argument('--scenes', type=int, default=300)
    parser.add_argument('--head')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--out', type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scenes = load(options.data)
    count = min(options.scenes, len(scenes))
    pipeline = HoiPipeline(Bundle.open(options.bundle), 'cpu', options.head, PipelineOptions(
        triplet_threshold=0.0, max_triplets=TRIPLETS, masks=False))
    truths = [truth_scene(record, pipeline.vocabulary) for record in scenes.scenes[:count]]
    classes = sorted({name for truth in truths for name in named_triplets(truth)
                      if name[0] != 'no_interaction'})
    scored = {budget: SceneEvaluator(classes) for budget in BUDGETS}
    times: Dict[int, List[float]] = {budget: [] for budget in BUDGETS}
    stage: Dict[int, List[float]] = {budget: [] for budget in BUDGETS}
    pairs: List[int] = []
    whole = pipeline.options
    for image, truth in zip(scenes.images[:count], truths):
        for budget in BUDGETS:
            pipeline.options = replace(whole, pair_budget=budget)
            start = time.perf_counter()
            result = pipeline.run([image])[0]
            times[budget].append(1e3 * (time.perf_counter() - start))
            stage[budget].append(result.stages['interact'])
            scored[budget].add(result.scene, truth)
            if budget == BUDGETS[0]:
                pairs.append(budget + result.scene.dropped_pairs)
    rows = []
    for budget in BUDGETS:
        result = scored[budget].result()
        there = result.positives > 0
        rows.append({'budget': budget, 'map': round(result.full, 4),
                     'recall': round(float(np.average(result.recall[there],
                                                      weights=result.positives[there])), 4),
                     'frame_ms': summary(times[budget]), 'interact_ms': summary(stage[budget])})
        print(rows[-1])
    report = {'date': date.today().isoformat(), 'machine': machine(), 'threads': options.threads,
              'engines': pipeline.engines.summary(), 'scenes': count, 'model': pipeline.model_id,
              'pairs_per_scene': {str(q): float(np.percentile(pairs, q)) for q in (50, 95, 100)},
              'protocol': result.protocol, 'rows': rows}
    options.out.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    return report


if __name__ == '__main__':
    main()
