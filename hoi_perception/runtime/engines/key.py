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
What an engine was made from and for: it may be used where all of it is the same, nowhere else.

Looking for an engine must be quick, so the graph is not exported to be hashed. `graph` digests
what the exported graph follows from: shapes and names, every module's class and plain attributes,
the program's own source and the versions of the libraries whose modules are in it.
"""

from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
import hashlib
from importlib import metadata
import json
from pathlib import Path
import platform
from typing import Any, Dict, Iterator, List, Mapping, MutableMapping, Set, Tuple
from weakref import WeakKeyDictionary

from hoi_perception.runtime.engines.backend import Backend
from hoi_perception.runtime.graphs import Graph
import torch
from torch import nn, Tensor

LIBRARIES = ('torchvision', 'transformers', 'open_clip_torch')
# What the outputs of a graph follow from, relative to the package.
SOURCES = ('core', 'networks', 'runtime/engines', 'runtime/*graph*.py', 'runtime/*heads*.py',
           'runtime/loading.py', 'runtime/*_stage.py', 'runtime/pair_batch.py',
           'runtime/preprocess.py')
# Hooks and the like, which every module has.
_MACHINERY = frozenset(vars(nn.Module()))
_digests: MutableMapping[nn.Module, Tuple[Tuple[Any, ...], str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class EngineKey:
    """
    The identity of an engine.

    name, bucket: of the graph. weights, graph: digests. backend, precision, version: how it was
    built; version is that of compiler and runtime. torch: torch's version. machine: GPU name and
    compute capability, or the CPU's instruction set.
    """

    name: str
    bucket: str
    backend: str
    precision: str
    version: str
    torch: str
    machine: str
    weights: str
    graph: str

    @staticmethod
    def of(graph: Graph, backend: Backend, precision: str) -> 'EngineKey':
        """Return the key of a graph's engine on the device its inputs are on."""
        device = next(iter(graph.inputs.values())).device
        return EngineKey(graph.name, graph.bucket, backend.name, precision, backend.version(),
                         torch.__version__, machine_name(device), weights_digest(graph.module),
                         graph_digest(graph))

    @property
    def label(self) -> str:
        """What the engine is, for people: 'detector batch1 with aoti bf16'."""
        return f'{self.name} {self.bucket} with {self.backend} {self.precision}'

    @property
    def directory(self) -> str:
        """The name of the engine's directory: readable, and different for different keys."""
        text = json.dumps(asdict(self), sort_keys=True)
        name = f'{self.name}-{self.bucket}-{self.backend}-{self.precision}'.replace('/', '.')
        return f'{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}'

    def differences(self, other: Mapping[str, Any]) -> List[str]:
        """Say in which fields another key, as read from a file, differs: "torch '2.13'"."""
        return [f'{field.name} {other.get(field.name)!r} (here {getattr(self, field.name)!r})'
                for field in fields(self) if other.get(field.name) != getattr(self, field.name)]


def machine_name(device: torch.device) -> str:
    """Return 'NVIDIA H200 (9.0)', or architecture and instruction set of the CPU."""
    if device.type == 'cuda':
        major, minor = torch.cuda.get_device_capability(device)
        return f'{torch.cuda.get_device_name(device)} ({major}.{minor})'
    return ' '.join([platform.machine(), torch.backends.cpu.get_cpu_capability(), *cpu_features()])


@cache
def cpu_features() -> Tuple[str, ...]:
    """Return which of the extensions for low precision this CPU has, as Linux names them."""
    wanted = ('avx512_vnni', 'avx512_bf16', 'avx512_fp16', 'amx_bf16', 'amx_int8', 'bf16',
              'i8mm', 'sve')
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return ()
    flags = next((line.split(':')[1].split() for line in lines
                  if line.startswith(('flags', 'Features'))), [])
    return tuple(name for name in wanted if name in flags)


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 arithmetic is in the hardware."""
    if device.type == 'cuda':
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return any(name in cpu_features() for name in ('avx512_bf16', 'amx_bf16', 'bf16'))


def weights_digest(module: nn.Module) -> str:
    """Return a digest of all parameters, buffers and tensors kept as attributes."""
    held = sorted(_tensors(module), key=lambda item: item[0])
    # Every bucket of a stage asks for the same gigabyte.
    state = tuple((name, tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
                  for name, tensor in held)
    known = _digests.get(module)
    if known is None or known[0] != state:
        known = _digests[module] = state, _digest(held)
    return known[1]


def _digest(held: List[Tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in held:
        digest.update(f'{name} {tuple(tensor.shape)} {tensor.dtype}'.encode())
        content = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(content.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _tensors(module: nn.Module) -> Iterator[Tuple[str, Tensor]]:
    for path, part in module.named_modules():
        held = {**part._parameters, **part._buffers, **vars(part)}
        for name, value in held.items():
            if isinstance(value, Tensor):
                yield f'{path}.{name}', value


def graph_digest(graph: Graph) -> str:
    """Return a digest of everything but weights that the exported graph follows from."""
    content: Dict[str, Any] = {
        'inputs': [[name, list(tensor.shape), str(tensor.dtype)]
                   for name, tensor in graph.inputs.items()],
        'outputs': list(graph.outputs),
        'modules': [[path, f'{type(part).__module__}.{type(part).__qualname__}', _attributes(part)]
                    for path, part in graph.module.named_modules()],
        'source': source_digest(),
        'libraries': {name: _version(name) for name in LIBRARIES}}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _attributes(part: nn.Module) -> Dict[str, str]:
    plain = {name: _plain(value) for name, value in vars(part).items() if name not in _MACHINERY}
    return {name: text for name, text in plain.items() if text}


def _plain(value: Any) -> str:
    """Return the value as text where it is a setting, '' where it is machinery."""
    if value is None or isinstance(value, (bool, int, float, str, torch.dtype, torch.device)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f'[{",".join(map(_plain, value))}]'
    if isinstance(value, Mapping):
        return f'{{{",".join(f"{key}:{_plain(value[key])}" for key in value)}}}'
    if is_dataclass(value) and not isinstance(value, type):
        return f'{type(value).__name__}{_plain(vars(value))}'
    if hasattr(value, 'to_json_string'):  # configurations of transformers
        return str(value.to_json_string())
    return getattr(value, '__qualname__', '')  # functions and classes by name


@cache
def source_digest() -> str:
    """Return a digest of the program's source that decides what graphs and engines compute."""
    package = Path(__file__).resolve().parents[2]
    files: Set[Path] = set()
    for pattern in SOURCES:
        files.update(package.glob(pattern if pattern.endswith('.py') else f'{pattern}/*.py'))
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f'{path.relative_to(package)}\n'.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ''
