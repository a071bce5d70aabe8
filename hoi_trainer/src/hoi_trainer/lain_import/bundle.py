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

"""From a released LAIN checkpoint to a bundle that the runtime opens like any other."""

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.evaluation.datasets.hico_names import hico_names
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import Lain
from hoi_perception.networks.lain_text import (
    prompt_tokens,
    TextTower,
    verb_features,
    VerbPrompts,
)
from hoi_perception.networks.transformers_detectors import TransformersDetector
from hoi_perception.runtime.bundle import (
    Bundle,
    BundleSpec,
    ClipSpec,
    DetectorSpec,
    HeadSpec,
    ImageSpec,
    VerbSpec,
    VocabularySpec,
    write_bundle,
)
from hoi_perception.runtime.prompts import lay_out_rows
from hoi_trainer.lain_import.checkpoint import (
    check_keys,
    check_setting,
    check_values,
    read_checkpoint,
    Sizes,
    sizes_of,
)
from hoi_trainer.lain_import.clip_tokens import token_embedding
from hoi_trainer.lain_import.keys import source_of, TEXT, translate, UNUSED
from pydantic import ValidationError
import torch
from torch import nn, Tensor

HEAD = 'lain'
ARCHITECTURE = 'DetrForObjectDetection'
TEMPLATE = 'a photo of a person is {verb} the object'
NO_INTERACTION = 'a photo of a person and the object with no interaction'
EXPONENT = 2.8
"""Power of the detector's scores at test time (lambda of the released code)."""
SHORT_SIDE, LONG_SIDE = 800, 1333
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, for DETR and, as the released code does, for CLIP."""

_NO_TEXT_TOWER = {'vocab_size': 1, 'width': 8, 'heads': 1, 'layers': 1}  # open_clip wants one


@dataclass(frozen=True)
class ImportRequest:
    """
    What to import.

    checkpoint: the released file. setting: rf_uc, nf_uc, uo or uv. clip: where the token
    embedding comes from (`clip_tokens.token_embedding`), None = only the checkpoint's own verbs.
    """

    checkpoint: Path
    setting: str
    clip: Optional[str] = None


class Imported(NamedTuple):
    """The bundle and what people should know about it, a sentence each."""

    bundle: Bundle
    notes: Tuple[str, ...]


class Networks(NamedTuple):
    """The networks of a checkpoint without weights (on the meta device)."""

    detector: nn.Module
    clip: nn.Module
    head: nn.Module

    def names(self) -> Dict[str, Dict[str, Tensor]]:
        """Return the tensors to fill, by table of keys and name."""
        clip = {name: value for name, value in self.clip.state_dict().items()
                if name != 'token_embedding.weight'}
        return {'detector': self.detector.state_dict(), 'clip': clip,
                'head': self.head.state_dict()}


def networks_of(sizes: Sizes) -> Networks:
    """Build the networks that the sizes ask for, without memory for their weights."""
    try:
        with torch.device('meta'):
            detector = TransformersDetector.from_config(ARCHITECTURE, sizes.detector).model
            clip: Any = build_clip(sizes.clip)
            return Networks(detector, clip, Lain(ClipTrunk(clip.visual), sizes.lain))
    except (ValueError, TypeError, RuntimeError) as error:
        raise BundleError(f"the checkpoint's sizes make no network: {error}") from error


def expected_keys(sizes: Sizes, networks: Networks) -> Dict[str, Tuple[int, ...]]:
    """Return the shape of every key that a checkpoint of these sizes must have."""
    width = sizes.clip['text_cfg']['width']
    rest = sizes.clip['text_cfg']['context_length'] - 1 - sizes.context
    expected: Dict[str, Tuple[int, ...]] = {
        TEXT['prefix']: (sizes.verbs, 1, width), TEXT['suffix']: (sizes.verbs, rest, width),
        TEXT['objects']: (sizes.classes + 1, sizes.lain.object_dim)}
    for table, tensors in networks.names().items():
        for name, value in tensors.items():
            source = source_of(name, table)
            expected[source.key] = source.shape(value.shape)
    return expected


def check_checkpoint(state: Dict[str, Tensor], setting: str) -> Tuple[Sizes, Networks]:
    """Return sizes and empty networks of a checkpoint whose every key is accounted for."""
    sizes = sizes_of(state)
    names = hico_names()
    if (sizes.verbs, sizes.classes) != (len(names.verbs), len(names.objects)):
        raise BundleError(f'the checkpoint has {sizes.verbs} verbs and {sizes.classes} objects, '
                          f'expected the {len(names.verbs)} and {len(names.objects)} of HICO-DET.')
    networks = networks_of(sizes)
    expected = expected_keys(sizes, networks)
    context = tuple(state[TEXT['ctx']].shape) if TEXT['ctx'] in state else ()
    per_verb = (sizes.verbs,) if len(context) == 3 else ()
    expected[TEXT['ctx']] = (*per_verb, sizes.context, sizes.clip['text_cfg']['width'])
    check_keys(state, expected, list(UNUSED))
    check_setting(state, setting)
    check_values(state)
    return sizes, networks


def import_lain(request: ImportRequest, directory: Path) -> Imported:
    """Read the checkpoint, check it and write the bundle; raises `BundleError`."""
    state = read_checkpoint(request.checkpoint)
    sizes, networks = check_checkpoint(state, request.setting)
    words = None if request.clip is None else token_embedding(request.clip)
    vocabulary = vocabulary_spec()
    clip_config, clip = _clip(sizes, networks, state, words)
    spec = _spec(request, sizes, networks, vocabulary, clip_config,
                 float(state['logit_scale_text'].float().exp()))
    phrases, _, _ = lay_out_rows(spec.core_vocabulary(), NO_INTERACTION)
    tensors = {name: translate(values, name, state) for name, values in networks.names().items()
               if name != 'clip'}
    text, notes = _text(sizes, networks, state, phrases, words)
    return Imported(write_bundle(directory, spec, {
        'detector.safetensors': {f'model.{k}': v for k, v in tensors['detector'].items()},
        'clip.safetensors': clip, f'heads/{HEAD}.safetensors': tensors['head'],
        f'heads/{HEAD}.text.safetensors': text}, _card(spec, notes)), tuple(notes))


def vocabulary_spec() -> VocabularySpec:
    """Return HICO-DET's names, the valid objects of each verb and LAIN's prompts."""
    names = hico_names()
    valid: List[List[str]] = [[] for _ in names.verbs]
    for verb, thing in names.combinations.tolist():
        valid[verb].append(names.objects[thing])
    return VocabularySpec(
        objects=names.objects, human=names.objects[names.human], template=TEMPLATE,
        background=NO_INTERACTION, verbs=tuple(
            VerbSpec(name=name, phrase=phrase, objects=tuple(objects))
            for name, phrase, objects in zip(names.verbs, names.phrases, valid)))


def detector_image() -> ImageSpec:
    """Return what the released code does to images for DETR."""
    return ImageSpec(height=SHORT_SIDE, width=LONG_SIDE, resize='shortest_edge',
                     interpolation='bicubic', mean=MEAN, std=STD)


def clip_image(side: int) -> ImageSpec:
    """Return what the released code does to DETR's image for CLIP."""
    return ImageSpec(height=side, width=side, interpolation='bicubic', mean=MEAN, std=STD)


