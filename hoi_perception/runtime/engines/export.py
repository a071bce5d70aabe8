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

import json
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple, TYPE_CHECKING

from hoi_perception.networks.export_adapters import exportable
from hoi_perception.runtime.engines.backend import EngineError, LOW_PRECISION, Runner, Tensors
import torch
from torch import nn, Tensor
from torch.export import ExportedProgram

if TYPE_CHECKING:
    from hoi_perception.runtime.graphs import Graph

SIGNATURE = 'signature.json'


class TensorSpec(NamedTuple):
    """Name, shape and dtype ('float32', 'int64', 'bool', 'uint8') of an input or output."""

    name: str
    shape: Tuple[int, ...]
    dtype: str

    @staticmethod
    def of(name: str, tensor: Tensor) -> 'TensorSpec':
        """Return the specification of a tensor."""
        return TensorSpec(name, tuple(tensor.shape), str(tensor.dtype).removeprefix('torch.'))

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it: compilers are not given such tensors."""
        return 0 in self.shape

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch has it."""
        return getattr(torch, self.dtype)

    def __str__(self) -> str:
        return f'{self.name} {self.shape} {self.dtype}'


class Signature(NamedTuple):
    """What a graph takes and gives, in order."""

    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]

    @staticmethod
    def of(graph: 'Graph') -> 'Signature':
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
        contiguous where they are views. Empty tensors are neither passed nor asked for.
        """
        specs, kind = self.inputs, device.type
        kept = [not spec.empty for spec in specs]

        def engine(*tensors: Tensor) -> Tensors:
            given = check(specs, tensors, kind)
            results = iter(run(*[tensor for tensor, keep in zip(given, kept) if keep]))
            return tuple(torch.empty(spec.shape, dtype=spec.torch_dtype, device=device)
                         if spec.empty else next(results) for spec in self.outputs)

        return engine


def check(specs: Sequence[TensorSpec], tensors: Sequence[Tensor], kind: str) -> List[Tensor]:
    """Return the tensors, contiguous; raises `EngineError` where one does not fit."""
    if len(tensors) != len(specs):
        raise EngineError(f'the engine takes {len(specs)} tensors, {len(tensors)} were given.')
    for spec, tensor in zip(specs, tensors):
        if (tuple(tensor.shape) != spec.shape or tensor.dtype != spec.torch_dtype
                or tensor.device.type != kind):
            raise EngineError(f'the engine expects {spec} on {kind}, got '
                              f'{TensorSpec.of(spec.name, tensor)} on {tensor.device.type}.')
    return [tensor.contiguous() for tensor in tensors]


class _Exportable(nn.Module):
    """The graph's module without empty tensors, under autocast where asked."""

    def __init__(self, module: nn.Module, signature: Signature,
                 low: Optional[torch.dtype], device: torch.device) -> None:
        super().__init__()
        self.module = module
        self._signature = signature
        self._low = low
        self._device = device

    def forward(self, *tensors: Tensor) -> Tensors:
        given = iter(tensors)
        inputs = [torch.zeros(spec.shape, dtype=spec.torch_dtype, device=self._device)
                  if spec.empty else next(given) for spec in self._signature.inputs]
        if self._low is None:
            outputs = self.module(*inputs)
        else:
            with torch.autocast(self._device.type, self._low):
                outputs = self.module(*inputs)
        return tuple(output.to(spec.torch_dtype)
                     for spec, output in zip(self._signature.outputs, outputs) if not spec.empty)


class Exported(NamedTuple):
    """An exported program, the signature of the graph it came from and its example inputs."""

    program: ExportedProgram
    signature: Signature
    inputs: Tensors


def export_graph(graph: 'Graph', precision: str = 'fp32', grid_free: bool = False) -> Exported:
    """
    Export a graph with its fixed shapes.

    precision: 'bf16' and 'fp16' run matrix products and convolutions so by autocast (whole-model
    casts give NaN in some detectors); inputs and outputs keep the graph's dtypes. grid_free:
    without `grid_sample`.
    """
    signature = Signature.of(graph)
    tensors = list(graph.inputs.values())
    inputs = tuple(tensor.contiguous() for tensor in tensors if tensor.numel())
    module = _Exportable(graph.module, signature, LOW_PRECISION.get(precision), tensors[0].device)
    with torch.no_grad(), exportable(grid_free):
        return Exported(torch.export.export(module.eval(), inputs, strict=False), signature,
                        inputs)
