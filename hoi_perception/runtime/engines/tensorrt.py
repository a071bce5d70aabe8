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
TensorRT through Torch-TensorRT, for NVIDIA GPUs: one engine, no part left to PyTorch.

Precision comes from casts in the exported graph: TensorRT 11 has no fp16 flag for its builder, and
torch_tensorrt's own autocast (2.14) fails on a convolution whose input was cast from uint8.
What is saved is an exported program that holds the built engine, so that the robot loads it
without compiling. The code has not been run with a GPU yet: every engine it builds must pass
parity before it is used, as with the other backends.
"""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from hoi_perception.runtime.engines.backend import Runner
from hoi_perception.runtime.engines.export import export_graph, Exported, Signature
from hoi_perception.runtime.engines.places import cache_directory
from hoi_perception.runtime.graphs import Graph
import torch

PROGRAM = 'model.ep'


class TensorRt:
    """`torch_tensorrt.dynamo.compile` with `require_full_compilation`."""

    name = 'tensorrt'
    precisions: Tuple[str, ...] = ('fp32', 'bf16', 'fp16')

    def unavailable(self, device: torch.device) -> Optional[str]:
        """Return a sentence where the device is no NVIDIA GPU or a package is missing."""
        if device.type != 'cuda':
            return f'tensorrt needs an NVIDIA GPU, the device is {device.type}.'
        missing = [name for name in ('torch_tensorrt', 'tensorrt') if find_spec(name) is None]
        if missing:
            return (f'tensorrt needs {" and ".join(missing)}, not installed: pip install '
                    'torch-tensorrt (on Jetson: the wheels of JetPack).')
        return None

    def version(self) -> str:
        """Return the versions of Torch-TensorRT and TensorRT."""
        import tensorrt
        return f'{metadata.version("torch_tensorrt")}+tensorrt{tensorrt.__version__}'

    def build(self, graph: Graph, precision: str, directory: Path) -> None:
        """Compile and save; fails where an operator has no converter."""
        import torch_tensorrt
        exported = export_graph(graph, precision, grid_free=True)
        exported.signature.write(directory)
        with torch.cuda.device(exported.inputs[0].device):
            module = torch_tensorrt.dynamo.compile(exported.program, **compile_options(exported))
            torch_tensorrt.save(module, str(directory / PROGRAM),
                                output_format='exported_program', arg_inputs=exported.inputs)

    def load(self, directory: Path, device: torch.device) -> Runner:
        """Load the engine onto the GPU it was built on."""
        import torch_tensorrt
        with torch.cuda.device(device):
            module = torch_tensorrt.load(str(directory / PROGRAM)).module()
        return Signature.read(directory).bind(module, device)


def compile_options(exported: Exported) -> Dict[str, Any]:
    """Return the arguments of `torch_tensorrt.dynamo.compile`; timings are kept between builds."""
    timings = cache_directory() / 'tensorrt_timing_cache.bin'
    timings.parent.mkdir(parents=True, exist_ok=True)
    return {'arg_inputs': exported.inputs, 'device': exported.inputs[0].device,
            'require_full_compilation': True, 'min_block_size': 1, 'immutable_weights': True,
            'timing_cache_path': str(timings)}
