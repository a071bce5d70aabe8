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
The token embedding that LAIN checkpoints lack, from the CLIP model they were trained from.

Only with it can phrases be encoded that are not among the checkpoint's own.
"""

from pathlib import Path
from typing import Any, Dict
import warnings

from hoi_perception.core.errors import BundleError
from hoi_perception.runtime.bundle_build import download_clip
import open_clip
from safetensors import SafetensorError
from safetensors.torch import load_file
import torch
from torch import Tensor

KEYS = ('token_embedding.weight', 'text.token_embedding.weight', 'module.token_embedding.weight')
DEFAULT_TAG = 'openai'


def token_embedding(source: str) -> Tensor:
    """
    Return the (vocabulary, width) float32 token embedding of a CLIP model.

    source: a weights file (OpenAI's archive, a state dict of OpenAI's or open_clip's names,
    safetensors), or an open_clip model name with an optional pretrained tag after a colon
    ('ViT-B-16:openai'), which is downloaded. Raises `BundleError`.
    """
    path = Path(source)
    state = _read(path if path.is_file() else _downloaded(source))
    found = next((state[key] for key in KEYS if isinstance(state.get(key), Tensor)), None)
    if found is None or found.ndim != 2:
        raise BundleError(f'--clip {source} holds no token_embedding.weight: give CLIP weights '
                          'with their text tower.')
    return found.detach().float()


def _downloaded(source: str) -> Path:
    name, _, tag = source.partition(':')
    pretrained = open_clip.get_pretrained_cfg(name, tag or DEFAULT_TAG)
    if not pretrained:
        raise BundleError(f'--clip {source} is neither a file nor a model of open_clip with '
                          'pretrained weights; LAIN was trained from ViT-B-16:openai.')
    return Path(download_clip(pretrained, tag or DEFAULT_TAG))


def _unpickled(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # both calls advise against archives, which OpenAI gives
        try:
            return torch.load(path, map_location='cpu', weights_only=True)
        except RuntimeError as error:
            if 'TorchScript' not in str(error):
                raise
            # Only the archive's tensors are taken, none of its code is called.
            return torch.jit.load(path, map_location='cpu').state_dict()


def _read(path: Path) -> Dict[str, Any]:
    try:
        if path.suffix == '.safetensors':
            return load_file(path)
        content = _unpickled(path)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, AttributeError,
            SafetensorError) as error:
        reason = ' '.join(str(error).split())[:160]
        raise BundleError(f'CLIP weights {path} cannot be read: {reason}') from error
    except Exception as error:  # pickle.UnpicklingError and what torch makes of it
        reason = ' '.join(str(error).split())[:160]
        raise BundleError(f'CLIP weights {path} are refused, because loading them would run code '
                          f'from the file: {reason}') from error
    content = content.get('state_dict', content) if isinstance(content, dict) else None
    if not isinstance(content, dict):
        raise BundleError(f'CLIP weights {path} hold no state dict.')
    return content
