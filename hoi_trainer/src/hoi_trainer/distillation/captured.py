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

"""What passes inside a network, without changing the network."""

from contextlib import contextmanager
from typing import Callable, Dict, Iterator, Mapping

from torch import nn, Tensor


@contextmanager
def captured(network: nn.Module, modules: Mapping[str, str]) -> Iterator[Dict[str, Tensor]]:
    """
    Collect the outputs of submodules while the network runs.

    modules: path of the submodule by the name of its tokens, '' is the network itself.
    """
    found: Dict[str, Tensor] = {}

    def keep(name: str) -> Callable:
        return lambda module, given, output: found.__setitem__(name, output)

    handles = [network.get_submodule(path).register_forward_hook(keep(name))
               for name, path in modules.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
