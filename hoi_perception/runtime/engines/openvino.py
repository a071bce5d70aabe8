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
OpenVINO: the fast engine for CPUs, an optional dependency.

The engine is OpenVINO's portable IR in float32; bf16 is a hint when it is compiled, which takes
below a second when it is loaded. So one build serves any CPU, but parity and speed were measured
on one, and the key says which.
"""

from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
import json
import logging
from pathlib import Path
from typing import Any, Iterator, Optional, Tuple

from hoi_perception.runtime.engines.backend import Runner, Tensors
from hoi_perception.runtime.engines.export import export_graph, Signature
from hoi_perception.runtime.graphs import Graph
import torch
from torch import Tensor
from torch.export import ExportedProgram

# Not `.bin`: bundles refuse files with the endings of pickles.
MODEL, WEIGHTS, OPTIONS = 'model.xml', 'model.weights', 'openvino.json'
HINTS = {'fp32': 'f32', 'bf16': 'bf16'}


class OpenVino:
    """`openvino` on the CPU, latency first, with torch's number of threads."""

    name = 'openvino'
    precisions: Tuple[str, ...] = ('fp32', 'bf16')

    def unavailable(self, device: torch.device) -> Optional[str]:
        """Return a sentence where the package is missing or the device is no CPU."""
        if device.type != 'cpu':
            return f'openvino is used for the CPU only, not for {device.type}.'
        if find_spec('openvino') is None:
            return 'openvino is not installed: pip install openvino.'
        return None

    def version(self) -> str:
        """Return OpenVINO's version."""
        return metadata.version('openvino')

    def build(self, graph: Graph, precision: str, directory: Path) -> None:
        """Convert the graph and write it; the precision is a hint for loading."""
        import openvino
        exported = export_graph(graph)
        exported.signature.write(directory)
        model = _convert(exported.program)
        openvino.save_model(model, directory / MODEL, compress_to_fp16=False)
        (directory / MODEL).with_suffix('.bin').rename(directory / WEIGHTS)
        (directory / OPTIONS).write_text(json.dumps({'precision': HINTS[precision]}),
                                         encoding='utf-8')

    def load(self, directory: Path, device: torch.device) -> Runner:
        """Compile the IR for this CPU."""
        import openvino
        options = json.loads((directory / OPTIONS).read_text(encoding='utf-8'))
        core = openvino.Core()
        compiled = core.compile_model(
            core.read_model(directory / MODEL, directory / WEIGHTS), 'CPU',
            {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': options['precision'],
             'INFERENCE_NUM_THREADS': torch.get_num_threads()})
        signature = Signature.read(directory)
        return signature.bind(_Request(compiled, signature), device)


class _Request:
    """One inference request that reads and writes torch's memory without copies."""

    def __init__(self, compiled: Any, signature: Signature) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = signature.outputs

    def __call__(self, *tensors: Tensor) -> Tensors:
        # Fresh outputs in every call: earlier results stay as they are.
        outputs = tuple(torch.empty(spec.shape, dtype=spec.torch_dtype) for spec in self._outputs)
        for i, tensor in enumerate(tensors):
            self._request.set_input_tensor(i, _view(tensor))
        for i, tensor in enumerate(outputs):
            self._request.set_output_tensor(i, _view(tensor))
        self._request.infer()
        return outputs


def _view(tensor: Tensor) -> Any:
    import openvino
    return openvino.Tensor(tensor.detach().numpy(), shared_memory=True)


def _convert(program: ExportedProgram) -> Any:
    """
    Return OpenVINO's model of the program, with its fixed shapes.

    The frontend is called directly: `openvino.convert_model` reports its use over the network
    where OpenVINO's telemetry package is installed, as pip does.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder
    frontend = FrontEndManager().load_by_framework('pytorch')
    with _quiet():
        decoder = TorchFXPythonDecoder.from_exported_program(program, dynamic_shapes=False)
    return frontend.convert(frontend.load(decoder))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the tracebacks that the decoder logs for operators newer than its table."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
