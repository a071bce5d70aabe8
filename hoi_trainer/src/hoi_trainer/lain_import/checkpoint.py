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
A released LAIN checkpoint: read without running code, its sizes, and what is wrong with it.

Every size is taken from shapes, so that smaller models of the same layout import as well. What
shapes do not tell is fixed as released: 8 heads in DETR, 64 channels per head in CLIP.
"""

from dataclasses import dataclass
import math
from pathlib import Path
import pickle
import re
from typing import Dict, List, Mapping, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.networks.lain import LainConfig
from hoi_perception.networks.lain_text import POSITIONS
import torch
from torch import Tensor

SETTINGS: Dict[str, Tuple[bool, int]] = {
    'rf_uc': (True, 24), 'nf_uc': (True, 36), 'uo': (True, 36), 'uv': (False, 36)}
"""Zero-shot setting: is the learned context one per verb, and its length in tokens."""

BACKBONES = {(2, 2, 2, 2): 'resnet26', (3, 4, 6, 3): 'resnet50', (3, 4, 23, 3): 'resnet101'}
"""timm's name by the number of bottleneck blocks per stage."""

_IMAGE = 'clip_head.image_encoder.'
_TEXT = 'clip_head.text_encoder.'
_ADAPTER = f'{_IMAGE}transformer.resblocks.0.adaptermlp.'


def read_checkpoint(path: Path) -> Dict[str, Tensor]:
    """
    Return the model's tensors of a file written by torch.save, on the CPU.

    Only tensors and plain containers are unpickled. Raises `BundleError` with one sentence.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError as error:
        raise BundleError(f"{path} does not exist: give the checkpoint that LAIN's authors "
                          'released.') from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, AttributeError,
            pickle.UnpicklingError) as error:
        reason = ' '.join(str(error).split())[:160]
        raise BundleError(f'{path} is not a checkpoint of tensors that torch can load without '
                          f'running code from it: {reason}') from error
    state = content.get('model_state_dict') if isinstance(content, dict) else None
    if not isinstance(state, dict):
        found = sorted(map(str, content))[:5] if isinstance(content, dict) \
            else type(content).__name__
        raise BundleError(f'{path} has no model_state_dict, found {found}: it is not a LAIN '
                          'checkpoint.')
    wrong = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise BundleError(f'{path}: {wrong[0]} is no tensor; it is not a LAIN checkpoint.')
    return state


@dataclass(frozen=True)
class Sizes:
    """
    Configurations of the networks that a checkpoint's shapes ask for.

    detector: of `transformers.DetrConfig`. clip: of open_clip, with the text tower. lain: of the
    head. classes: objects without the background. verbs, context: of the learned text.
    """

    detector: Dict
    clip: Dict
    lain: LainConfig
    classes: int
    verbs: int
    context: int


def _shape(state: Mapping[str, Tensor], key: str) -> Tuple[int, ...]:
    if key not in state:
        raise BundleError(f'the checkpoint has no {key}: it is not one of LAIN.')
    return tuple(state[key].shape)


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many numbered children a prefix has."""
    pattern = re.compile(re.escape(prefix) + r'(\d+)\.')
    return len({found.group(1) for key in state if (found := pattern.match(key))})


