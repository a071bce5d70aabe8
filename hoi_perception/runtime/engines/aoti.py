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
AOTInductor: C++ or CUDA code for one machine, in one package that torch alone loads.

Building needs a C++ compiler and 15 to 60 s on two cores; loading needs neither. The code is for
the instruction set or GPU it was built on, which is why both are in the engine's key.
"""

import os
from pathlib import Path
import shutil
from typing import Dict, Optional, Tuple

from hoi_perception.runtime.engines.backend import EngineError, Runner
from hoi_perception.runtime.engines.export import export_graph, Exported, Signature
from hoi_perception.runtime.graphs import Graph
import torch

PACKAGE = 'model.pt2'


def compiler() -> Optional[str]:
    """Return the C++ compiler that torch would call, or None where there is none."""
    names = (os.environ.get('CXX', ''), 'g++', 'clang++')
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Aoti:
    """`torch._inductor.aoti_compile_and_package`; bf16 and fp16 by autocast."""

    name = 'aoti'
    precisions: Tuple[str, ...] = ('fp32', 'bf16', 'fp16')

    def unavailable(self, device: torch.device) -> Optional[str]:
        """Return a sentence for devices that AOTInductor has no code for."""
        if device.type in ('cpu', 'cuda'):
            return None
        return f'aoti runs on cpu and cuda, not on {device.type}.'

    def version(self) -> str:
        """Return torch's version."""
        return torch.__version__

    def build(self, graph: Graph, precision: str, directory: Path) -> None:
        """Compile, on the CPU with frozen weights where Inductor can; raises `EngineError`."""
        if compiler() is None:
            raise EngineError('aoti needs a C++ compiler to build: install g++ (or set CXX), or '
                              'copy engines built on a machine of the same kind.')
        exported = export_graph(graph, precision)
        exported.signature.write(directory)
        frozen: Dict[str, object] = {'freezing': True}
        try:
            self._compile(exported, directory, frozen if exported.inputs[0].is_cpu else {})
        except Exception:  # Inductor raises whatever a pass happened to stumble over
            if not exported.inputs[0].is_cpu:
                raise
            self._compile(export_graph(graph, precision), directory, {})

    def _compile(self, exported: Exported, directory: Path, options: Dict[str, object]) -> None:
        with torch.no_grad():
            torch._inductor.aoti_compile_and_package(
                exported.program, package_path=str(directory / PACKAGE), inductor_configs=options)

    def load(self, directory: Path, device: torch.device) -> Runner:
        """Load the package; no compiler is called."""
        index = -1 if device.index is None else device.index
        model = torch._inductor.aoti_load_package(str(directory / PACKAGE), device_index=index)
        return Signature.read(directory).bind(model, device)
