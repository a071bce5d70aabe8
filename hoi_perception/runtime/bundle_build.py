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
A bundle from models that exist: a transformers detector and an open_clip model, no training.

Names are fetched from their hubs by the libraries themselves; local directories and files need no
network. Weights are read as safetensors, or as a pickle restricted to tensors (`weights_only`).
"""

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.core.vocabulary import parse_verbs, Verb
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.transformers_detectors import (
    architecture_class,
    ARCHITECTURES,
    TransformersDetector,
)
from hoi_perception.runtime.bundle import (
    Bundle,
    BundleSpec,
    ClipSpec,
    DetectorSpec,
    HeadSpec,
    ImageSpec,
    resource_path,
    VerbSpec,
    VocabularySpec,
    write_bundle,
)
import open_clip
import torch
from torch import nn
import transformers
import yaml

DEFAULT_VERBS = 'config/everyday_verbs.yaml'
MEANINGLESS = {'', 'n/a', 'na', 'background', '__background__', 'no-object'}


@dataclass(frozen=True)
class BuildRequest:
    """
    What to build.

    detector: hub id or local directory. clip: open_clip model name or a JSON configuration file.
    clip_weights: pretrained tag or weights file. verbs: text or YAML file (None = the list in
    config/). human: name of the class that acts. detector_size: (height, width) of the network
    image, clip_size: its side; None = the model's own. licence, provenance: what the bundle says,
    '' = what can be told from the names of its parts.
    """

    detector: str
    clip: str
    clip_weights: str
    name: str
    verbs: Optional[Path] = None
    human: str = 'person'
    detector_size: Optional[Tuple[int, int]] = None
    clip_size: Optional[int] = None
    top_k: int = 100
    half: bool = True
    licence: str = ''
    provenance: str = ''


def _sentence(error: BaseException) -> str:
    text = ' '.join(str(error).split())
    return text[:300] or type(error).__name__


def load_detector(source: str, top_k: int) -> Tuple[TransformersDetector, DetectorSpec]:
    """Return the detector with its weights and its description. Raises `BundleError`."""
    try:
        config = transformers.AutoConfig.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f'detector {source!r} has no configuration that transformers '
                          f'{transformers.__version__} can read: {_sentence(error)}') from error
    names = config.architectures or []
    name = next((n for n in names if n in ARCHITECTURES), names[0] if names else '')
    try:
        kind = architecture_class(name)
    except ValueError as error:
        raise BundleError(f'detector {source!r}: {error}') from error
    try:
        model, report = kind.from_pretrained(source, use_safetensors=True,
                                             output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(f'detector {source!r} has no weights that can be loaded as '
                          f'safetensors: {_sentence(error)}') from error
    if report['missing_keys']:
        raise BundleError(f'detector {source!r} lacks weights, among them '
                          f'{sorted(report["missing_keys"])[0]}: it is not a trained {name}.')
    labels = config.id2label
    classes = tuple('' if str(labels[i]).casefold() in MEANINGLESS else str(labels[i])
                    for i in range(len(labels)))
    spec = DetectorSpec(
        kind='transformers', architecture=name, classes=classes, top_k=top_k,
        config=json.loads(model.config.to_json_string(use_diff=False)),
        preprocessing=_detector_image(source, name))
    return TransformersDetector(model.eval(), top_k), spec


def _detector_image(source: str, architecture: str) -> ImageSpec:
    """Read the size and normalisation that the model's own image processor uses."""
    known: Dict[str, Any] = {}
    try:
        from transformers.image_processing_base import ImageProcessingMixin
        known, _ = ImageProcessingMixin.get_image_processor_dict(source)
    except (ImportError, OSError, ValueError):
        pass  # an old checkpoint without preprocessor_config.json: the family's defaults
    plain = architecture.startswith(('RTDetr', 'DFine'))
    if known.get('do_normalize', not plain):
        mean = tuple(known.get('image_mean') or (0.485, 0.456, 0.406))
        std = tuple(known.get('image_std') or (0.229, 0.224, 0.225))
    else:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    size = known.get('size') or ({'height': 640, 'width': 640} if plain else {})
    if 'height' in size:
        height, width = size['height'], size['width']
    else:
        # Shortest-edge rules give another shape per camera; a fixed one must suit them all, and
        # most cameras are 4:3 or wider.
        height = size.get('shortest_edge', 800)
        width = min(size.get('longest_edge', 1333), round(height * 4 / 3))
    return ImageSpec(height=height, width=width, mean=mean, std=std)


