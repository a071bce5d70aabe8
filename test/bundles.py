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

"""Small random bundles in the real format, for tests of everything that needs a pipeline."""

from pathlib import Path
from typing import Union

from hoi_perception.networks.cl_hoi import ClHoi, ClHoiConfig
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.dense_detector import DenseDetector, DenseDetectorConfig
from hoi_perception.networks.lain import Lain, LainConfig
from hoi_perception.networks.region_readout import RegionReadout
from hoi_perception.networks.rmlr import Rmlr, RmlrConfig
from hoi_perception.networks.seg2hoi import Seg2Hoi, Seg2HoiConfig
from hoi_perception.runtime.bundle import (
    Bundle,
    BundleSpec,
    ClipSpec,
    DetectorSpec,
    HeadSpec,
    ImageSpec,
    Thresholds,
    VerbSpec,
    VocabularySpec,
    write_bundle,
)
from hoi_perception.runtime.prompts import lay_out_rows
import torch

OBJECTS = ('person', 'bicycle', 'cup', 'umbrella')
VERBS = (VerbSpec(name='ride', phrase='riding', objects=('bicycle',)),
         VerbSpec(name='hold', phrase='holding', objects=('cup', 'umbrella')),
         VerbSpec(name='push', phrase='pushing', objects=('bicycle', 'person')))

CLIP_CONFIG = {
    'embed_dim': 16,
    'vision_cfg': {'image_size': 64, 'layers': 2, 'width': 32, 'head_width': 16,
                   'patch_size': 16},
    'text_cfg': {'context_length': 16, 'vocab_size': 49408, 'width': 16, 'heads': 2, 'layers': 1}}

LAIN_HEAD = HeadSpec(
    kind='lain', config=LainConfig(adapter_dim=4, query_dim=16, object_dim=16, hidden=8,
                                   context_queries=3).to_mapping(),
    activation='sigmoid', temperature=10.0, human_exponent=0.5, object_exponent=0.5)

RMLR_HEAD = HeadSpec(
    kind='rmlr', config=RmlrConfig(width=16, query_dim=16, heads=2, ffn=32).to_mapping(),
    activation='sigmoid', temperature=10.0, human_exponent=0.5, object_exponent=0.5)

CL_HOI_HEAD = HeadSpec(
    kind='cl_hoi', config=ClHoiConfig(
        query_dim=16, heads=2, content_layers=1, translator=16, translator_layers=2,
        context_queries=4, bottleneck=8).to_mapping(),
    activation='sigmoid', temperature=10.0, human_exponent=0.5, object_exponent=0.5)

DEFR_HEAD = HeadSpec(kind='defr', text='rows', activation='sigmoid', temperature=100.0)

SEG2HOI_HEAD = HeadSpec(
    kind='seg2hoi', config=Seg2HoiConfig(
        query_dim=16, pixel_dim=4, embed_dim=16, classes=len(OBJECTS), layers=2, width=16,
        heads=2, ffn=16, dropout=0.0).to_mapping(),
    activation='sigmoid', human_exponent=0.0, object_exponent=0.0)

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def tiny_spec(**changes) -> BundleSpec:
    """Return the description of the tiny bundle, with changes."""
    config = DenseDetectorConfig(classes=len(OBJECTS), image_size=(64, 96),
                                 widths=(8, 8, 16, 16, 16), depths=(1, 1, 1, 1), head_width=16,
                                 head_depth=1, masks=4, top_k=32)
    fields = dict(  # noqa: C408
        name='tiny_random', licence='Apache-2.0', provenance='Random weights, seed 7.',
        detector=DetectorSpec(
            kind='dense', config=config.to_mapping(),
            preprocessing=ImageSpec(height=64, width=96, mean=config.mean, std=config.std)),
        clip=ClipSpec(config=CLIP_CONFIG, preprocessing=ImageSpec(
            height=64, width=64, mean=CLIP_MEAN, std=CLIP_STD)),
        heads={'defr': HeadSpec(human_exponent=0.5, object_exponent=0.5)},
        vocabulary=VocabularySpec(objects=OBJECTS, verbs=VERBS),
        thresholds=Thresholds(instance=0.2, triplet=0.0))
    return BundleSpec(**{**fields, **changes})


def tiny_bundle(directory: Union[str, Path], **changes) -> Bundle:
    """
    Write a bundle of random weights (about a second) and return it.

    Its detector is far from empty: every image yields instances of several classes, person among
    them, so that pairs, triplets and masks occur.
    """
    spec = tiny_spec(**changes)
    torch.manual_seed(7)
    detector = DenseDetector(DenseDetectorConfig.from_mapping(spec.detector.config))
    torch.nn.init.normal_(detector.classify.weight, std=0.3)
    torch.nn.init.zeros_(detector.classify.bias)
    clip = build_clip(spec.clip.config)
    tensors = {
        'detector.safetensors': detector.state_dict(),
        'clip.safetensors': {k: v.half() for k, v in clip.state_dict().items()}}
    for name, head in spec.heads.items():
        if head.kind == 'lain':
            tensors[f'heads/{name}.safetensors'] = _lain_weights(clip, head)
        if head.kind == 'seg2hoi':
            tensors[f'heads/{name}.safetensors'] = _seg2hoi_weights(head)
        if head.kind == 'rmlr':
            network = Rmlr(ClipTrunk(clip.visual), RmlrConfig.from_mapping(head.config))
            tensors[f'heads/{name}.safetensors'] = network.state_dict()
        if head.kind == 'cl_hoi':
            student = ClHoi(ClipTrunk(clip.visual), ClHoiConfig.from_mapping(head.config))
            tensors[f'heads/{name}.safetensors'] = student.state_dict()
        if head.kind == 'defr':
            own = RegionReadout(ClipTrunk(build_clip(spec.clip.config).visual), projected=False)
            phrases, _, _ = lay_out_rows(spec.core_vocabulary(), spec.vocabulary.background)
            tensors[f'heads/{name}.safetensors'] = own.state_dict()
            tensors[f'heads/{name}.text.safetensors'] = {
                'rows': torch.randn(len(phrases), own.feature_dim)}
    return write_bundle(Path(directory), spec, tensors)


def _lain_weights(clip, head: HeadSpec) -> dict:
    """Return weights whose adapters matter, unlike those of a fresh head."""
    network = Lain(ClipTrunk(clip.visual), LainConfig.from_mapping(head.config))
    for adapter in network.adapters:
        torch.nn.init.constant_(adapter.scale, 0.5)
        torch.nn.init.constant_(adapter.scale2, 0.5)
    return network.state_dict()


def _seg2hoi_weights(head: HeadSpec) -> dict:
    """Return weights whose verbs fire; counterparts begin at the own box, as in a fresh head."""
    network = Seg2Hoi(Seg2HoiConfig.from_mapping(head.config))
    torch.nn.init.zeros_(network.verb_bias)
    return network.state_dict()