def sizes_of(state: Mapping[str, Tensor]) -> Sizes:
    """Read the sizes from the shapes; raises `BundleError` where they fit no LAIN."""
    try:
        classes = _shape(state, 'detector.class_embed.weight')[0] - 1
        suffix = _shape(state, 'clip_head.prompt_learner.token_suffix')
        return Sizes(_detector(state, classes), _clip(state), _lain(state), classes, suffix[0],
                     POSITIONS - 1 - suffix[1])
    except (IndexError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError("the checkpoint's tensors have other numbers of dimensions than "
                          f"LAIN's: {error}") from error


def _detector(state: Mapping[str, Tensor], classes: int) -> Dict:
    queries, width = _shape(state, 'detector.query_embed.weight')
    layers = {side: _count(state, f'detector.transformer.{side}.layers.')
              for side in ('encoder', 'decoder')}
    ffn = _shape(state, 'detector.transformer.decoder.layers.0.linear1.weight')[0]
    blocks = tuple(_count(state, f'detector.backbone.0.body.layer{i}.') for i in (1, 2, 3, 4))
    if blocks not in BACKBONES:
        raise BundleError(f"the detector's backbone has {blocks} blocks per stage, expected "
                          'those of a ResNet-50 (3, 4, 6, 3) or ResNet-101.')
    return {'num_labels': classes, 'num_queries': queries, 'd_model': width,
            'encoder_layers': layers['encoder'], 'decoder_layers': layers['decoder'],
            'encoder_ffn_dim': ffn, 'decoder_ffn_dim': ffn, 'encoder_attention_heads': 8,
            'decoder_attention_heads': 8, 'backbone_config': {
                'model_type': 'timm_backbone', 'backbone': BACKBONES[blocks],
                'out_indices': [1, 2, 3, 4], 'use_pretrained_backbone': False}}


def _clip(state: Mapping[str, Tensor]) -> Dict:
    width, _, patch, _ = _shape(state, f'{_IMAGE}conv1.weight')
    grid = math.isqrt(_shape(state, f'{_IMAGE}positional_embedding')[0] - 1)
    hidden = _shape(state, f'{_IMAGE}transformer.resblocks.0.mlp.c_fc.weight')[0]
    positions, text_width = _shape(state, f'{_TEXT}positional_embedding')
    return {
        'embed_dim': _shape(state, f'{_IMAGE}proj')[1], 'quick_gelu': True,
        'vision_cfg': {'image_size': grid * patch, 'patch_size': patch, 'width': width,
                       'layers': _count(state, f'{_IMAGE}transformer.resblocks.'),
                       'head_width': 64, 'mlp_ratio': hidden / width},
        'text_cfg': {'context_length': positions, 'vocab_size': 1, 'width': text_width,
                     'heads': max(1, text_width // 64),
                     'layers': _count(state, f'{_TEXT}transformer.resblocks.')}}


def _lain(state: Mapping[str, Tensor]) -> LainConfig:
    hidden, queries = _shape(state, 'query_proj.layers.0.weight')
    return LainConfig(
        adapter_dim=_shape(state, f'{_ADAPTER}down_proj.weight')[0], query_dim=queries // 2,
        object_dim=_shape(state, 'object_embedding')[1], hidden=hidden,
        context_queries=_shape(state, f'{_ADAPTER}prompt.weight')[0], official=True)


def check_setting(state: Mapping[str, Tensor], setting: str) -> None:
    """Raise `BundleError` where the learned context is not that of the zero-shot setting."""
    if setting not in SETTINGS:
        raise BundleError(f'unknown setting {setting!r}; choose {", ".join(SETTINGS)}.')
    shape = _shape(state, 'clip_head.prompt_learner.ctx')
    found = (len(shape) == 3, shape[-2] if len(shape) > 1 else 0)
    if found != SETTINGS[setting]:
        fits = ' or '.join(name for name, what in SETTINGS.items() if what == found)
        per_verb, length = SETTINGS[setting]
        raise BundleError(
            f'setting {setting} has a learned context of {length} tokens '
            f'{"for each verb" if per_verb else "shared by all verbs"}, but the checkpoint\'s has '
            f'shape {shape}: {f"that is {fits}" if fits else "that is no released setting"}.')


def check_keys(state: Mapping[str, Tensor], expected: Mapping[str, Tuple[int, ...]],
               unused: List[str]) -> None:
    """
    Raise `BundleError` naming keys that are missing, unexpected or of another shape.

    expected: shape by released name. unused: patterns of names that may be there.
    """
    problems = []
    missing = [key for key in expected if key not in state]
    if missing:
        problems.append(f'{len(missing)} keys are missing, among them {", ".join(missing[:3])}')
    extra = [key for key in state if key not in expected
             and not any(re.fullmatch(pattern, key) for pattern in unused)]
    if extra:
        problems.append(f'{len(extra)} keys are unexpected, among them {", ".join(extra[:3])}')
    shapes = [f'{key} is {tuple(state[key].shape)}, expected {shape}'
              for key, shape in expected.items()
              if key in state and tuple(state[key].shape) != tuple(shape)]
    if shapes:
        problems.append(f'{len(shapes)} shapes differ, among them {shapes[0]}')
    if problems:
        raise BundleError(f'the checkpoint is not one of LAIN: {"; ".join(problems)}.')


def check_values(state: Mapping[str, Tensor]) -> None:
    """Raise `BundleError` where a tensor holds NaN or infinity."""
    damaged = next((key for key, value in state.items() if not torch.isfinite(value).all()), None)
    if damaged:
        raise BundleError(f'{damaged} of the checkpoint holds NaN or infinity: the file is '
                          'damaged, or training failed.')
