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

"""Trained networks as safetensors that carry their own configuration."""

import json
from pathlib import Path
from typing import Dict, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.runtime.bundle import Bundle, MANIFEST
from hoi_perception.runtime.int8_rows import unpacked
from lightning.pytorch import Callback
import safetensors
import safetensors.torch
from torch import nn, Tensor


class WriteWeights(Callback):
    """
    At the end of training write the module's `network` in half precision.

    With a weight-averaging callback these are the averaged weights. The module's `network_config`
    (a mapping) goes into the file's metadata.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_fit_end(self, trainer, pl_module) -> None:
        """Write the file."""
        if trainer.is_global_zero:
            write_weights(pl_module.network, pl_module.network_config, self.path)


def write_weights(network: nn.Module, config: dict, path: Path) -> None:
    """Write the state of a network, floating point numbers as float16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
             for name, value in network.state_dict().items()}
    safetensors.torch.save_file(state, path, metadata={'config': json.dumps(config)})


def update_config(path: Path, **changes: object) -> None:
    """Change parts of the configuration in a file of `write_weights`; weights stay as they are."""
    with safetensors.safe_open(path, framework='pt') as file:
        state = {name: file.get_tensor(name) for name in file.keys()}
        config = json.loads(file.metadata()['config'])
    work = path.with_suffix('.new')
    safetensors.torch.save_file(state, work,
                                metadata={'config': json.dumps({**config, **changes})})
    work.replace(path)


def read_weights(path: Path) -> Tuple[dict, Dict[str, Tensor]]:
    """
    Return (configuration, state in single precision) from what `write_weights` wrote.

    The detector and the CLIP of a bundle can be read too; their configuration is the bundle's.
    """
    path = Path(path)
    if not path.is_file():
        raise BundleError(f'no weights at {path}; train them with `hoi-trainer fit`')
    try:
        with safetensors.safe_open(path, framework='pt') as file:
            metadata = file.metadata() or {}
            state = unpacked({name: file.get_tensor(name) for name in file.keys()}, str(path))
    except safetensors.SafetensorError as error:
        raise BundleError(f'{path} is not a safetensors file: {error}') from error
    return _config(path, metadata), {
        name: value.float() if value.is_floating_point() else value
        for name, value in state.items()}


def _config(path: Path, metadata: Dict[str, str]) -> dict:
    if 'config' in metadata:
        return json.loads(metadata['config'])
    if path.stem in ('detector', 'clip') and (path.parent / MANIFEST).is_file():
        return getattr(Bundle.open(path.parent).spec, path.stem).config
    raise BundleError(f'{path} lacks the `config` that `hoi-trainer fit` writes along, and is not '
                      'the detector or CLIP of a bundle')
