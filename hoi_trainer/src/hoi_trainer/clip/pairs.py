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

"""Person-object pairs of synthetic scenes as padded arrays, and the captions true of them."""

from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

from hoi_trainer.synthetic.dataset import SceneRecord
from hoi_trainer.synthetic.vocabulary import (
    COMBINATIONS,
    NO_INTERACTION,
    OBJECTS,
    pair_caption,
    PERSON,
)
import numpy as np

PAIRS = 48
"""Padded number of pairs per scene."""

TEMPLATES: Tuple[str, ...] = (
    '{}', 'a photo of {}', 'a picture of {}', 'an image of {}', 'a photo of {}.', '{}.')
"""Sentences around a caption; all mean the same."""

Caption = Tuple[Tuple[int, ...], int]
"""(sorted verbs, object label); no verbs: the two are merely near each other."""


@dataclass(frozen=True)
class CaptionSet:
    """
    Every caption of a data set.

    captions: K of them. texts: the sentence of each. truth: (K, K) float32; row k marks the
    captions that hold for a pair whose full description is caption k: itself, and each of its
    verbs alone.
    """

    captions: Tuple[Caption, ...]
    texts: Tuple[str, ...]
    truth: np.ndarray

    @property
    def index(self) -> Dict[Caption, int]:
        """Return the position of each caption."""
        return {caption: i for i, caption in enumerate(self.captions)}


@dataclass(frozen=True)
class PairTable:
    """
    Pairs of N scenes, padded to P per scene.

    humans, objects: (N, P, 4) float32 boxes, xyxy in 0..1 of the image. caption: (N, P) int64 full
    caption, -1 padding. scene_truth: (N, K) float32, captions that hold somewhere in the scene.
    """

    humans: np.ndarray
    objects: np.ndarray
    caption: np.ndarray
    scene_truth: np.ndarray


def verbs_of_pairs(scene: SceneRecord) -> Dict[Tuple[int, int], Tuple[int, ...]]:
    """Return the sorted verbs, possibly none, of each (human, other instance) pair of a scene."""
    labels = scene.labels.tolist()
    pairs = {(h, o): set() for h, label in enumerate(labels) if label == PERSON
             for o in range(len(labels)) if o != h}
    for human, verb, other in scene.triplets.tolist():
        pairs[human, other].add(verb)
    return {pair: tuple(sorted(verbs)) for pair, verbs in pairs.items()}


def caption_set(scenes: Sequence[SceneRecord]) -> CaptionSet:
    """Return all captions of single combinations, of nothing, and of the scenes' verb sets."""
    captions = {((verb,), label) for verb, label in COMBINATIONS}
    captions |= {((), label) for label in range(len(OBJECTS))}
    for scene in scenes:
        captions |= {(verbs, int(scene.labels[o]))
                     for (_, o), verbs in verbs_of_pairs(scene).items()}
    ordered = tuple(sorted(captions))
    index = {caption: i for i, caption in enumerate(ordered)}
    truth = np.eye(len(ordered), dtype=np.float32)
    for i, (verbs, label) in enumerate(ordered):
        for verb in verbs:
            if ((verb,), label) in index:
                truth[i, index[(verb,), label]] = 1.0
    return CaptionSet(ordered, tuple(pair_caption(*caption) for caption in ordered), truth)


def pair_table(scenes: Sequence[SceneRecord], captions: CaptionSet, width: int,
               height: int) -> PairTable:
    """Collect the pairs of scenes; interacting pairs come first and are never cut off."""
    count, index = len(scenes), captions.index
    humans = np.zeros((count, PAIRS, 4), dtype=np.float32)
    objects = np.zeros((count, PAIRS, 4), dtype=np.float32)
    caption = np.full((count, PAIRS), -1, dtype=np.int64)
    scale = np.array([width, height, width, height], dtype=np.float32)
    for n, scene in enumerate(scenes):
        pairs = sorted(verbs_of_pairs(scene).items(), key=lambda item: not item[1])[:PAIRS]
        boxes = np.asarray(scene.boxes, dtype=np.float32).reshape(-1, 4) / scale
        for p, ((h, o), verbs) in enumerate(pairs):
            humans[n, p], objects[n, p] = boxes[h], boxes[o]
            caption[n, p] = index.get((verbs, int(scene.labels[o])), -1)
    return PairTable(humans, objects, caption, _scene_truth(caption, captions))


def _scene_truth(caption: np.ndarray, captions: CaptionSet) -> np.ndarray:
    """Return what holds in each scene: its interactions, or its pairs if nothing happens."""
    acts = np.array([bool(verbs) for verbs, _ in captions.captions])
    rows = captions.truth[caption] * (caption >= 0)[..., None]
    acting = (rows * acts[caption][..., None]).max(1)
    return np.where(acting.any(1, keepdims=True), acting, rows.max(1))


def verb_prompts(captions: CaptionSet, label: int) -> Tuple[List[int], List[int]]:
    """Return the verbs valid for an object, with no_interaction, and their caption indices."""
    verbs = sorted(v for v, o in COMBINATIONS if o == label)
    rows = [captions.index[(v,), label] for v in verbs] + [captions.index[(), label]]
    return [*verbs, NO_INTERACTION], rows
