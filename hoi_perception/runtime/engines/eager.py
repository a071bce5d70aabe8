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

"""The graph's own module, uncompiled: the reference, always there, never stored."""

from pathlib import Path
from typing import Optional, Tuple

from hoi_perception.runtime.engines.backend import EngineError, Runner
from hoi_perception.runtime.graphs import Graph
import torch


class Eager:
    """PyTorch as it is, in float32."""

    name = 'eager'
    precisions: Tuple[str, ...] = ('fp32',)

    def unavailable(self, device: torch.device) -> Optional[str]:
        """Return None: it always runs."""
        return None

    def version(self) -> str:
        """Return torch's version."""
        return torch.__version__

    def build(self, graph: Graph, precision: str, directory: Path) -> None:
        """Raise `EngineError`: there is nothing to build."""
        raise EngineError('eager runs the network as it is: there is nothing to build.')

    def load(self, directory: Path, device: torch.device) -> Runner:
        """Raise `EngineError`: the graph's module itself is the engine."""
        raise EngineError('eager has no files: call the module of the graph.')
