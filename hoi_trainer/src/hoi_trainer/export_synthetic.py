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

"""Assemble the shipped bundle from a trained detector and a trained CLIP."""

from pathlib import Path
from typing import Dict, Mapping, Tuple, Union

from hoi_perception.networks.dense_detector import DenseDetectorConfig
from hoi_perception.runtime.bundle import (
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
from hoi_perception.runtime.int8_rows import packed
from hoi_trainer.clip.data import MEAN, STD
from hoi_trainer.image_classification.export import defr_head
from hoi_trainer.image_classification.network import KIND as IMAGE_CLASSIFIER
from hoi_trainer.interaction.export import read_head
from hoi_trainer.synthetic.vocabulary import (
    CAPTION_WORDS,
    COMBINATIONS,
    NO_INTERACTION,
    OBJECTS,
    PHRASES,
    VERBS,
)
from hoi_trainer.training.weights import read_weights
from torch import Tensor

CARD = """# synthetic_tiny

A detector with instance masks and a small CLIP, both trained from scratch on rendered scenes, so
that the whole path from camera to triplets can be tried at once and offline.

**Not good for:** anything real. It has seen only cartoons of people and twelve kinds of things;
on photographs its output is noise. Do not watch people with it, and do not quote its figures as
accuracy on real images.

- Data: 12,000 training scenes of `hoi_trainer.synthetic` (world seed as in the code; train, val
  and test scenes are disjoint). No photographs, no third-party weights.
- Detector and CLIP learnt from an earlier version of that world, in which fewer people only
  pretended and box geometry told more; heads and figures are of the present version.
- Commands: `hoi_trainer/configs/synthetic/detector.sh` and `clip.sh`, seed 0; see
  `docs/training.md`, also for how the run that made these weights differed.
- Objects: {objects}.
- Verbs: {verbs}; {combinations} combinations with objects.
- Detector: dense, convolutional, {classes} classes, {height} x {width} input (height x width).
- CLIP: vision {vision}; text {text}.
- Caption vocabulary: {words}. "Zero-shot" about this bundle means unseen by the interaction head,
  not unseen by CLIP.
- Heads, all with seed 0; the first is the default: {head}
- Exponents and thresholds of the trained heads but `lain` were fitted on the validation scenes
  (`hoi-trainer fit-exponents`).
- Stored as float16; the tokens of CLIP and the heads but `lain` as int8 rows.

Measured on held-out rendered scenes ({protocols}):

| figure | value |
| --- | --- |
{figures}
"""

READOUT = ("{name}: the same read-out on the bundle's CLIP, without weights of its own and "
           'without training: CLIP has seen whole pictures and crops of pairs, never a read-out '
           'restricted to a region.')
DEFR = ("{name}: DEFR's region-masked read-out on a copy of CLIP's image tower, fine-tuned on the "
        'labels of whole images (`hoi-trainer fit -c configs/synthetic/defr.yaml`); it has seen '
        'no box.')
LAIN = ('{name}: LAIN on the frozen detector and CLIP, trained on the same scenes '
        '(`hoi-trainer fit -c configs/synthetic/lain.yaml`).')
SEG2HOI = ("{name}: Seg2HOI, relations predicted as a set from the frozen detector's queries and "
           'masks, trained on the same scenes '
           '(`hoi-trainer fit -c configs/synthetic/seg2hoi.yaml`).')
RMLR = ('{name}: RmLR on the frozen detector and CLIP, taught by the text of what the same scenes '
        'show (`hoi-trainer fit -c configs/synthetic/rmlr.yaml`).')
CL_HOI = ('{name}: CL-HOI on the frozen detector and CLIP, learnt from what a captioner says '
          'about 5,120 of the scenes, a fifth of it left out and a fifth invented, without any '
          'annotated interaction (`hoi-trainer fit -c configs/synthetic/cl_hoi.yaml`).')
ABOUT = {'defr': DEFR, 'lain': LAIN, 'rmlr': RMLR, 'seg2hoi': SEG2HOI, 'cl_hoi': CL_HOI}
TOKENS, WEIGHTS = 'token_embedding.weight', '.safetensors'
TRIPLET_THRESHOLD = 0.2
"""Best F1 of the LAIN head on validation scenes (0.40); for heads without a fitted one."""


def export_synthetic(detector: Path, clip: Path, directory: Path,
                     metrics: Dict[str, Union[float, str]],
                     heads: Mapping[str, Path] = {}) -> Path:
    """
    Write the bundle and return its directory.

    detector, clip: what `hoi-trainer fit` wrote. metrics: figures for `bundle.yaml` and the card.
    heads: trained heads by name; the first is the default. The training-free read-out
    comes last, as `defr`, or as `defr_training_free` where a trained head has that name. So that
    all of it stays small, CLIP's tokens and the heads but LAIN are stored as int8 rows, the rest
    as float16.
    """
    detector_config, detector_state = read_weights(detector)
    clip_config, clip_state = read_weights(clip)
    trained = {name: trained_head(path, clip_config) for name, path in heads.items()}
    free = 'defr_training_free' if 'defr' in trained else 'defr'
    settings = DenseDetectorConfig.from_mapping(detector_config)
    height, width = settings.image_size
    side = clip_config['vision_cfg']['image_size']
    spec = BundleSpec(
        name=directory.name, licence='Apache-2.0',
        provenance='Trained from scratch on scenes rendered by hoi_trainer.synthetic.',
        detector=DetectorSpec(
            kind='dense', config=detector_config, classes=OBJECTS, top_k=settings.top_k,
            preprocessing=ImageSpec(height=height, width=width, mean=settings.mean,
                                    std=settings.std)),
        clip=ClipSpec(config=clip_config, preprocessing=ImageSpec(
            height=side, width=side, mean=MEAN, std=STD)),
        heads={**{name: spec for name, (spec, _) in trained.items()}, free: HeadSpec()},
        vocabulary=_vocabulary(), thresholds=Thresholds(triplet=TRIPLET_THRESHOLD),
        metrics=metrics)
    card = CARD.format(
        objects=', '.join(OBJECTS), verbs=', '.join(VERBS[:NO_INTERACTION]),
        combinations=len(COMBINATIONS), classes=settings.classes, height=height, width=width,
        vision=_words(clip_config['vision_cfg']), text=_words(clip_config['text_cfg']),
        protocols='COCO protocol for boxes and masks, `hico_official` for triplets, '
                  'all-point AP on exact pairs for `clip_` and `pairs_`',
        words=', '.join(CAPTION_WORDS),
        head=' '.join([*(ABOUT[spec.kind].format(name=name)
                         for name, (spec, _) in trained.items()), READOUT.format(name=free)]),
        figures='\n'.join(f'| {name} | {value} |' for name, value in metrics.items()))
    return write_bundle(directory, spec, {
        'detector.safetensors': packed(detector_state, lambda name: False),
        'clip.safetensors': packed(clip_state, lambda name: name == TOKENS),
        **{f'heads/{name}{file}': packed(
            state, lambda _, small=spec.kind != 'lain' and file == WEIGHTS: small)
           for name, (spec, files) in trained.items() for file, state in files.items()}},
        card).path


def trained_head(path: Path, clip_config: dict) -> Tuple[HeadSpec, Dict[str, Dict[str, Tensor]]]:
    """Return the description of a trained head and its states by the end of their file's name."""
    if read_weights(path)[0].get('kind') == IMAGE_CLASSIFIER:
        return defr_head(path, _vocabulary(), clip_config)
    spec, state = read_head(path)
    return spec, {WEIGHTS: state}


def _vocabulary() -> VocabularySpec:
    verbs = tuple(VerbSpec(name=VERBS[v], phrase=PHRASES[v],
                           objects=tuple(OBJECTS[o] for w, o in COMBINATIONS if w == v))
                  for v in range(NO_INTERACTION))
    return VocabularySpec(objects=OBJECTS, verbs=verbs)


def _words(config: Dict[str, object]) -> str:
    return ', '.join(f'{key} {value}' for key, value in config.items())

