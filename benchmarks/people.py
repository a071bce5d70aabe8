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
What a frame costs by the number of people: set prediction beside pairs.

python -m benchmarks.people [--bundle DIR] [--head NAME ...] [--rounds N] [--output FILE]

Random boxes of so many people and six things go through the interaction stage of each head, eager,
one thread. Heads without weights of a Seg2HOI head in the bundle are measured with random ones of
the shipped configuration: cost does not depend on weights. Rounds go through all numbers in turn,
and processor time is counted, so that other load weighs on all of them alike.
"""

import argparse
from dataclasses import replace
import json
from pathlib import Path
import statistics
import tempfile
import time
from typing import Dict, List

from hoi_perception.core.scene import Instances
from hoi_perception.networks.seg2hoi import Seg2Hoi, Seg2HoiConfig
from hoi_perception.runtime.bundle import Bundle, default_bundle_path, HeadSpec, write_bundle
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.stage_engines import EngineOptions
import numpy as np
import torch

PEOPLE, THINGS = (2, 5, 10, 20), 6
OPTIONS = PipelineOptions(triplet_threshold=0.0, instance_threshold=0.0, masks=False,
                          max_humans=60, max_objects=15)


def with_random_head(source: Path, directory: Path) -> Path:
    """Return a copy of a bundle with a random Seg2HOI head of the shipped configuration."""
    bundle = Bundle.open(source)
    spec = bundle.spec
    config = Seg2HoiConfig(
        query_dim=spec.detector.config['head_width'], pixel_dim=spec.detector.config['masks'],
        embed_dim=spec.clip.config['embed_dim'], classes=len(spec.vocabulary.objects), layers=3,
        width=96, heads=4, ffn=192, dropout=0.0)
    head = HeadSpec(kind='seg2hoi', config=config.to_mapping(), activation='sigmoid',
                    human_exponent=0.0, object_exponent=0.0)
    tensors = {name: bundle.tensors(name) for name in spec.files if name.endswith('.safetensors')}
    tensors['heads/seg2hoi.safetensors'] = Seg2Hoi(config).state_dict()
    write_bundle(directory, spec.model_copy(update={'heads': {**spec.heads, 'seg2hoi': head}}),
                 tensors)
    return directory


def crowd(people: int, dice: np.random.Generator) -> Instances:
    """Return random boxes of so many people and a few things."""
    corner = dice.uniform(0, [300, 200], (people + THINGS, 2))
    boxes = np.concatenate([corner, corner + dice.uniform(40, 150, corner.shape)], 1)
    labels = np.where(np.arange(len(boxes)) < people, 0, dice.integers(1, 13, len(boxes)))
    return Instances(boxes, dice.uniform(0.3, 0.9, len(boxes)), labels)


def measure(pipeline: HoiPipeline, rounds: int) -> Dict[int, List[float]]:
    """Return the interaction stage's processor time in ms of every round by number of people."""
    dice = np.random.default_rng(0)
    image = dice.integers(0, 255, (360, 480, 3), dtype=np.uint8)
    crowds = {people: crowd(people, dice) for people in PEOPLE}
    times: Dict[int, List[float]] = {people: [] for people in PEOPLE}
    module = pipeline.stages[1].module
    for number in range(rounds + 1):
        for people, instances in crowds.items():
            spent: List[float] = []
            before = module.register_forward_pre_hook(
                lambda *_, spent=spent: spent.append(-time.process_time()))
            after = module.register_forward_hook(
                lambda *_, spent=spent: spent.append(time.process_time()))
            pipeline(image, instances)
            before.remove()
            after.remove()
            if number:  # the first round warms up
                times[people].append(1000 * sum(spent))
    return times


def main() -> None:
    """Measure and print, or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--bundle', type=Path, default=default_bundle_path())
    parser.add_argument('--head', action='append')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--output', type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        path, spec = arguments.bundle, Bundle.open(arguments.bundle).spec
        if not any(head.kind == 'seg2hoi' for head in spec.heads.values()):
            path = with_random_head(path, Path(directory) / spec.name)
        for head in arguments.head or ['seg2hoi', 'lain']:
            pipeline = HoiPipeline(path, 'cpu', head, replace(OPTIONS), EngineOptions('eager'))
            times = measure(pipeline, arguments.rounds)
            middle = {people: statistics.median(values) for people, values in times.items()}
            rows.append({'head': head, 'rounds': arguments.rounds,
                         'median_ms': {p: round(v, 2) for p, v in middle.items()},
                         'spread_ms': {p: round(max(v) - min(v), 2) for p, v in times.items()},
                         'ratio_20_to_2': round(middle[20] / middle[2], 3)})
            print(json.dumps(rows[-1]), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