def clip_configuration(name: str) -> Dict[str, Any]:
    """Return open_clip's configuration of a model name or JSON file; raises `BundleError`."""
    if name.endswith('.json'):
        try:
            config = json.loads(Path(name).read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise BundleError(f'CLIP configuration {name} cannot be read: '
                              f'{_sentence(error)}') from error
        config = config.get('model_cfg', config) if isinstance(config, dict) else None
    else:
        config = open_clip.get_model_config(name)
    if not isinstance(config, dict) or 'vision_cfg' not in config:
        raise BundleError(f'CLIP model {name!r} is neither a model name of open_clip nor a JSON '
                          'file with such a configuration; try ViT-B-16.')
    return {key: value for key, value in config.items() if value is not None}


def load_clip(name: str, weights: str, size: Optional[int]) -> Tuple[nn.Module, ClipSpec]:
    """Return the CLIP model with its weights and its description. Raises `BundleError`."""
    config = clip_configuration(name)
    pretrained = None
    if not Path(weights).is_file():
        pretrained = open_clip.get_pretrained_cfg(name, weights)
        if not pretrained:
            tags = ', '.join(open_clip.list_pretrained_tags_by_model(name)) or 'none'
            raise BundleError(f'CLIP weights {weights!r} are neither a file nor a pretrained tag '
                              f'of {name} (known tags: {tags}).')
        if pretrained.get('quick_gelu'):
            config['quick_gelu'] = True
    if size:
        config['vision_cfg'] = {**config['vision_cfg'], 'image_size': size}
    try:
        model: Any = build_clip(config)
        ClipTrunk(model.visual)
    except ValueError as error:
        raise BundleError(f'CLIP model {name!r}: {error}') from error
    path = weights if pretrained is None else download_clip(pretrained, weights)
    try:
        open_clip.load_checkpoint(model, path, strict=True, weights_only=True)
    except Exception as error:
        raise BundleError(f'CLIP weights {path} do not load into {name}: '
                          f'{_sentence(error)}') from error
    side = config['vision_cfg']['image_size']
    height, width = side if isinstance(side, (list, tuple)) else (side, side)
    mean = (pretrained or {}).get('mean') or open_clip.OPENAI_DATASET_MEAN
    std = (pretrained or {}).get('std') or open_clip.OPENAI_DATASET_STD
    return model, ClipSpec(config=config, preprocessing=ImageSpec(
        height=height, width=width, mean=tuple(mean), std=tuple(std)))


def download_clip(pretrained: Dict[str, Any], tag: str) -> str:
    """Return the path of downloaded open_clip weights; raises `BundleError`."""
    try:
        return str(open_clip.download_pretrained(pretrained, prefer_hf_hub=True))
    except Exception as error:
        raise BundleError(f'CLIP weights {tag!r} cannot be downloaded: {_sentence(error)} Give '
                          'a local weights file instead.') from error


def read_verbs(path: Path) -> Tuple[Verb, ...]:
    """
    Read a list of verbs.

    Text: one per line as `verb` or `verb: object, object`, `#` begins a comment. YAML: a list of
    the same strings, or a mapping from verb to {phrase, objects}. Raises `BundleError`.
    """
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f'list of verbs {path} cannot be read: {_sentence(error)}') from error
    if path.suffix not in ('.yaml', '.yml'):
        lines = (line.partition('#')[0].strip() for line in text.splitlines())
        return parse_verbs([line for line in lines if line])
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BundleError(f'{path} is not YAML: {_sentence(error)}') from error
    if isinstance(content, list):
        return parse_verbs(content)
    if not isinstance(content, dict):
        raise BundleError(f'{path} holds {type(content).__name__}, expected a list or a mapping '
                          'of verbs.')
    return _verbs_from_mapping(path, content)


def _verbs_from_mapping(path: Path, content: Dict[Any, Any]) -> Tuple[Verb, ...]:
    entries: List[str] = []
    phrases: Dict[str, str] = {}
    for name, details in content.items():
        details = {} if details is None else details
        if not isinstance(details, dict) or set(details) - {'phrase', 'objects'}:
            raise BundleError(f'{path}: {name!r} must map to phrase and objects, got {details!r}.')
        objects = details.get('objects')
        if objects is not None and not isinstance(objects, list):
            raise BundleError(f'{path}: objects of {name!r} must be a list, got {objects!r}.')
        entries.append(f'{name}: {", ".join(map(str, objects))}' if objects else str(name))
        if details.get('phrase'):
            phrases[str(name)] = str(details['phrase'])
    return parse_verbs(entries, phrases)


def build_bundle(request: BuildRequest, directory: Path) -> Bundle:
    """Assemble and write the bundle; raises `HoiError` with one sentence on bad input."""
    path = request.verbs or resource_path(DEFAULT_VERBS)
    if path is None:
        raise BundleError(f'{DEFAULT_VERBS} is not installed: give a list of verbs (--verbs).')
    verbs = read_verbs(Path(path))
    detector, detector_spec = load_detector(request.detector, request.top_k)
    clip, clip_spec = load_clip(request.clip, request.clip_weights, request.clip_size)
    if request.detector_size:
        height, width = request.detector_size
        detector_spec = detector_spec.model_copy(update={
            'preprocessing': ImageSpec(**{**detector_spec.preprocessing.model_dump(),
                                          'height': height, 'width': width})})
    objects = tuple(dict.fromkeys(name for name in detector_spec.classes if name))
    if request.human not in objects:
        raise BundleError(f'the detector has no class {request.human!r}; it has '
                          f'{", ".join(objects[:12])}{", ..." if len(objects) > 12 else ""}. '
                          'Name the class that acts with --human.')
    spec = BundleSpec(
        name=request.name,
        licence=request.licence or 'That of the models it was built from; see provenance.',
        provenance=request.provenance or f'Detector {request.detector}; CLIP {request.clip}, '
        f'weights {Path(request.clip_weights).name}. Built without training.',
        detector=detector_spec, clip=clip_spec,
        heads={'defr': HeadSpec(human_exponent=1.0, object_exponent=1.0)},
        vocabulary=VocabularySpec(objects=objects, human=request.human, verbs=tuple(
            VerbSpec(name=v.name, phrase=v.phrase, objects=v.objects) for v in verbs)))
    tensors = {'detector.safetensors': detector.state_dict(),
               'clip.safetensors': clip.state_dict()}
    if request.half:
        tensors = {name: {k: _halved(v) for k, v in state.items()}
                   for name, state in tensors.items()}
    return write_bundle(directory, spec, tensors)


def _halved(value: torch.Tensor) -> torch.Tensor:
    """Return the tensor as float16 where it fits, else as it is."""
    if value.dtype != torch.float32 or value.abs().max() > 6e4:
        return value
    return value.half()
