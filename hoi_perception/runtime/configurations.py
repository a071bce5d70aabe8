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

"""Combinations that users can build a bundle of, made with random weights and no download."""

from pathlib import Path
from typing import Any, Dict, Mapping, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.networks.cl_hoi import ClHoiConfig
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import LainConfig
from hoi_perception.networks.rmlr import RmlrConfig
from hoi_perception.networks.seg2hoi import Seg2Hoi, Seg2HoiConfig
from hoi_perception.networks.seg_trunk import SEGMENTERS
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
from hoi_perception.runtime.bundle_build import clip_configuration
from hoi_perception.runtime.heads import HEADS
from hoi_perception.runtime.loading import build_detector
import open_clip
import torch
from torch import nn
import yaml

FILE = 'config/ready_configurations.yaml'
# COCO's 80 classes, of which only the first needs its name here.
OBJECTS = ('person', *(f'thing_{index}' for index in range(1, 80)))


def configurations() -> Dict[str, Any]:
    """Return the listed detectors, CLIP models and heads by name; raises `HoiError`."""
    path = resource_path(FILE)
    if path is None:
        raise HoiError(f'{FILE} is not installed: reinstall hoi_perception.')
    listed: Dict[str, Any] = yaml.safe_load(path.read_text(encoding='utf-8'))
    return listed


def configuration_names() -> Tuple[str, ...]:
    """Return every DETECTOR+CLIP+HEAD; Seg2HOI goes with detectors that give masks only."""
    listed = configurations()
    return tuple(f'{detector}+{clip}+{head}'
                 for detector, settings in listed['detectors'].items()
                 for clip in listed['clips'] for head, details in listed['heads'].items()
                 if details['kind'] != 'seg2hoi' or settings['architecture'] in SEGMENTERS)


def random_bundle(name: str, directory: Path) -> Bundle:
    """
    Write a bundle of the named configuration with random weights and return it.

    Float16 weights, as `hoi bundle build` writes them; 0.3 to 0.9 GB. Raises `HoiError` for an
    unknown name.
    """
    if name not in configuration_names():
        listed = configurations()
        raise HoiError(f'configuration {name!r} is not listed; give DETECTOR+CLIP+HEAD of '
                       f'{", ".join(listed["detectors"])}; {", ".join(listed["clips"])}; '
                       f'{", ".join(listed["heads"])} (seg2hoi needs a detector with masks).')
    torch.manual_seed(0)
    spec = _spec(name)
    detector: nn.Module = build_detector(spec)
    clip: Any = build_clip(spec.clip.config)
    tensors = {'detector.safetensors': detector.state_dict(),
               'clip.safetensors': clip.state_dict()}
    for head, details in spec.heads.items():
        if details.weight_files(head):
            network = (Seg2Hoi(Seg2HoiConfig.from_mapping(details.config))
                       if details.kind == 'seg2hoi' else
                       HEADS[details.kind](ClipTrunk(clip.visual), details.config).network)
            tensors[f'heads/{head}.safetensors'] = network.state_dict()
    return write_bundle(directory, spec, {
        file: {key: value.half() if value.is_floating_point() else value
               for key, value in state.items()} for file, state in tensors.items()})


def _spec(name: str) -> BundleSpec:
    detector_name, clip_name, head_name = name.split('+')
    listed = configurations()
    detector = DetectorSpec(kind='transformers', classes=OBJECTS,
                            **listed['detectors'][detector_name])
    config = clip_configuration(clip_name)
    side = config['vision_cfg']['image_size']
    head = _head(listed['heads'][head_name], detector, config['embed_dim'])
    return BundleSpec(
        name=name, licence='none', provenance='Random weights; good for checks only.',
        detector=detector, heads={head_name: head},
        clip=ClipSpec(config=config, preprocessing=ImageSpec(
            height=side, width=side, mean=open_clip.OPENAI_DATASET_MEAN,
            std=open_clip.OPENAI_DATASET_STD)),
        vocabulary=VocabularySpec(objects=OBJECTS,
                                  verbs=(VerbSpec(name='hold', phrase='holding'),)))


def _head(listed: Mapping[str, Any], detector: DetectorSpec, embed_dim: int) -> HeadSpec:
    """Return a head in its default sizes, as detector and CLIP ask for."""
    queries = detector.config.get('d_model', 256)
    configs: Dict[str, Dict[str, Any]] = {
        'lain': LainConfig(object_dim=embed_dim, query_dim=queries).to_mapping(),
        'rmlr': RmlrConfig(query_dim=queries).to_mapping(),
        'cl_hoi': ClHoiConfig(query_dim=queries).to_mapping(),
        # Of the listed detectors RF-DETR-Seg alone gives masks; its bias is one channel more.
        'seg2hoi': Seg2HoiConfig(query_dim=queries, pixel_dim=queries + 1, embed_dim=embed_dim,
                                 classes=len(OBJECTS)).to_mapping()}
    return HeadSpec(**listed, config=configs.get(listed['kind'], {}))
