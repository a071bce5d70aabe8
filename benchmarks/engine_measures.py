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

"""Times, floors and memory: what a benchmark of engines is made of."""

import gc
import math
import multiprocessing
from pathlib import Path
import resource
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from hoi_perception.networks.linear import HAS_BOTH
from hoi_perception.runtime.engines.backend import LOW_PRECISION, Runner
from hoi_perception.runtime.graphs import Graph
import numpy as np
import torch
from torch.nn.attention import sdpa_kernel, SDPBackend
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], object]


class Ceilings(NamedTuple):
    """What the machine can do: gemm in GFLOP/s by precision, bandwidth in GB/s (reading)."""

    gemm: Dict[str, float]
    bandwidth: float


def summary(times: Sequence[float]) -> Dict[str, float]:
    """Return p50 and p95 of milliseconds."""
    return {'p50': round(float(np.percentile(times, 50)), 3),
            'p95': round(float(np.percentile(times, 95)), 3)}


def in_turns(calls: Mapping[str, Call], rounds: int, device: torch.device,
             warm: int = 2) -> Dict[str, List[float]]:
    """
    Return the milliseconds of every round by name.

    The calls take turns, so that a machine that slows down slows all of them.
    """
    times: Dict[str, List[float]] = {name: [] for name in calls}
    for number in range(warm + rounds):
        for name, call in calls.items():
            elapsed = timed(call, device)
            if number >= warm:
                times[name].append(elapsed)
    return times


def timed(call: Call, device: torch.device) -> float:
    """Return the milliseconds of one call, with everything that it started on a GPU."""
    _synchronise(device)
    start = time.perf_counter()
    call()
    _synchronise(device)
    return 1e3 * (time.perf_counter() - start)


def _synchronise(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def measure_ceilings(device: torch.device, precisions: Sequence[str]) -> Ceilings:
    """Measure the fastest matrix product and the fastest reading of memory, best of several."""
    side, count = (8192, 10) if device.type == 'cuda' else (1024, 6)
    gemm = {}
    for precision in precisions:
        dtype = LOW_PRECISION.get(precision, torch.float32)
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        best = min(timed(lambda a=a, b=b: a @ b, device) for _ in range(count))
        gemm[precision] = round(2 * side ** 3 / best / 1e6, 1)
    # Larger than any cache; weights are read once per call.
    memory = torch.ones(1 << (30 if device.type == 'cuda' else 26), device=device)
    best = min(timed(memory.sum, device) for _ in range(count))
    return Ceilings(gemm, round(memory.numel() * memory.element_size() / best / 1e6, 1))


def work_of(graph: Graph) -> Tuple[int, int]:
    """
    Return the FLOPs of a call (products and convolutions, 2 per multiply-add), parameters.

    The counter has no formula for fused attention nor for products by oneDNN: attention is
    computed in parts here, and oneDNN's products are told to it.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), \
                FlopCounterMode(display=False, custom_mapping=_formulas()) as counter:
            graph.module(*graph.inputs.values())
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops(), sum(p.numel() for p in graph.module.parameters())


def _formulas() -> Dict[Any, Callable[..., int]]:
    """Return the FLOPs of operators that torch's counter does not know, from their shapes."""
    def product(x: Sequence[int], weight: Sequence[int], *rest: object, **more: object) -> int:
        return 2 * math.prod(x) * weight[0]

    return {torch.ops.mkldnn._linear_pointwise: product} if HAS_BOTH else {}


def floor_ms(flops: int, parameters: int, precision: str, ceilings: Ceilings) -> float:
    """Return the least possible milliseconds: arithmetic, or reading the weights once."""
    size = 2 if precision in LOW_PRECISION else 4
    return round(max(flops / ceilings.gemm[precision] / 1e6,
                     size * parameters / ceilings.bandwidth / 1e6), 4)


def measure_graph(graph: Graph, runners: Mapping[str, Runner], rounds: int,
                  ceilings: Ceilings) -> Dict[str, Any]:
    """
    Return work, floors and times of one graph.

    runners: by 'backend precision', 'eager fp32' among them.
    """
    flops, parameters = work_of(graph)
    example = tuple(graph.inputs.values())
    with torch.inference_mode():
        times = in_turns({name: lambda run=run: run(*example) for name, run in runners.items()},
                         rounds, example[0].device)
    eager = float(np.percentile(times['eager fp32'], 50))
    runs = {}
    for name, values in times.items():
        floor = floor_ms(flops, parameters, name.split()[1], ceilings)
        p50 = max(float(np.percentile(values, 50)), 1e-6)
        runs[name] = {**summary(values), 'times_eager': round(eager / p50, 2), 'floor_ms': floor,
                      'over_floor': round(p50 / max(floor, 1e-6), 2)}
    return {'graph': graph.name, 'bucket': graph.bucket, 'gflop': round(flops / 1e9, 3),
            'million_parameters': round(parameters / 1e6, 2), 'runs': runs}


def peak_memory(bundle: Path, head: str, device: str, backend: str, precision: str,
                directory: Path, threads: int) -> Dict[str, float]:
    """
    Return the megabytes of a fresh process that answers frames with one backend.

    resident: peak of the process, interpreter and libraries included. gpu: peak of torch's
    allocator (engines of TensorRT have more of their own).
    """
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(_peak_memory, (bundle, head, device, backend, precision, directory,
                                         threads))


def _peak_memory(bundle: Path, head: str, device: str, backend: str, precision: str,
                 directory: Path, threads: int) -> Dict[str, float]:
    torch.set_num_threads(threads)
    from hoi_perception.runtime.bundle import Bundle
    from hoi_perception.runtime.pipeline import HoiPipeline
    from hoi_perception.runtime.stage_engines import EngineOptions
    pipeline = HoiPipeline(Bundle.open(bundle, verify=False), device, head,
                           engines=EngineOptions(backend, precision, directory=directory))
    for _ in range(3):
        pipeline(np.full((480, 640, 3), 127, np.uint8))
    gc.collect()
    # Linux counts in KiB, macOS in bytes.
    unit = 1024 if sys.platform != 'darwin' else 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    gpu = torch.cuda.max_memory_allocated() if torch.device(device).type == 'cuda' else 0
    return {'resident': round(peak / 1e6, 1), 'gpu': round(gpu / 1e6, 1)}
