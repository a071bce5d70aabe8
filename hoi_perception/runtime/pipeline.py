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

from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

from hoi_perception.core.boxes import clip
from hoi_perception.core.errors import BundleError
from hoi_perception.core.scene import Instances, Mask, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.runtime.bundle import Bundle, Thresholds
from hoi_perception.runtime.detect_stage import DetectStage
from hoi_perception.runtime.engine_stage import EngineStage
from hoi_perception.runtime.engines.recorded import record
from hoi_perception.runtime.frame import Answer, Clock, Frame, Result, STAGES
from hoi_perception.runtime.loading import choose_device
from hoi_perception.runtime.options import DEFAULTS, MAX_TRIPLETS, PipelineOptions, value_or
from hoi_perception.runtime.preprocess import check_rgb
from hoi_perception.runtime.prompts import PromptSet, PromptStore
from hoi_perception.runtime.relation_stage import load_stage
from hoi_perception.runtime.selection import Focus, Selection
from hoi_perception.runtime.stage_engines import AUTO, EngineOptions, EngineReport, StageEngines
from hoi_perception.runtime.text import KeepText, text_encoder
import numpy as np
import torch

__all__ = ['HoiPipeline', 'PipelineOptions', 'Result', 'STAGES']


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
                 options: PipelineOptions = DEFAULTS,
                 engines: Optional[EngineOptions] = AUTO,
                 keep_text: Optional[KeepText] = None) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.device = choose_device(device)
        self.head = head or next(iter(self.bundle.spec.heads))
        self.options = options
        self._detect = DetectStage(self.bundle, self.device)
        self._interact = load_stage(self.bundle, self.head, self.device)
        self._check_trunk()
        self._selection = Selection(self.bundle.spec, self._detect, self._interact.wants)
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

    def _check_trunk(self) -> None:
        network, head = self._detect.network, self._interact
        for wanted, given, what, unit in (
                (head.query_dim, self._detect.query_dim, 'detector queries of length', ''),
                (head.pixel_dim, network.pixel_dim, 'a pixel embedding of', ' channels')):
            if wanted not in (0, given):
                raise BundleError(
                    f'{self.bundle.path}: head {self.head} reads {what} {wanted}{unit}, the '
                    f'detector gives {given}: they were not trained together.')

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds that hold where the options say nothing."""
        return self.bundle.spec.thresholds_of(self.head)

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
            focus: Optional[Sequence[Focus]] = None) -> List[Result]:
        """
        Return one result per image; the images may differ in size.

        instances: boxes in source pixels from another detector, per image; None = detect. Their
        labels index `vocabulary.objects`. No masks are made for them. focus: a point (x, y) or box
        of source pixels, or the index of an object, per image; what was detected there, or is
        most like that object, is kept however low its score, and the triplets are those that it
        takes part in.
        """
        if not len(images):
            return []
        options, prompts, clock = self.options, self.prompts.current, Clock()
        frames = self._selection.frames([check_rgb(image) for image in images], instances, focus,
                                        prompts.vocabulary, options, clock)
        # Of all that are ranked: what is asked for must not be crowded out by what is not.
        every = options if focus is None else replace(options, max_triplets=MAX_TRIPLETS)
        answers = self._interact.answer(frames, prompts, every, clock)
        results = [self._scene(frame, answer, prompts, options)
                   for frame, answer in zip(frames, answers)]
        clock.lap('masks')
        return [Result(scene, dict(clock.stages)) for scene in results]

    def _scene(self, frame: Frame, answer: Optional[Answer], prompts: PromptSet,
               options: PipelineOptions) -> Scene:
        """Publish the confident instances and those that a triplet needs."""
        found = frame.instances
        if answer is not None and frame.focus != NONE:
            answer = answer.about(frame.focus, options.max_triplets)
        threshold = value_or(options.instance_threshold, self.thresholds.instance)
        shown = found.scores >= threshold
        if answer is not None:
            shown[answer.human] = shown[answer.object] = True
        if frame.focus != NONE:
            shown[frame.focus] = True
        kept, position = np.flatnonzero(shown), np.cumsum(shown) - 1
        triplets = Triplets.empty() if answer is None else Triplets(
            position[answer.human], position[answer.object], answer.verb, answer.scores)
        instances = found.take(kept)
        if not frame.given:  # boxes given from outside are published as given
            instances = replace(instances, boxes=clip(instances.boxes, frame.width, frame.height))
        masks: List[Mask] = []
        if options.masks and not frame.given and frame.output and frame.placement:
            masks = self._detect.masks(*frame.output, frame.rows[kept], instances.boxes,
                                       frame.placement, frame.width, frame.height)
            if answer is not None:
                masks += self._interact.masks(answer, frame, instances, triplets.human,
                                              triplets.object, masks)
        return Scene(frame.width, frame.height, prompts.vocabulary, instances, triplets,
                     tuple(masks), self.model_id, prompts.version, frame.pairs.dropped)
