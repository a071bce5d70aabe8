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

"""From a graph to an exported program, and the signature that guards what came of it."""

from dataclasses import replace
import json
from pathlib import Path
from typing import List, NamedTuple, Sequence, Tuple

from hoi_perception.networks.export_adapters import exportable
from hoi_perception.runtime.engines.backend import EngineError, LOW_PRECISION, Runner, Tensors
from hoi_perception.runtime.graphs import Graph
import torch
from torch import nn, Tensor
from torch.export import ExportedProgram

SIGNATURE = 'signature.json'


class TensorSpec(NamedTuple):
    """Name, shape and dtype ('float32', 'int64', 'bool', 'uint8') of an input or output."""

    name: str
    shape: Tuple[int, ...]
    dtype: str

    @staticmethod
    def of(name: str, tensor: Tensor) -> 'TensorSpec':
        """Return the specification of a tensor: its shape and type."""
        return TensorSpec(name, tuple(tensor.shape), str(tensor.dtype).removeprefix('torch.'))

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch has it."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    def __str__(self) -> str:
        return f'{self.name} {self.shape} {self.dtype}'


class Signature(NamedTuple):
    """What a graph takes and gives, in order."""

    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]

    @staticmethod
    def of(graph: Graph) -> 'Signature':
        """Run the graph once and return its signature."""
        with torch.inference_mode():
            outputs = graph.module(*graph.inputs.values())
        return Signature(tuple(TensorSpec.of(*item) for item in graph.inputs.items()),
                         tuple(map(TensorSpec.of, graph.outputs, outputs)))

    def write(self, directory: Path) -> None:
        """Write `signature.json` beside an engine's files."""
        (directory / SIGNATURE).write_text(json.dumps(self._asdict(), indent=1), encoding='utf-8')

    @staticmethod
    def read(directory: Path) -> 'Signature':
        """Read it back."""
        content = json.loads((directory / SIGNATURE).read_text(encoding='utf-8'))
        inputs, outputs = ([TensorSpec(name, tuple(shape), dtype) for name, shape, dtype
                            in content[key]] for key in ('inputs', 'outputs'))
        return Signature(tuple(inputs), tuple(outputs))

    def bind(self, run: Runner, device: torch.device) -> Runner:
        """
        Return a callable with the graph's own inputs and outputs around a compiled one.

        Compiled code reads memory as it was told: every call's tensors are checked, and made
        contiguous where they are views.
        """
        def engine(*tensors: Tensor) -> Tensors:
            return tuple(run(*check(self.inputs, tensors, device.type)))

        return engine


def check(specs: Sequence[TensorSpec], tensors: Sequence[Tensor], kind: str) -> List[Tensor]:
    """Return the tensors, contiguous; raises `EngineError` where a shape or type differs."""
    if len(tensors) != len(specs):
        raise EngineError(f'the engine takes {len(specs)} tensors, {len(tensors)} were given.')
    for spec, tensor in zip(specs, tensors):
        if (tuple(tensor.shape) != spec.shape or tensor.dtype != spec.torch_dtype
                or tensor.device.type != kind):
            raise EngineError(f'the engine expects {spec} on {kind}, got '
                              f'{TensorSpec.of(spec.name, tensor)} on {tensor.device.type}.')
    return [tensor.contiguous() for tensor in tensors]


class _LowPrecision(nn.Module):
    """A graph's module under autocast, with the outputs in the types that eager gives."""

    def __init__(self, module: nn.Module, signature: Signature, dtype: torch.dtype,
                 device: torch.device) -> None:
        super().__init__()
        self.module = module
        self._outputs, self._dtype, self._device = signature.outputs, dtype, device.type

    def forward(self, *tensors: Tensor) -> Tensors:
        with torch.autocast(self._device, self._dtype):
            outputs = self.module(*tensors)
        return tuple(output.to(spec.torch_dtype) for spec, output in zip(self._outputs, outputs))


class Exported(NamedTuple):
    """An exported program, the signature of the graph it came from and its example inputs."""

    program: ExportedProgram
    signature: Signature
    inputs: Tensors


def export_graph(graph: Graph, precision: str = 'fp32', grid_free: bool = False) -> Exported:
    """
    Export a graph at a precision.

    precision: 'bf16' and 'fp16' run matrix products and convolutions so by autocast (whole-model
    casts give NaN in some detectors); inputs and outputs keep the graph's dtypes. grid_free:
    without `grid_sample`, see `networks.export_adapters`.
    """
    signature = Signature.of(graph)
    if (low := LOW_PRECISION.get(precision)) is not None:
        device = next(iter(graph.inputs.values())).device
        graph = replace(graph, module=_LowPrecision(graph.module, signature, low, device).eval())
    inputs = tuple(graph.inputs.values())
    with torch.no_grad(), exportable(grid_free):
        program = torch.export.export(graph.module, inputs, strict=False)
    return Exported(program, signature, inputs)
