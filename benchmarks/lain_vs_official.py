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
LAIN's interaction stage against the released implementation, in one process on one CPU.

    python -m benchmarks.lain_vs_official --official CHECKOUT [--threads 2] [--output FILE]

CHECKOUT is a clone of github.com/OreoChocolate/LAIN; nothing of it is kept here. ViT-B/16, fp32,
eager, one image, equal random weights and inputs, 117 verbs of which each object has 7 or 8.

Timed is the whole interaction stage, from boxes, scores, labels, queries and the normalised image
to logits of all pairs and verbs and the detector's priors. Of the released code: `LAIN.get_prior`
and `LAIN.compute_sim_scores` of a real instance, its text embeddings in its own cache; of ours:
head, logits and `core.scoring.detector_prior`, the pairs given. Beside it a narrower scope,
`encoder_only`: the released image encoder with adapters, given attention mask, map of detections
and pair tokens; our head, which computes the latter two. Not timed: detector, text encoder, final
sigmoid, ranking.

The ways take turns, so that a machine that slows down slows all; on a busy machine compare
processor time with one thread. FLOPs: matrix products and convolutions, 2 per multiply-add.
"""

import argparse
import json
import os
from pathlib import Path
import statistics
import time
from typing import Callable, Dict, Tuple

from benchmarks.lain_official import (
    encoder_call,
    EXPONENT,
    official_model,
    official_sources,
    official_stage,
    Outputs,
    SIDE,
    VERBS,
)
from benchmarks.machine import machine
from hoi_perception.core.scoring import detector_prior, ScoringRule
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import Lain, LainConfig, LainInputs
from hoi_perception.networks.lain_adapters import take
import open_clip
import torch
from torch import Tensor
from torch.nn.attention import sdpa_kernel, SDPBackend
from torch.nn.functional import normalize
from torch.utils.flop_counter import FlopCounterMode

CASES = {1: (1, 2), 15: (1, 16), 435: (15, 30)}
"""Pairs: (humans, boxes)."""
REQUIRED = {1: 1.15, 15: 1.2, 435: 1.3}
GROWTH = 1.15
TOLERANCE = 1e-4
OBJECTS = 80


def our_head() -> Lain:
    """Return LAIN on ViT-B/16 with random weights and adapters that matter."""
    torch.manual_seed(0)
    trunk = ClipTrunk(build_clip(open_clip.get_model_config('ViT-B-16-quickgelu')).visual)
    head = Lain(trunk, LainConfig(official=True)).eval()
    with torch.no_grad():
        for adapter in head.adapters:
            for gate in (adapter.scale, adapter.scale2):
                gate.normal_(std=0.5)
    return head.requires_grad_(False)


def inputs(head: Lain, humans: int, boxes: int) -> LainInputs:
    """Return one image with random boxes and all ordered pairs."""
    random = torch.Generator().manual_seed(boxes)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)
    centre, size = uniform(boxes, 2), uniform(boxes, 2) * 0.8 + 0.1
    corners = torch.cat([centre - size / 2, centre + size / 2], 1) * SIDE
    labels = torch.randint(1, OBJECTS, (boxes,), generator=random)
    labels[:humans] = 0
    pairs = torch.tensor([(i, j) for i in range(humans) for j in range(boxes) if i != j])
    config = head.config
    return LainInputs(
        torch.randn(1, 3, SIDE, SIDE, generator=random), corners[None], uniform(1, boxes),
        labels[None], torch.ones(1, boxes, dtype=torch.bool),
        torch.randn(1, boxes, config.query_dim, generator=random), pairs[None, :, 0],
        pairs[None, :, 1], torch.ones(1, len(pairs), dtype=torch.bool),
        torch.randn(OBJECTS + 1, config.object_dim, generator=random))


def verbs(dim: int) -> Tuple[Tensor, Tensor]:
    """Return unit-norm text embeddings (117, dim) and which verb goes with an object (117, 80)."""
    random = torch.Generator().manual_seed(1)
    texts = normalize(torch.randn(VERBS, dim, generator=random), dim=-1)
    rank = torch.rand(VERBS, OBJECTS, generator=random).argsort(0).argsort(0)
    return texts, rank < 7 + torch.arange(OBJECTS) % 2


def our_stage(head: Lain, data: LainInputs, texts: Tensor,
              validity: Tensor) -> Callable[[], Outputs]:
    """Return a call that gives our logits (P, 117) and priors (P, 117)."""
    rule = ScoringRule(False, float(head.logit_scale.exp()), EXPONENT, EXPONENT)

    def run() -> Outputs:
        logits = rule.temperature * head(data) @ texts.T
        prior = detector_prior(take(data.scores, data.human), take(data.scores, data.object), rule)
        valid = validity.T[take(data.labels, data.object)]
        return logits[0], (prior[..., None] * valid)[0]
    return run


def flops(call: Callable) -> int:
    """Return the floating point operations of one call."""
    # The counter knows the operators that gradients know, which are the same products.
    with torch.enable_grad(), FlopCounterMode(display=False) as counter, \
            sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops()


def alternate(ways: Dict[str, Callable], rounds: int) -> Dict[str, list]:
    """Return (elapsed, processor) milliseconds per call of each way, taken in turns."""
    times: Dict[str, list] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            way()
            times[name].append((1e3 * (time.perf_counter() - start),
                                1e3 * (time.process_time() - busy)))
    return times


def largest_difference(official: Callable[[], Outputs], ours: Callable[[], Outputs]) -> float:
    """Return that of logits and priors; stop where it is more than `TOLERANCE`."""
    (logits, prior), (our_logits, our_prior) = official(), ours()
    difference = max(float((logits - our_logits).abs().max()),
                     float((prior.prod(0) - our_prior).abs().max()))
    if not difference <= TOLERANCE:
        raise SystemExit(f'{len(logits)} pairs: logits or priors differ by {difference}, more '
                         f'than {TOLERANCE}')
    return difference


def compare(ways: Dict[str, Callable], rounds: int) -> dict:
    """Return times and FLOPs of the ways 'official' and 'ours', and how they compare."""
    report: dict = {}
    for name, values in alternate(ways, rounds).items():
        elapsed, busy = zip(*values)
        report[name] = {'median_ms': round(statistics.median(elapsed), 1),
                        'fastest_ms': round(min(elapsed), 1),
                        'median_processor_ms': round(statistics.median(busy), 1),
                        'gflop': round(flops(ways[name]) / 1e9, 2)}
    for key, result in (('median_ms', 'times_faster'),
                        ('median_processor_ms', 'times_less_processor_time')):
        report[result] = round(report['official'][key] / report['ours'][key], 3)
    return report


def measure(head: Lain, pairs: int, rounds: int) -> dict:
    """Return both scopes at one number of pairs."""
    data = inputs(head, *CASES[pairs])
    texts, validity = verbs(head.trunk.embed_dim)
    model = official_model(head, data.object_embeddings, texts, validity)
    ways: Dict[str, Callable] = {'official': official_stage(model, data),
                                 'ours': our_stage(head, data, texts, validity)}
    encoder = encoder_call(model.clip_head.image_encoder, head, data)
    report = {'boxes': CASES[pairs][1], 'rounds': rounds,
              'largest_difference': largest_difference(**ways), **compare(ways, rounds),
              'required': REQUIRED[pairs],
              'encoder_only': compare({'official': encoder, 'ours': lambda: head(data)}, rounds)}
    print(f'{pairs:4d} pairs: {report}', flush=True)
    return report


@torch.no_grad()
def main(arguments=None) -> dict:
    """Measure all cases, print and return the report."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--official', default=os.environ.get('HOI_LAIN_OFFICIAL'), type=Path)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--remark', default='')
    parser.add_argument('--output', type=Path)
    options = parser.parse_args(arguments)
    if options.official is None or not (options.official / 'models' / 'LAIN.py').is_file():
        parser.error('give a checkout of github.com/OreoChocolate/LAIN with --official or in '
                     f'HOI_LAIN_OFFICIAL; got {options.official}')
    torch.set_num_threads(options.threads)
    report: dict = {'machine': machine(), 'threads': options.threads, 'remark': options.remark,
                    'model': 'ViT-B/16, fp32, eager, one image', 'pairs': {}}
    with official_sources(options.official):
        head = our_head()
        for pairs in CASES:
            report['pairs'][pairs] = measure(head, pairs, options.rounds)
    few, many = (report['pairs'][pairs]['ours'] for pairs in (1, 435))
    time_growth, busy_growth, flop_growth = (
        many[key] / few[key] for key in ('median_ms', 'median_processor_ms', 'gflop'))
    report['growth_1_to_435_pairs'] = {
        'time': round(time_growth, 3), 'flops': round(flop_growth, 3),
        'time_over_flops': round(time_growth / flop_growth, 3),
        'processor_time_over_flops': round(busy_growth / flop_growth, 3), 'allowed': GROWTH}
    print(json.dumps(report['growth_1_to_435_pairs']))
    if options.output:
        options.output.write_text(json.dumps(report, indent=2) + '\n')
    return report


if __name__ == '__main__':
    main()
