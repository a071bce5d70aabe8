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
eager, one image, equal random weights and inputs. The two take turns, so that a machine that
slows down slows both; on a busy machine compare processor time with one thread. Timed of the
released code is its image encoder with adapters, given the attention mask, the map of detections
and the pair tokens; ours computes the latter two inside the timed call. FLOPs are those of matrix
products and convolutions, 2 per multiply-add.
"""

import argparse
from contextlib import contextmanager
import json
import os
from pathlib import Path
import statistics
import sys
import time
from types import SimpleNamespace
from typing import Callable, Dict, Iterator

from benchmarks.machine import machine
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import Lain, LainConfig, LainInputs
from hoi_perception.networks.lain_adapters import take
import open_clip
import torch
from torch import nn, Tensor
from torch.nn.attention import sdpa_kernel, SDPBackend
from torch.nn.functional import normalize
from torch.utils.flop_counter import FlopCounterMode

CASES = {1: (1, 2), 15: (1, 16), 435: (15, 30)}
"""Pairs: (humans, boxes)."""
REQUIRED = {1: 1.15, 15: 1.2, 435: 1.3}
GROWTH = 1.15
TOLERANCE = 1e-4
CLASSES, SIDE = 117, 224


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


@contextmanager
def official_sources(checkout: Path) -> Iterator[None]:
    """Make the released modules importable, and its hard-wired `.cuda()` do nothing."""
    original, path = torch.Tensor.cuda, list(sys.path)
    sys.path.insert(0, str(checkout))
    torch.Tensor.cuda = lambda self, *_, **__: self
    try:
        yield
    finally:
        torch.Tensor.cuda, sys.path[:] = original, path


def official_encoder(head: Lain) -> nn.Module:
    """Return the released image encoder with the weights of our head."""
    from CLIP.clip import VisionTransformer
    trunk = head.trunk
    blocks = len(head.adapters)
    encoder = VisionTransformer(
        SIDE, trunk.patch[0], trunk.width, blocks, trunk.width // 64, trunk.embed_dim,
        args=SimpleNamespace(adapt_dim=head.config.adapter_dim, adapter_num_layers=1,
                             adapter_alpha=1.0))
    weights = dict(trunk.visual.state_dict())
    for name, value in head.adapters.state_dict().items():
        block, rest = name.split('.', 1)
        weights[f'transformer.resblocks.{block}.adaptermlp.{rest}'] = value
    encoder.load_state_dict(weights)
    return encoder.eval().requires_grad_(False)


def inputs(head: Lain, humans: int, boxes: int) -> LainInputs:
    """Return one image with random boxes and all ordered pairs."""
    random = torch.Generator().manual_seed(boxes)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)
    centre, size = uniform(boxes, 2), uniform(boxes, 2) * 0.8 + 0.1
    corners = torch.cat([centre - size / 2, centre + size / 2], 1) * SIDE
    labels = torch.randint(1, 80, (boxes,), generator=random)
    labels[:humans] = 0
    pairs = torch.tensor([(i, j) for i in range(humans) for j in range(boxes) if i != j])
    config = head.config
    return LainInputs(
        torch.randn(1, 3, SIDE, SIDE, generator=random), corners[None], uniform(1, boxes),
        labels[None], torch.ones(1, boxes, dtype=torch.bool),
        torch.randn(1, boxes, config.query_dim, generator=random), pairs[None, :, 0],
        pairs[None, :, 1], torch.ones(1, len(pairs), dtype=torch.bool),
        torch.randn(81, config.object_dim, generator=random))


def official_call(encoder: nn.Module, head: Lain, data: LainInputs) -> Callable[[], Tensor]:
    """Return a call of the released encoder that gives unit-norm pair features."""
    human, thing = data.human[0], data.object[0]
    prior = head.layout(data).prior[0]
    queries = torch.cat([take(data.queries, data.human), take(data.queries, data.object)], -1)
    tokens = head.query_proj(queries)[0]
    count, patches = len(human) + 1, prior.shape[0] * prior.shape[1]
    mask = torch.zeros(count + patches, count + patches, dtype=torch.bool)
    mask[:count, :count] = ~torch.eye(count, dtype=torch.bool)
    mask[-patches - 1:, :-patches - 1] = True

    def run() -> Tensor:
        found, _ = encoder(data.images, prior, tokens, mask, (data.boxes[0], human, thing))
        return normalize(found[:, :-1], dim=-1)
    return run


def flops(call: Callable[[], Tensor]) -> int:
    """Return the floating point operations of one call."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops()


def alternate(ways: Dict[str, Callable[[], Tensor]], rounds: int) -> Dict[str, list]:
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


def measure(encoder: nn.Module, head: Lain, pairs: int, rounds: int) -> dict:
    """Return times, FLOPs and the difference of outputs at one number of pairs."""
    data = inputs(head, *CASES[pairs])
    ways = {'official': official_call(encoder, head, data), 'ours': lambda: head(data)}
    texts = normalize(torch.randn(CLASSES, head.trunk.embed_dim), dim=-1)
    logits = {name: head.logit_scale.exp() * way() @ texts.T for name, way in ways.items()}
    times = alternate(ways, rounds)
    difference = float((logits['ours'] - logits['official']).abs().max())
    if difference > TOLERANCE:
        raise SystemExit(f'{pairs} pairs: logits differ by {difference}, more than {TOLERANCE}')
    report: dict = {'boxes': CASES[pairs][1], 'rounds': rounds,
                    'largest_difference_of_logits': difference}
    for name, values in times.items():
        elapsed, busy = zip(*values)
        report[name] = {'median_ms': round(statistics.median(elapsed), 1),
                        'fastest_ms': round(min(elapsed), 1),
                        'median_processor_ms': round(statistics.median(busy), 1),
                        'gflop': round(flops(ways[name]) / 1e9, 2)}
    for key, result in (('median_ms', 'times_faster'),
                        ('median_processor_ms', 'times_less_processor_time')):
        report[result] = round(report['official'][key] / report['ours'][key], 3)
    report['required'] = REQUIRED[pairs]
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
    if options.official is None or not (options.official / 'CLIP' / 'clip.py').is_file():
        parser.error('give a checkout of github.com/OreoChocolate/LAIN with --official or in '
                     f'HOI_LAIN_OFFICIAL; got {options.official}')
    torch.set_num_threads(options.threads)
    report: dict = {'machine': machine(), 'threads': options.threads, 'remark': options.remark,
                    'model': 'ViT-B/16, fp32, eager, one image', 'pairs': {}}
    with official_sources(options.official):
        head = our_head()
        encoder = official_encoder(head)
        for pairs in CASES:
            report['pairs'][pairs] = measure(encoder, head, pairs, options.rounds)
    few, many = (report['pairs'][pairs]['ours'] for pairs in (1, 435))
    time_growth, flop_growth = (many[key] / few[key] for key in ('median_ms', 'gflop'))
    report['growth_1_to_435_pairs'] = {
        'time': round(time_growth, 3), 'flops': round(flop_growth, 3),
        'time_over_flops': round(time_growth / flop_growth, 3), 'allowed': GROWTH}
    print(json.dumps(report['growth_1_to_435_pairs']))
    if options.output:
        options.output.write_text(json.dumps(report, indent=2) + '\n')
    return report


if __name__ == '__main__':
    main()
