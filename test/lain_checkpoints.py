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

"""Files laid out as LAIN's released checkpoints, with random weights and smaller sizes."""

from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterable, Tuple

from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import Lain, LainConfig
from hoi_perception.networks.transformers_detectors import TransformersDetector
from hoi_trainer.lain_import.bundle import ARCHITECTURE, expected_keys, Networks, networks_of
from hoi_trainer.lain_import.checkpoint import Sizes
from hoi_trainer.lain_import.keys import source_of, TEXT
import torch
from torch import Tensor

VERBS, OBJECTS = 117, 80
WORDS = 49408

SMALL = Sizes(
    detector={'num_labels': OBJECTS, 'num_queries': 24, 'd_model': 32, 'encoder_layers': 1,
              'decoder_layers': 2, 'encoder_ffn_dim': 48, 'decoder_ffn_dim': 48,
              'encoder_attention_heads': 8, 'decoder_attention_heads': 8,
              'backbone_config': {'model_type': 'timm_backbone', 'backbone': 'resnet26',
                                  'out_indices': [1, 2, 3, 4], 'use_pretrained_backbone': False}},
    clip={'embed_dim': 32, 'quick_gelu': True,
          'vision_cfg': {'image_size': 64, 'patch_size': 16, 'width': 128, 'layers': 2,
                         'head_width': 64, 'mlp_ratio': 4.0},
          'text_cfg': {'context_length': 77, 'vocab_size': 1, 'width': 64, 'heads': 1,
                       'layers': 2}},
    lain=LainConfig(adapter_dim=8, query_dim=32, object_dim=32, hidden=16, official=True),
    classes=OBJECTS, verbs=VERBS, context=24)


def random_networks(sizes: Sizes) -> Networks:
    """Return the networks of that size, initialised as for training, adapters at work."""
    detector = TransformersDetector.from_config(ARCHITECTURE, sizes.detector).model
    with torch.no_grad():
        detector.class_labels_classifier.bias[0] += 4  # people everywhere
    clip = build_clip(sizes.clip)
    head = Lain(ClipTrunk(clip.visual), sizes.lain)
    for adapter in head.adapters:
        torch.nn.init.constant_(adapter.scale, 0.3)
        torch.nn.init.constant_(adapter.scale2, 0.3)
    return Networks(detector, clip, head)


def released(tensors: Dict[str, Dict[str, Tensor]]) -> Dict[str, Tensor]:
    """Return tensors of ours, by table and name, under their released names."""
    state: Dict[str, Tensor] = {}
    parts: Dict[str, Dict[int, Tensor]] = {}
    for table, names in tensors.items():
        for name, value in names.items():
            source = source_of(name, table)
            if source.part is None:
                state[source.key] = value.clone()
            else:
                parts.setdefault(source.key, {})[source.part] = value
    return {**state, **{key: torch.cat([found[i] for i in range(3)])
                        for key, found in parts.items()}}


def random_checkpoint(setting_context: Tuple[bool, int] = (True, 24), sizes: Sizes = SMALL,
                      seed: int = 0) -> Dict[str, Tensor]:
    """Return a model state dict; setting_context: (context per verb, length of the context)."""
    torch.manual_seed(seed)
    per_verb, length = setting_context
    sizes = replace(sizes, context=length)
    state = released(random_networks(sizes).names())
    expected = expected_keys(sizes, networks_of(sizes))
    for key in (TEXT['prefix'], TEXT['suffix'], TEXT['objects']):
        state[key] = torch.randn(expected[key]) * 0.3
    context = torch.randn(VERBS, length, sizes.clip['text_cfg']['width']) * 0.3
    state[TEXT['ctx']] = context if per_verb else context[0]
    return state


def save(state: Dict[str, Tensor], path: Path, leave_out: Iterable[str] = ()) -> Path:
    """Write the file as LAIN's training does."""
    kept = {key: value for key, value in state.items() if key not in set(leave_out)}
    torch.save({'model_state_dict': kept, 'epoch': 20, 'iteration': 93820,
                'optim_state_dict': {'state': {}, 'param_groups': [{'lr': 1e-3}]},
                'scaler_state_dict': {}, 'scheduler_state_dict': {'step_size': 10}}, path)
    return path
