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
The whole way of a frame, without ROS: RGB in, `Scene` out.

Node, replay, `hoi detect`, evaluation and tests all call this one object.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
import math
from pathlib import Path
import time
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from hoi_perception.core.boxes import clip
from hoi_perception.core.errors import BundleError, HoiError
from hoi_perception.core.masks import triplet_masks
from hoi_perception.core.pairs import bucket_for, candidate_pairs, Pairs, select_instances
from hoi_perception.core.scene import Instances, Mask, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import same_name, Vocabulary
from hoi_perception.networks.detection import Detections
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.detect_stage import check_instances, DetectStage, Found
from hoi_perception.runtime.engine_stage import EngineStage
from hoi_perception.runtime.engines.recorded import record
from hoi_perception.runtime.interact_stage import MAX_TRIPLETS, Verdict
from hoi_perception.runtime.loading import choose_device
from hoi_perception.runtime.pair_batch import Chosen, instance_bucket, pack_pairs, PairBatch
from hoi_perception.runtime.preprocess import check_rgb, Placement
from hoi_perception.runtime.prompts import PromptSet, PromptStore
from hoi_perception.runtime.query import instance_for
from hoi_perception.runtime.relation_stage import (
    load_stage,
    queries_for,
    relation_masks,
    RelationStage,
    RelationVerdict,
)
from hoi_perception.runtime.stage_engines import AUTO, EngineOptions, EngineReport, StageEngines
from hoi_perception.runtime.text import KeepText, text_encoder
import numpy as np
import torch

STAGES = ('preprocess', 'detect', 'select', 'interact', 'masks')


@dataclass(frozen=True)
class PipelineOptions:
    """
    What may change while the pipeline runs; None (or NaN) means the bundle's value.

    instance_threshold, triplet_threshold: scores in 0..1. max_triplets: most triplets per frame.
    pair_budget: most pairs scored per frame, at most the largest bucket. max_humans, max_objects,
    min_per_side: bounds of the selection (UPT: 15, 15, 3). masks: instance, union and
    intersection masks. human_exponent, object_exponent: powers of the detector's scores. classes:
    only objects of these names are kept and paired, people are always kept. verbs: only triplets
    with these are kept, of the best ones that there are without.
    """

    instance_threshold: Optional[float] = None
    triplet_threshold: Optional[float] = None
    max_triplets: int = 50
    pair_budget: Optional[int] = None
    max_humans: int = 15
    max_objects: int = 15
    min_per_side: int = 3
    masks: bool = True
    human_exponent: Optional[float] = None
    object_exponent: Optional[float] = None
    classes: Optional[Tuple[str, ...]] = None
    verbs: Optional[Tuple[str, ...]] = None

    def __post_init__(self) -> None:
        for name, low, high in (('instance_threshold', 0, 1), ('triplet_threshold', 0, 1),
                                ('human_exponent', 0, 20), ('object_exponent', 0, 20),
                                ('max_triplets', 1, MAX_TRIPLETS), ('pair_budget', 1, 10000),
                                ('max_humans', 1, 100), ('max_objects', 1, 100),
                                ('min_per_side', 0, 100)):
            value = getattr(self, name)
            if _given(value) is not None and not low <= value <= high:
                raise HoiError(f'{name} is {value}, expected {low} to {high}.')


class Result(NamedTuple):
    """A scene and how long its stages took, in milliseconds (of the whole batch it came in)."""

    scene: Scene
    stages: Dict[str, float]


_AnyVerdict = Union[None, Verdict, RelationVerdict]
NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), 0)


class _Frame(NamedTuple):
    """
    One image between the stages.

    picture: what CLIP's image is made from. rows: of the instances among the detector's, `NONE`
    for a given box without one. output: of the detector, where it ran. given: the boxes came from
    outside. focus: the instance that was asked for, `NONE` = none.
    """

    width: int
    height: int
    picture: np.ndarray
    placement: Optional[Placement]
    rows: np.ndarray
    instances: Instances
    pairs: Pairs
    output: Optional[Tuple[Detections, int]]
    given: bool
    focus: int


class _Clock:
    """Measures stages one after the other."""

    def __init__(self) -> None:
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage] += 1000 * (now - self._last)
        self._last = now


def _given(value: Optional[float]) -> Optional[float]:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else value


@lru_cache(maxsize=8)
def _wanted(names: Tuple[str, ...], chosen: Tuple[str, ...]) -> np.ndarray:
    """Return which of the names are among the chosen ones, (n,) bool."""
    keys = {same_name(name) for name in chosen}
    return np.array([same_name(name) in keys for name in names], dtype=bool)


