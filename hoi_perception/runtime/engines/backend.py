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

"""What every engine backend offers."""

from pathlib import Path
from typing import Callable, Optional, Protocol, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.graphs import Graph
import torch
from torch import Tensor

Tensors = Tuple[Tensor, ...]
Runner = Callable[..., Tensors]
LOW_PRECISION = {'bf16': torch.bfloat16, 'fp16': torch.float16}


class EngineError(HoiError):
    """An engine that cannot be built, found, trusted or run; the node does without it."""


class Backend(Protocol):
    """
    One way to run a graph.

    name: 'eager', 'aoti', 'openvino' or 'tensorrt'. precisions: those it can build, of 'fp32',
    'bf16' and 'fp16'. Instances travel to the build process, so they must pickle.
    """

    name: str
    precisions: Tuple[str, ...]

    def unavailable(self, device: torch.device) -> Optional[str]:
        """Return a sentence saying why engines of this backend cannot run; None = they can."""

    def version(self) -> str:
        """Return the version of compiler and runtime, a part of the engine's key."""

    def build(self, graph: Graph, precision: str, directory: Path) -> None:
        """Write the engine's files into an empty directory; any exception is a failed build."""

    def load(self, directory: Path, device: torch.device) -> Runner:
        """Return a callable that takes and returns the graph's tensors."""