def _clip(sizes: Sizes, networks: Networks, state: Dict[str, Tensor],
          words: Optional[Tensor]) -> Tuple[Dict, Dict[str, Tensor]]:
    """Return configuration and weights; without a token embedding there is no text tower."""
    tensors = translate(networks.names()['clip'], 'clip', state)
    text = sizes.clip['text_cfg']
    if words is not None:
        if words.shape[1] != text['width']:
            raise BundleError(f'the token embedding of --clip has width {words.shape[1]}, the '
                              f'checkpoint\'s text {text["width"]}: it is another CLIP.')
        config = {**sizes.clip, 'text_cfg': {**text, 'vocab_size': len(words)}}
        return config, {**tensors, 'token_embedding.weight': words}
    config = {**sizes.clip, 'text_cfg': {**text, **_NO_TEXT_TOWER}}
    names = build_clip(config).state_dict()
    return config, {name: tensors[name] if _is_image_part(name) else torch.zeros_like(value)
                    for name, value in names.items()}


def _is_image_part(name: str) -> bool:
    return name.startswith('visual.') or name == 'logit_scale'


@torch.no_grad()
def _text(sizes: Sizes, networks: Networks, state: Dict[str, Tensor], phrases: List[str],
          words: Optional[Tensor]) -> Tuple[Dict[str, Tensor], List[str]]:
    """Return the head's text file and what is to be said about it."""
    text = {name: state[key].float() for name, key in TEXT.items()}
    width = sizes.clip['text_cfg']['width']
    tower = TextTower(width, sizes.clip['text_cfg']['layers'], sizes.clip['embed_dim'],
                      sizes.clip['text_cfg']['context_length'])
    tower.load_state_dict(translate(tower.state_dict(), 'clip', state))
    tokens = prompt_tokens(phrases, sizes.context)
    prompts = VerbPrompts(text['ctx'], text['prefix'], text['suffix'], tokens.argmax(-1))
    saved = {'verbs': verb_features(tower.eval(), prompts), 'objects': text['objects']}
    if words is None:
        return saved, ['Without --clip only the 117 verbs of HICO-DET are accepted, because the '
                       'checkpoint holds no token embedding.']
    saved['context'] = text['ctx']
    notes = [] if text['ctx'].ndim == 2 else [
        'Verbs that are not of HICO-DET use the mean of the learned contexts, which is an '
        'approximation.']
    fixed = words[tokens]
    off = max(float((fixed[:, :1] - text['prefix']).abs().max()),
              float((fixed[:, 1 + sizes.context:] - text['suffix']).abs().max()))
    if off > 1e-3:
        notes.append(f"The token embedding of --clip differs from the checkpoint's own prompts "
                     f'by up to {off:.3g}: it is probably of another CLIP, and new verbs will '
                     'mean little.')
    return saved, notes


