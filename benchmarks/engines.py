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
Every engine of a bundle on this machine, side by side, and how far each is from its floor.

    python -m benchmarks.engines [BUNDLE ...] [--configuration DETECTOR+CLIP+HEAD] [--rounds 30]

Without a bundle the shipped one is measured. A configuration of config/ready_configurations.yaml
is made with random weights in out/bench and, because a detector of random weights finds nothing,
given 30 instances after its detector has run. Engines that are missing are built first, as long
as `--build-seconds` last. Backends take turns in every round. Written: JSON and PNG beside it.
The floor is what the FLOPs cost at the speed of this machine's matrix products, or the weights at
the speed of its memory, whichever is more.

Scaling goes over pairs (by the pair budget), cameras (one after the other, as the node computes
them) and verbs (random text of the right shapes), each in the buckets the node would use.
"""

import argparse
from dataclasses import replace
from datetime import date
import json
from pathlib import Path
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from benchmarks.engine_measures import (
    Ceilings,
    in_turns,
    measure_ceilings,
    measure_graph,
    peak_memory,
    summary,
)
from benchmarks.engine_plot import plot, print_tables
from benchmarks.machine import machine
from benchmarks.pipeline_throughput import demo_jpegs
from hoi_perception.core.errors import HoiError
from hoi_perception.core.pairs import bucket_for
from hoi_perception.core.scene import Instances, NONE
from hoi_perception.core.vocabulary import parse_verbs, Vocabulary
from hoi_perception.replay.sample_frames import COUNT
from hoi_perception.runtime.bundle import Bundle, default_bundle_path, MANIFEST
from hoi_perception.runtime.configurations import random_bundle
from hoi_perception.runtime.detect_stage import Found
from hoi_perception.runtime.engines.choose import BACKENDS, Candidate, candidates
from hoi_perception.runtime.engines.provide import engine_store, EngineMaker
from hoi_perception.runtime.engines.recorded import record
from hoi_perception.runtime.frames import decode_compressed
from hoi_perception.runtime.graphs import frame_buckets, Graph, interaction_graph
from hoi_perception.runtime.loading import choose_device
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.stage_engines import EngineOptions
import numpy as np
import torch
from torch.nn.functional import normalize

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / 'benchmarks' / 'results' / 'engines.json'
EAGER = 'eager fp32'
PAIRS, VERBS = (1, 4, 16, 17, 64, 65, 200, 435), (1, 10, 32, 100, 300, 600)


class Engines(NamedTuple):
    """What stands in for the two modules of a pipeline; empty = eager."""

    detect: Dict[str, Callable]
    interact: Dict[str, Callable]


def given_instances() -> Instances:
    """Return 15 people and 15 things on a 640x480 image."""
    dice = np.random.default_rng(0)
    corners = dice.uniform(0, (640, 480), (30, 2, 2))
    return Instances(np.concatenate([corners.min(1), corners.max(1) + 1], 1),
                     np.linspace(1, 0.3, 30), np.repeat([0, 1], 15))


class BundleBench:
    """All measurements of one bundle; `notes` says what could not be built or used."""

    def __init__(self, bundle: Bundle, options: argparse.Namespace, random_weights: bool) -> None:
        self.device = choose_device(options.device)
        self.pipeline = HoiPipeline(bundle, str(self.device), options.head,
                                    PipelineOptions(triplet_threshold=0.0, masks=True),
                                    engines=None)
        self.bundle, self.rounds = bundle, options.rounds
        self.prompts = self.pipeline.prompts.current
        self.notes: List[str] = []
        self.sets: Dict[str, Engines] = {EAGER: Engines({}, {})}
        self.frames = [decode_compressed('jpeg', data) for data in demo_jpegs(self.rounds)]
        self._store = engine_store(bundle, options.engines)
        self._wanted: List[Candidate] = [
            item for item in candidates(self.device, precision=options.precision)
            if not options.only or item.backend.name in options.only]
        if random_weights:
            self._stand_in()

    def _stand_in(self) -> None:
        found = Found(given_instances(), np.arange(30))
        self.pipeline._detect.find = (  # type: ignore[method-assign]
            lambda host, placement, width, height: found)

    def graphs(self) -> Iterator[Graph]:
        """Yield the graphs of the bundle's own verbs, then those of the scaling over verbs."""
        own = len(self.prompts.embeddings)
        maker = EngineMaker(self.bundle, self.pipeline.head, self.device, self._store)
        yield from maker.graphs([own])
        instances, pairs = next(frame_buckets(self.bundle))
        for rows in sorted(self.bundle.spec.buckets.rows):
            if rows != own:
                yield interaction_graph(self.bundle, self.pipeline._interact, 1, instances, pairs,
                                        rows)

    def build(self, graphs: List[Graph], until: float) -> None:
        """Build what is missing until a time by the monotonic clock, then load everything."""
        maker = EngineMaker(self.bundle, self.pipeline.head, self.device, self._store,
                            recorded=lambda: record(self.pipeline, self.frames[:COUNT]),
                            report=lambda line: print(line, flush=True))
        for candidate in self._wanted:
            for graph in graphs:
                if time.monotonic() > until:
                    self.notes.append(f'{candidate}: {graph.name} {graph.bucket} was not built: '
                                      'the time for building was over.')
                    continue
                try:
                    maker.build(graph, *candidate)
                except HoiError as error:
                    self.notes.append(str(error))
        for backend, precision in [(c.backend.name, c.precision) for c in self._wanted] + [
                ('auto', 'auto')]:
            report = self.pipeline.use_engines(EngineOptions(
                backend, precision, directory=self._store.directory))
            self.notes += report.warnings
            name = 'auto' if backend == 'auto' else f'{backend} {precision}'
            loaded = Engines(self.pipeline._detect.engines, self.pipeline._interact.engines)
            if any(loaded) or name == 'auto':
                self.sets[name] = Engines(*map(dict, loaded))
        self.auto = report.summary()
        self.notes = list(dict.fromkeys(self.notes))

    def use(self, name: str) -> None:
        """Run the networks with a set from now on."""
        self.pipeline._detect.engines, self.pipeline._interact.engines = self.sets[name]

    def networks(self, graphs: List[Graph], ceilings: Ceilings) -> List[Dict[str, Any]]:
        """Measure every graph with every engine it has."""
        rows = []
        for graph in graphs:
            runners = {EAGER: graph.module}
            for name, engines in self.sets.items():
                side = engines.detect if graph.name == 'detector' else engines.interact
                if name != 'auto' and graph.bucket in side:
                    runners[name] = side[graph.bucket]
            rows.append(measure_graph(graph, runners, self.rounds, ceilings))
        return rows

    def end_to_end(self) -> Dict[str, Any]:
        """Measure frames of the shipped bag from RGB array to scene."""
        totals: Dict[str, List[float]] = {name: [] for name in self.sets}
        stages: Dict[str, List[Dict[str, float]]] = {name: [] for name in self.sets}
        for number, frame in enumerate([*self.frames[:2], *self.frames]):
            for name in self.sets:
                self.use(name)
                start = time.perf_counter()
                result = self.pipeline.run([frame])[0]
                if number >= 2:
                    totals[name].append(1e3 * (time.perf_counter() - start))
                    stages[name].append(result.stages)
        eager = float(np.percentile(totals[EAGER], 50))
        return {name: {
            'total_ms': summary(values),
            'frames_per_second': round(1e3 * len(values) / sum(values), 1),
            'times_eager': round(eager / float(np.percentile(values, 50)), 2),
            'stages_ms': {stage: summary([each[stage] for each in stages[name]])
                          for stage in stages[name][0]}} for name, values in totals.items()}

    def memory(self, threads: int) -> Dict[str, Any]:
        """Measure each in a process of its own."""
        return {name: peak_memory(self.bundle.path, self.pipeline.head, str(self.device),
                                  *(name.split() if name != 'auto' else ('auto', 'auto')),
                                  self._store.directory, threads) for name in self.sets}

    def scaling(self, most_cameras: int) -> Dict[str, Any]:
        """Measure p50 over pairs, verbs and cameras; the first two in ms of their stage."""
        given = [given_instances()]
        whole = self.pipeline.options
        report: Dict[str, Any] = {'pairs': {}, 'cameras': {}, 'verbs': {}}
        largest = max(self.bundle.spec.buckets.pairs)
        for pairs in PAIRS:
            if pairs <= largest:
                self.pipeline.options = replace(whole, pair_budget=pairs)
                report['pairs'][pairs] = self._p50(
                    lambda: self.pipeline.run(self.frames[:1], given), 'interact')
        self.pipeline.options = replace(whole, pair_budget=min(16, largest))
        for verbs in VERBS:
            if verbs <= max(self.bundle.spec.buckets.rows):
                self.pipeline.prompts.activate(self._prompts(verbs))
                report['verbs'][verbs] = self._p50(
                    lambda: self.pipeline.run(self.frames[:1], given), 'interact')
        self.pipeline.prompts.activate(self.prompts)
        self.pipeline.options = whole
        for cameras in range(1, most_cameras + 1):
            report['cameras'][cameras] = self._p50(
                lambda count=cameras: [self.pipeline.run([self.frames[i % len(self.frames)]])
                                       for i in range(count)])
        return report

    def _p50(self, call: Callable, stage: Optional[str] = None) -> Dict[str, float]:
        """Return p50 of a call by engine set, of one of its stages or of all of it."""
        inner: Dict[str, List[float]] = {name: [] for name in self.sets}

        def run(name: str) -> None:
            self.use(name)
            result = call()
            if stage:
                inner[name].append(result[0].stages[stage])
        whole = in_turns({name: lambda name=name: run(name)  # type: ignore[misc]
                          for name in self.sets}, max(3, self.rounds // 3), self.device)
        return {name: summary(inner[name][2:] if stage else whole[name])['p50']
                for name in self.sets}

    def _prompts(self, verbs: int) -> Any:
        rows = bucket_for(verbs, self.bundle.spec.buckets.rows)
        now, table = self.prompts, torch.zeros(rows, self.prompts.embeddings.shape[1])
        table[:verbs] = normalize(torch.randn(verbs, table.shape[1]), dim=-1)
        known = now.vocabulary
        validity = torch.zeros(rows, now.validity.shape[1], dtype=torch.bool)
        validity[:verbs, :len(known.objects)] = True
        return replace(
            now, vocabulary=Vocabulary(known.objects, parse_verbs(
                [f'verb{n}' for n in range(verbs)]), known.template, known.human),
            phrases=(), embeddings=table.to(now.embeddings), validity=validity.to(self.device),
            verb_of_row=np.where(np.arange(rows) < verbs, np.arange(rows), NONE))


def measure(bundle: Bundle, options: argparse.Namespace, ceilings: Ceilings,
            random_weights: bool = False) -> Dict[str, Any]:
    """Return the report of one bundle."""
    bench = BundleBench(bundle, options, random_weights)
    graphs = list(bench.graphs())
    bench.build(graphs, time.monotonic() + options.build_seconds)
    return {'bundle': bench.pipeline.model_id, 'random_weights': random_weights,
            'auto': bench.auto, 'networks': bench.networks(graphs, ceilings),
            'end_to_end_640x480': bench.end_to_end(), 'scaling': bench.scaling(options.cameras),
            'peak_memory_mb': {} if options.no_memory else bench.memory(options.threads),
            'notes': bench.notes}


def opened(name: str) -> Bundle:
    """Return the random bundle of a configuration, made on first use."""
    directory = ROOT / 'out' / 'bench' / name
    if (directory / MANIFEST).is_file():
        return Bundle.open(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    return random_bundle(name, directory)


def parser() -> argparse.ArgumentParser:
    """Return the arguments."""
    made = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    made.add_argument('bundle', nargs='*', type=Path)
    made.add_argument('--configuration', action='append', default=[])
    made.add_argument('--head')
    made.add_argument('--device', default='auto')
    made.add_argument('--threads', type=int, default=2)
    made.add_argument('--rounds', type=int, default=30)
    made.add_argument('--cameras', type=int, default=8, help='most cameras to scale to')
    made.add_argument('--only', action='append', help='backends beside eager [all there are]')
    made.add_argument('--precision', default='auto')
    made.add_argument('--build-seconds', type=float, default=3600.0)
    made.add_argument('--engines', type=Path, help='where engines are kept [see hoi engine build]')
    made.add_argument('--no-memory', action='store_true', help='start no process per engine')
    made.add_argument('--out', type=Path, default=RESULT)
    return made


def main(arguments: Optional[List[str]] = None) -> Dict[str, Any]:
    """Measure, print tables, write JSON and picture, return the report."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    there = [backend for backend in BACKENDS if not backend.unavailable(device)]
    precisions = ['fp32', *dict.fromkeys(c.precision for c in candidates(device)
                                         if c.precision != 'fp32')]
    ceilings = measure_ceilings(device, precisions)
    report: Dict[str, Any] = {
        'date': date.today().isoformat(), 'machine': machine(), 'threads': options.threads,
        'backends': {backend.name: backend.version() for backend in there},
        'gemm_gflops': ceilings.gemm, 'bandwidth_gb_s': ceilings.bandwidth, 'bundles': []}
    paths = options.bundle or ([] if options.configuration else [default_bundle_path()])
    for path in paths:
        report['bundles'].append(measure(Bundle.open(path), options, ceilings))
    for name in options.configuration:
        report['bundles'].append(measure(opened(name), options, ceilings, random_weights=True))
    print_tables(report)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    plot(report, options.out.with_suffix('.png'))
    return report


if __name__ == '__main__':
    main()
