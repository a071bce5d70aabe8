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

"""What both stages of a pipeline share: a network, and the engines that may stand in for it."""

from typing import Callable, Dict, List, Optional, Tuple

from torch import nn, Tensor

Tensors = Tuple[Tensor, ...]


class EngineStage:
    """
    A network of fixed shapes, run by an engine where its bucket has one.

    engines: by bucket, with the signature of `module`. eager_calls: calls in shapes that have no
    engine. failed: a sentence for every engine that failed while it ran; it is not used again.
    recorder: sees bucket and inputs of every call while it is set.
    """

    def __init__(self, title: str, module: nn.Module) -> None:
        self.title, self.module = title, module
        self.engines: Dict[str, Callable[..., Tensors]] = {}
        self.eager_calls = 0
        self.failed: List[str] = []
        self.recorder: Optional[Callable[[str, Tensors], None]] = None

    def _call(self, bucket: str, tensors: Tensors) -> Tensors:
        """Return the network's outputs; an engine that fails gives way to eager for good."""
        if self.recorder is not None:
            self.recorder(bucket, tensors)
        run = self.engines.get(bucket)
        if run is not None:
            try:
                return run(*tensors)
            except Exception as error:  # runtimes raise whatever they like; eager goes on
                del self.engines[bucket]
                self.failed.append(
                    f'the engine of {self.title} {bucket} failed while it ran '
                    f'({type(error).__name__}: {" ".join(str(error).split())[:200]}): eager runs '
                    'from now on. Restart to try it again.')
        self.eager_calls += 1
        found: Tuple[Tensor, ...] = self.module(*tensors)
        return found
