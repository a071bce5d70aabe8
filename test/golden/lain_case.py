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

"""A case of the official LAIN: its inputs and outputs, and our head with its weights."""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
import json
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

from hoi_perception.core.boxes import nms
from hoi_perception.core.pairs import enumerate_pairs, select_instances
from hoi_perception.evaluation.datasets.hico_names import hico_names
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import Lain, LainConfig, LainInputs
from hoi_perception.networks.lain_text import prompt_tokens, TextTower, VerbPrompts
import numpy as np
import pytest
from safetensors.torch import load_file
from shared_data import golden_case, golden_root
import torch
from torch import Tensor

IMAGE = 'clip_head.image_encoder.'
TEXT = 'clip_head.text_encoder.'
PROMPTS = 'clip_head.prompt_learner.'
ADAPTER = '.adaptermlp.'
UNUSED = ('clip_head.logit_scale', 'object_embedding')
HUMAN = 0


class Boxes(NamedTuple):
    """Detections that take part, humans first: boxes xyxy in network pixels."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    queries: Tensor


class Models(NamedTuple):
    """Networks with the weights of a case; `text` and `prompts` are None without their file."""

    trunk: ClipTrunk
    head: Lain
    object_embeddings: Tensor
    text: 'TextTower | None'
    prompts: 'VerbPrompts | None'


@dataclass(frozen=True)
class LainCase:
    """One entry of an index file."""

    directory: Path
    prefix: str
    entry: Tuple[Tuple[str, object], ...]

    def __getitem__(self, key: str) -> object:
        return dict(self.entry)[key]

    @property
    def tensors(self) -> Dict[str, Tensor]:
        return _tensors(golden_case(self.directory / str(self['file'])))

    @property
    def models(self) -> Models:
        golden_case(self.directory / f'{self.prefix}_weights_{self["weights"]}_visual.safetensors')
        return _models(self.directory, self.prefix, int(str(self['weights'])))

    def require(self, *names: str) -> List[Tensor]:
        """Return these tensors, or skip the test where the file holds a subset without them."""
        tensors = self.tensors
        missing = [name for name in names if name not in tensors]
        if missing:
            pytest.skip(f'{self["file"]} does not hold {missing}')
        return [tensors[name] for name in names]


def lain_cases() -> list:
    """Return a pytest parameter per case of every index file, one that skips where none is."""
    cases = []
    for index in sorted(golden_root().glob('lain/*_index.json')):
        prefix = index.name[:-len('_index.json')]
        for entry in json.loads(index.read_text())['cases']:
            case = LainCase(index.parent, prefix, tuple(sorted(entry.items())))
            cases.append(pytest.param(case, id=f'{prefix}-{entry["case"]}'))
    absent = LainCase(golden_root() / 'lain', 'small', (('file', 'absent'), ('weights', 0)))
    return cases or [pytest.param(absent, id='absent')]


def released_name(name: str, owner: str) -> str:
    """Return the key in a released checkpoint of a parameter of 'trunk', 'head', ... here."""
    if owner == 'head' and name.startswith('adapters.'):
        _, block, rest = name.split('.', 2)
        return f'{IMAGE}transformer.resblocks.{block}{ADAPTER}{rest}'
    if owner == 'head':
        return {'logit_scale': 'logit_scale_text'}.get(name, name)
    return {'trunk': IMAGE, 'text': TEXT, 'prompts': PROMPTS}[owner] + name


@lru_cache(maxsize=2)
def _tensors(path: Path) -> Dict[str, Tensor]:
    return load_file(path)


@lru_cache(maxsize=1)
def _models(directory: Path, prefix: str, seed: int) -> Models:
    config = json.loads((directory / f'{prefix}_index.json').read_text())['config']
    weights = load_file(directory / f'{prefix}_weights_{seed}_visual.safetensors')
    patch = weights[f'{IMAGE}conv1.weight'].shape[-1]
    grid = round((len(weights[f'{IMAGE}positional_embedding']) - 1) ** 0.5)
    clip = build_clip({
        'embed_dim': config['embed'], 'quick_gelu': True,
        'vision_cfg': {'image_size': grid * patch, 'patch_size': patch, 'head_width': 64,
                       'width': config['width'], 'layers': config['layers']},
        'text_cfg': {'context_length': 4, 'vocab_size': 8, 'width': 8, 'heads': 1, 'layers': 1}})
    trunk = ClipTrunk(clip.visual)
    head = Lain(trunk, LainConfig(
        adapter_dim=config['adapt'], object_dim=config['embed'],
        query_dim=weights['query_proj.layers.0.weight'].shape[1] // 2,
        hidden=len(weights['query_proj.layers.0.weight']), official=True)).eval()
    _fill(trunk.visual, 'trunk', weights)
    _fill(head, 'head', weights)
    assert set(weights) <= set(UNUSED), f'keys without a place: {sorted(weights)[:5]}'
    object_embeddings = weights['object_embedding']
    return Models(trunk, head, object_embeddings, *_text(directory, prefix, seed, config))


def _text(directory: Path, prefix: str, seed: int, config: dict) -> tuple:
    path = directory / f'{prefix}_weights_{seed}_text.safetensors'
    if not path.is_file():
        return None, None
    weights = load_file(path)
    names = [weights.pop(f'{PROMPTS}{name}') for name in ('ctx', 'token_prefix', 'token_suffix')]
    tokens = weights.pop('_tokenized_prompts', None)
    if tokens is None:
        phrases = [f'a photo of a person is {verb} the object' for verb in hico_names().phrases]
        tokens = prompt_tokens(phrases, names[0].shape[-2])
    tower = TextTower(config['twidth'], config['tlayers'], config['embed']).eval()
    _fill(tower, 'text', weights)
    assert not weights, f'keys without a place: {sorted(weights)[:5]}'
    return tower, VerbPrompts(*names, end=tokens.argmax(-1))


def _fill(module: torch.nn.Module, owner: str, weights: Dict[str, Tensor]) -> None:
    """Load the module strictly, taking its keys out of the weights."""
    module.load_state_dict({name: weights.pop(released_name(name, owner))
                            for name in module.state_dict()})


def official_proposals(tensors: Dict[str, Tensor], side: float) -> Boxes:
    """Return what takes part, from raw detector outputs, with the functions of our runtime."""
    scores, labels = tensors['in.pred_logits'].softmax(-1)[:, :-1].max(-1)
    centre, size = tensors['in.pred_boxes'].split(2, -1)
    boxes = torch.cat([centre - size / 2, centre + size / 2], -1) * side
    arrays = (x.numpy() for x in (boxes, scores, labels))
    kept = nms(*arrays, threshold=0.5)
    chosen = kept[select_instances(scores.numpy()[kept], labels.numpy()[kept], human=HUMAN,
                                   threshold=0.2, least=3, most_humans=15, most_objects=15)]
    return Boxes(boxes[chosen], scores[chosen], labels[chosen], tensors['in.feats'][chosen])


def inputs_of(case: LainCase) -> LainInputs:
    """Return the head's inputs, a batch of one without padding."""
    tensors, models = case.tensors, case.models
    if 'in.pred_logits' in tensors:
        found = official_proposals(tensors, models.trunk.visual.image_size[1])
    else:
        found = Boxes(*(tensors[f'props.{name}']
                        for name in ('boxes', 'scores', 'labels', 'feat')))
    human, thing = (torch.from_numpy(index) for index in
                    enumerate_pairs((found.labels == HUMAN).numpy()))
    whole = torch.ones(1, len(found.boxes), dtype=torch.bool)
    return LainInputs(
        tensors['in.image'][None], found.boxes[None], found.scores[None], found.labels[None],
        whole, found.queries[None], human[None], thing[None],
        torch.ones(1, len(human), dtype=torch.bool), models.object_embeddings)


def allowed_verbs() -> Tensor:
    """Return (80, 117) bool: HICO-DET has a class of this object and verb."""
    names = hico_names()
    allowed = np.zeros((len(names.objects), len(names.verbs)), dtype=bool)
    allowed[names.combinations[:, 1], names.combinations[:, 0]] = True
    return torch.from_numpy(allowed)


@contextmanager
def watching(**modules: torch.nn.Module) -> Iterator[Dict[str, Tuple[Tensor, Tensor]]]:
    """Record (first input, output) of the last call of each module."""
    seen: Dict[str, Tuple[Tensor, Tensor]] = {}

    def hook(name: str):
        def keep(module, arguments, output) -> None:
            seen[name] = (arguments[0], output)
        return keep
    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