def _spec(request: ImportRequest, sizes: Sizes, networks: Networks, vocabulary: VocabularySpec,
          clip_config: Dict, temperature: float) -> BundleSpec:
    config = json.loads(networks.detector.config.to_json_string(use_diff=False))
    try:
        return BundleSpec(
            name=f'lain_{request.setting}', licence='That of the released checkpoint (LAIN: MIT).',
            provenance=f'LAIN, arXiv 2505.19503, HICO-DET setting {request.setting}: imported '
                       f'from {request.checkpoint.name}.',
            detector=DetectorSpec(
                kind='transformers', architecture=ARCHITECTURE, config=config, suppress=True,
                clip_boxes=False, top_k=sizes.detector['num_queries'],
                classes=vocabulary.objects, preprocessing=detector_image()),
            clip=ClipSpec(config=clip_config, after_detector=True, preprocessing=clip_image(
                sizes.clip['vision_cfg']['image_size'])),
            heads={HEAD: HeadSpec(
                kind='lain', config=sizes.lain.to_mapping(), text='lain', activation='sigmoid',
                temperature=temperature, human_exponent=EXPONENT, object_exponent=EXPONENT)},
            vocabulary=vocabulary)
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(f'the checkpoint gives {".".join(map(str, first["loc"]))} = '
                          f'{first["input"]!r:.40}: {first["msg"]}.') from error


def _card(spec: BundleSpec, notes: List[str]) -> str:
    points = ''.join(f'- {note}\n' for note in notes)
    return (f"# {spec.name}\n\n{spec.provenance}\n\nDETR-R50, CLIP's image tower with LAIN's "
            "adapters, and the text of HICO-DET's verbs, in float32.\n\n"
            f'{points}')