def _only(found: Found, wanted: np.ndarray, human: int) -> Found:
    """Return the people, and the objects of the wanted classes."""
    labels = found.instances.labels
    kept = np.flatnonzero(wanted[labels] | (labels == human))
    return Found(found.instances.take(kept), found.rows[kept])


def _or(value: Optional[float], default: float) -> float:
    given = _given(value)
    return default if given is None else given


def _with_focus(found: Instances, human: int, kept: np.ndarray,
                asked: Optional[Sequence[float]]) -> Tuple[np.ndarray, int]:
    """Return the rows to keep with the one that is asked for, and its place among them."""
    row = NONE if asked is None else instance_for(found, asked)
    if row == NONE:
        return kept, NONE
    kept = np.union1d(kept, row).astype(np.int64)
    kept = kept[np.lexsort((-found.scores[kept], found.labels[kept] != human))]
    return kept, int(np.flatnonzero(kept == row)[0])


def _wanted_verbs(prompts: PromptSet, options: PipelineOptions) -> Optional[np.ndarray]:
    """Return (verbs,) bool, the verbs that are told; None = all."""
    if options.verbs is None:
        return None
    return _wanted(prompts.vocabulary.verb_names, options.verbs)


class HoiPipeline:
    """
    Detector, pairs, interaction head and scoring of one bundle on one device.

    `options` may be replaced and prompts activated from any thread; a call works with the options
    and prompts it found when it began. Calls themselves must come from one thread at a time.
    engines: what runs the networks; by default engines that were built before and agree with
    eager, and eager where there is none; nothing is compiled unasked; None = `use_engines` will
    be called. keep_text: where to keep text embeddings; None = nowhere, so that results depend on
    nothing that ran before. Raises `BundleError` when the bundle cannot be used, `FrameError` on
    a bad image.
    """

    def __init__(self, bundle: Union[str, Path, Bundle], device: str = 'auto',
                 head: Optional[str] = None,
                 options: PipelineOptions = PipelineOptions(),
                 engines: Optional[EngineOptions] = AUTO,
                 keep_text: Optional[KeepText] = None) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.device = choose_device(device)
        self.head = head or next(iter(self.bundle.spec.heads))
        self.options = options
        self._detect = DetectStage(self.bundle, self.device)
        self._interact = load_stage(self.bundle, self.head, self.device)
        self._check_queries()
        self.prompts = PromptStore(
            text_encoder(self.bundle, self.head, self._interact.clip, keep_text), self.bundle.spec,
            self.bundle.spec.heads[self.head])
        self.model_id = f'{self.bundle.model_id}/{self.head}'
        self.engines = EngineReport()
        if engines is not None:
            self.use_engines(engines)

    def use_engines(self, options: EngineOptions) -> EngineReport:
        """
        Run the networks with other engines from now on; return and keep as `engines` what runs.

        Without `options.build` that takes what was built before, in a second or less per engine.
        Raises `EngineError` where the options name what is not known.
        """
        rows = len(self.prompts.current.embeddings)
        self.engines = StageEngines(
            self.bundle, self._detect, self._interact, rows,
            lambda: record(self, options.frames)).install(options)
        return self.engines

    @property
    def stages(self) -> Tuple[EngineStage, EngineStage]:
        """The two networks, in the order in which a frame passes them."""
        return self._detect, self._interact

    @property
    def eager_calls(self) -> Dict[str, int]:
        """How often a network ran without an engine, because no engine has that shape."""
        return {stage.title: stage.eager_calls for stage in self.stages}

    @property
    def engine_failures(self) -> Tuple[str, ...]:
        """A sentence for every engine that failed while it ran."""
        return tuple(sentence for stage in self.stages for sentence in stage.failed)

    def _check_queries(self) -> None:
        if isinstance(self._interact, RelationStage):
            self._interact.check_trunk(self.bundle, self._detect.network)
        wanted, given = self._interact.query_dim, self._detect.query_dim
        if wanted not in (0, given):
            raise BundleError(f'{self.bundle.path}: head {self.head} reads detector queries of '
                              f'length {wanted}, the detector gives {given}: they were not '
                              'trained together.')

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the current prompts."""
        return self.prompts.current.vocabulary

    def __call__(self, rgb: np.ndarray, instances: Optional[Instances] = None) -> Scene:
        """Return the scene of one (H, W, 3) uint8 RGB image."""
        return self.run([rgb], None if instances is None else [instances])[0].scene

    @torch.inference_mode()
    def run(self, images: Sequence[np.ndarray],
            instances: Optional[Sequence[Optional[Instances]]] = None,
            focus: Optional[Sequence[Optional[Sequence[float]]]] = None) -> List[Result]:
        """
        Return one result per image; the images may differ in size.

        instances: boxes in source pixels from another detector, per image; None = detect. Their
        labels index `vocabulary.objects`. No masks are made for them. focus: a point (x, y) or box
        of source pixels per image; what was detected there is kept however low its score.
        """
        if not len(images):
            return []
        options, prompts, clock = self.options, self.prompts.current, _Clock()
        images = [check_rgb(image) for image in images]
        given = check_instances(instances, len(images), len(prompts.vocabulary.objects))
        asked = list(focus or [None] * len(images))
        if len(asked) != len(images):
            raise HoiError(f'{len(asked)} points or boxes were given for {len(images)} images: '
                           'give one per image, None where nothing is asked.')
        frames = self._instances(images, given, asked, prompts, options, clock)
        verdicts = self._interactions(frames, prompts, options, clock)
        results = [self._scene(frame, verdict, prompts, options)
                   for frame, verdict in zip(frames, verdicts)]
        clock.lap('masks')
        return [Result(scene, dict(clock.stages)) for scene in results]

    def _instances(self, images: Sequence[np.ndarray], given: Sequence[Optional[Instances]],
                   asked: Sequence[Optional[Sequence[float]]], prompts: PromptSet,
                   options: PipelineOptions, clock: _Clock) -> List[_Frame]:
        relating = isinstance(self._interact, RelationStage)
        missing = [i for i, item in enumerate(given) if item is None or relating]
        resized = {i: self._detect.transform.resize(images[i]) for i in range(len(images))
                   if given[i] is None or relating or self._interact.after_detector}
        detected: Dict[int, Tuple[Found, Placement, Tuple[Detections, int]]] = {}
        if missing:
            inputs = self._detect.prepare([resized[i] for i in missing])
            clock.lap('preprocess')
            output, host = self._detect.detect(inputs)
            clock.lap('detect')
            for row, i in enumerate(missing):
                height, width = images[i].shape[:2]
                at = self._detect.transform.place(height, width)
                detected[i] = (self._detect.find(host[row], at, width, height), at, (output, row))
        frames = []
        for i, (image, item) in enumerate(zip(images, given)):
            height, width = image.shape[:2]
            placement: Optional[Placement] = None
            source: Optional[Tuple[Detections, int]] = None
            found = Found(Instances.empty(), np.zeros(0, np.int64))
            if i in detected:
                found, placement, source = detected[i]
            if item is not None:
                found = Found(item, queries_for(item, found))
            words = prompts.vocabulary
            wanted = None if options.classes is None else _wanted(words.objects, options.classes)
            if wanted is not None:
                found = _only(found, wanted, words.human)
            kept = self._select(found.instances, words.human, options)
            kept, focus = _with_focus(found.instances, words.human, kept, asked[i])
            chosen = found.instances.take(kept)
            pairs = NO_PAIRS if relating else candidate_pairs(
                chosen.scores, chosen.labels == words.human, self._budget(options),
                None if wanted is None else wanted[chosen.labels])
            picture = resized[i] if self._interact.after_detector else image
            frames.append(_Frame(width, height, picture, placement, found.rows[kept], chosen,
                                 pairs, source, item is not None, focus))
        clock.lap('select')
        return frames

    def _select(self, found: Instances, human: int, options: PipelineOptions) -> np.ndarray:
        threshold = _or(options.instance_threshold, self.bundle.spec.thresholds.instance)
        return select_instances(found.scores, found.labels, human, threshold,
                                options.min_per_side, options.max_humans, options.max_objects)

    def _budget(self, options: PipelineOptions) -> int:
        largest = max(self.bundle.spec.buckets.pairs)
        return min(int(_or(options.pair_budget, largest)), largest)

    def _interactions(self, frames: Sequence[_Frame], prompts: PromptSet,
                      options: PipelineOptions, clock: _Clock) -> List[_AnyVerdict]:
        stage, spec = self._interact, self.bundle.spec
        if isinstance(stage, RelationStage):
            return self._relations(stage, frames, prompts, options, clock)
        if not any(len(frame.pairs.human) for frame in frames):
            return [None] * len(frames)
        pixels = stage.transform.pixels(
            [stage.transform.resize(frame.picture) for frame in frames])
        clock.lap('preprocess')
        batch = self._pack(frames)
        clock.lap('select')
        ranked = stage.rank(stage.inputs(pixels, batch, prompts, self._exponents(options)))
        threshold = _or(options.triplet_threshold, spec.thresholds.triplet)
        verdicts = stage.verdicts(ranked, prompts, threshold, options.max_triplets,
                                  _wanted_verbs(prompts, options))
        clock.lap('interact')
        return list(verdicts)

    def _relations(self, stage: RelationStage, frames: Sequence[_Frame], prompts: PromptSet,
                   options: PipelineOptions, clock: _Clock) -> List[_AnyVerdict]:
        """Return what a set-prediction head says; its frames all have a detector's output."""
        human = prompts.vocabulary.human
        if not any((frame.instances.labels == human).any() for frame in frames):
            return [None] * len(frames)
        batch = self._pack(frames)
        clock.lap('select')
        pixels = torch.stack([output.prototypes[image] for output, image
                              in (frame.output for frame in frames if frame.output)])
        ranked = stage.rank(stage.inputs(batch, pixels, prompts, self._exponents(options)))
        threshold = _or(options.triplet_threshold, self.bundle.spec.thresholds.triplet)
        verdicts = stage.verdicts(ranked, prompts, threshold, options.max_triplets,
                                  batch.boxes.shape[1], _wanted_verbs(prompts, options))
        clock.lap('interact')
        return list(verdicts)

    def _pack(self, frames: Sequence[_Frame]) -> PairBatch:
        """Pad to the smallest buckets that hold every image of the batch."""
        stage, buckets = self._interact, self.bundle.spec.buckets
        instances = max(len(frame.instances) for frame in frames)
        pairs = max(len(frame.pairs.human) for frame in frames)
        queries = next((frame.output[0].queries for frame in frames if frame.output), None)
        chosen = []
        for frame in frames:
            rows = np.full(len(frame.rows), NONE)
            if frame.output is not None:
                output, image = frame.output
                rows = np.where(frame.rows == NONE, NONE,
                                frame.rows + image * output.queries.shape[1])
            transform = self._detect.transform if isinstance(stage, RelationStage) \
                else stage.transform
            chosen.append(Chosen(frame.instances, frame.pairs, rows,
                                 transform.place(frame.height, frame.width)))
        return pack_pairs(chosen, instance_bucket(instances, buckets.instances),
                          bucket_for(pairs, buckets.pairs), queries, stage.query_dim,
                          self.device)

    def _exponents(self, options: PipelineOptions) -> Tuple[float, float]:
        head = self._interact.spec
        return (_or(options.human_exponent, head.human_exponent),
                _or(options.object_exponent, head.object_exponent))

    def _scene(self, frame: _Frame, verdict: _AnyVerdict, prompts: PromptSet,
               options: PipelineOptions) -> Scene:
        """Publish the confident instances and those that a triplet needs."""
        found, pairs = frame.instances, frame.pairs
        if isinstance(verdict, RelationVerdict):
            human, thing = verdict.human, verdict.object
        else:
            chosen = np.zeros(0, np.int64) if verdict is None else verdict.pair
            human, thing = pairs.human[chosen], pairs.object[chosen]
        threshold = _or(options.instance_threshold, self.bundle.spec.thresholds.instance)
        shown = found.scores >= threshold
        shown[human] = shown[thing] = True
        if frame.focus != NONE:
            shown[frame.focus] = True
        kept, position = np.flatnonzero(shown), np.cumsum(shown) - 1
        triplets = Triplets.empty() if verdict is None else Triplets(
            position[human], position[thing], verdict.verb, verdict.scores)
        instances = found.take(kept)
        masks: List[Mask] = []
        if not frame.given:  # boxes given from outside are published as given
            instances = replace(instances, boxes=clip(instances.boxes, frame.width, frame.height))
        if options.masks and not frame.given and frame.output and frame.placement:
            output, row = frame.output
            masks = self._detect.masks(output, row, frame.rows[kept], instances.boxes,
                                       frame.placement, frame.width, frame.height)
            if isinstance(verdict, RelationVerdict):
                masks += relation_masks(
                    verdict._replace(human=triplets.human, object=triplets.object),
                    output.prototypes[row], instances, frame.width, frame.height,
                    frame.placement)
            else:
                masks += triplet_masks(masks, triplets.human, triplets.object)
        return Scene(frame.width, frame.height, prompts.vocabulary, instances, triplets,
                     tuple(masks), self.model_id, prompts.version, pairs.dropped)
