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
CUDA graphs: the launches of a call recorded once and replayed as one.

Small networks at batch 1 wait for their hundreds of kernel launches; a replay has one. Shapes are
fixed by the bucket, so a recording holds for every frame of it. Nothing of this happens on a CPU.
"""

from typing import Callable, Tuple

import torch
from torch import Tensor

Runner = Callable[..., Tuple[Tensor, ...]]
CALLS_BEFORE = 3  # lets libraries choose kernels and allocate their workspaces


def replayed(run: Runner, example: Tuple[Tensor, ...]) -> Runner:
    """
    Return a callable that replays `run` on a GPU, or `run` itself where that is not possible.

    example: inputs of the shapes it is called with. Must be called in inference mode. The
    recording is compared with a call before it is trusted.
    """
    if not example[0].is_cuda:
        return run
    try:
        recorded = _Recording(run, example)
        torch.cuda.synchronize(example[0].device)
        pairs = zip(recorded(*example), run(*example))
        same = all(torch.allclose(got.double(), expected.double(), rtol=1e-3, atol=1e-5)
                   for got, expected in pairs)
    except RuntimeError:  # something in it speaks with the host, which cannot be recorded
        torch.cuda.synchronize(example[0].device)
        return run
    return recorded if same else run


class _Recording:
    """One recorded call with the memory it reads and writes."""

    def __init__(self, run: Runner, example: Tuple[Tensor, ...]) -> None:
        self._inputs = tuple(tensor.clone() for tensor in example)
        stream = torch.cuda.Stream(example[0].device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(example[0].device))
        with torch.cuda.stream(stream):
            for _ in range(CALLS_BEFORE):
                run(*self._inputs)
        torch.cuda.current_stream(example[0].device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = run(*self._inputs)

    def __call__(self, *tensors: Tensor) -> Tuple[Tensor, ...]:
        for kept, given in zip(self._inputs, tensors):
            kept.copy_(given)
        self._graph.replay()
        # The next replay writes to the same memory; results may be kept longer.
        return tuple(output.clone() for output in self._outputs)
