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
Which tensor of a released LAIN checkpoint every tensor of ours comes from.

`source_of` reads the table backwards: from a name of ours to the released name, so that the keys a
checkpoint must have follow from the networks that its sizes ask for, and nothing is listed twice.
"""

import re
from typing import Dict, Iterable, Mapping, NamedTuple, Optional, Tuple

from hoi_perception.core.errors import BundleError
import torch
from torch import Tensor

_PACKED = ('q', 'k', 'v')

_ATTENTION = {'self_attn': 'self_attn', 'encoder_attn': 'multihead_attn'}
_NORMS = {'encoder': {'self_attn_layer_norm': 'norm1', 'final_layer_norm': 'norm2'},
          'decoder': {'self_attn_layer_norm': 'norm1', 'encoder_attn_layer_norm': 'norm2',
                      'final_layer_norm': 'norm3'}}
_LAYER = r'model\.(encoder|decoder)\.layers\.(\d+)\.'
_RELEASED_LAYER = 'detector.transformer.{0}.layers.{1}.'

DETECTOR: Tuple[Tuple[str, str], ...] = (
    (r'model\.backbone\.model\.(.+)', 'detector.backbone.0.body.{0}'),
    (r'model\.input_projection\.(.+)', 'detector.input_proj.{0}'),
    (r'model\.query_position_embeddings\.(.+)', 'detector.query_embed.{0}'),
    (r'model\.decoder\.layernorm\.(.+)', 'detector.transformer.decoder.norm.{0}'),
    (r'class_labels_classifier\.(.+)', 'detector.class_embed.{0}'),
    (r'bbox_predictor\.(.+)', 'detector.bbox_embed.{0}'),
    *((_LAYER + rf'{ours}\.o_proj\.(.+)', _RELEASED_LAYER + theirs + '.out_proj.{2}')
      for ours, theirs in _ATTENTION.items()),
    *((_LAYER + rf'mlp\.fc{i}\.(.+)', _RELEASED_LAYER + f'linear{i}.{{2}}') for i in (1, 2)),
    *((rf'model\.({side})\.layers\.(\d+)\.{ours}\.(.+)', _RELEASED_LAYER + theirs + '.{2}')
      for side, norms in _NORMS.items() for ours, theirs in norms.items()))
"""Names of `DetrForObjectDetection` (transformers 5), released names of DETR."""

PACKED: Tuple[Tuple[str, str], ...] = tuple(
    (_LAYER + rf'{ours}\.([qkv])_proj\.(.+)', _RELEASED_LAYER + theirs + '.in_proj_{3}')
    for ours, theirs in _ATTENTION.items())
"""Projections that the released file packs as [q; k; v] along dimension 0; {2} is the part."""

CLIP: Tuple[Tuple[str, str], ...] = (
    (r'visual\.(.+)', 'clip_head.image_encoder.{0}'),
    (r'logit_scale', 'clip_head.logit_scale'),
    (r'((?:transformer|ln_final)\.(?:.+)|positional_embedding|text_projection)',
     'clip_head.text_encoder.{0}'))
"""Names of open_clip; LAIN never reads `logit_scale`, CLIP's own text does."""

HEAD: Tuple[Tuple[str, str], ...] = (
    (r'adapters\.(\d+)\.(.+)',
     'clip_head.image_encoder.transformer.resblocks.{0}.adaptermlp.{1}'),
    (r'((?:query_proj|priors_downproj)\..+)', '{0}'),
    (r'logit_scale', 'logit_scale_text'))
"""Names of `hoi_perception.networks.lain.Lain`."""

TEXT = {'ctx': 'clip_head.prompt_learner.ctx',
        'prefix': 'clip_head.prompt_learner.token_prefix',
        'suffix': 'clip_head.prompt_learner.token_suffix',
        'objects': 'object_embedding'}
"""What the text of the verbs and objects is computed from when the checkpoint is imported."""

UNUSED = {r'detector\.backbone\.0\.body\..+\.num_batches_tracked':
          'counts training steps; frozen batch normalisation does not read it'}
"""Released names that may be there and are left out, with the reason."""

TABLES: Dict[str, Tuple[Tuple[str, str], ...]] = {'detector': DETECTOR, 'clip': CLIP, 'head': HEAD}


class Source(NamedTuple):
    """A released name and, where it packs three tensors, which of them (0, 1, 2)."""

    key: str
    part: Optional[int] = None

    def of(self, state: Mapping[str, Tensor]) -> Tensor:
        """Return the tensor, its own part of a packed one."""
        value = state[self.key]
        return value if self.part is None else value.chunk(len(_PACKED))[self.part]

    def shape(self, ours: Iterable[int]) -> Tuple[int, ...]:
        """Return the shape that the released tensor must have for one of ours."""
        first, *rest = ours or (0,)
        if self.part is not None:
            return (first * len(_PACKED), *rest)
        return tuple(ours)


def source_of(name: str, table: str) -> Source:
    """Return where our tensor of that name comes from; table: detector, clip or head."""
    if table == 'detector':
        for pattern, released in PACKED:
            if found := re.fullmatch(pattern, name):
                return Source(released.format(*found.groups()), _PACKED.index(found.group(3)))
    for pattern, released in TABLES[table]:
        if found := re.fullmatch(pattern, name):
            return Source(released.format(*found.groups()))
    raise BundleError(f'the {table} tensor {name} has no counterpart in LAIN checkpoints: this '
                      'version of the libraries names it otherwise.')


def translate(names: Iterable[str], table: str, state: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Return tensors by our names from a released state dict that was checked."""
    return {name: source_of(name, table).of(state).to(torch.float32) for name in names}
