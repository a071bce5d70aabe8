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
Triplet mAP of a whole bundle on synthetic scenes, beside chance.

Every figure is HICO-DET's `hico_official` protocol over the (verb, object) classes that the
scenes contain. `chance` replaces the text embeddings by random directions: the same detector,
pairs and detector priors, and no idea of the verbs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator, Optional, Tuple

from hoi_perception.core.scene import Instances, Scene, Triplets
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.evaluation.triplet_map import evaluate_scenes
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.prompts import PromptSet
from hoi_perception.runtime.stage_engines import EngineOptions
from hoi_trainer.synthetic import load
from hoi_trainer.synthetic.dataset import SceneRecord
from hoi_trainer.synthetic.vocabulary import OBJECTS, VERBS
import torch
from torch.nn.functional import normalize

TRIPLETS = 100
"""Kept per frame, as the HICO-DET papers do."""


def truth_scene(record: SceneRecord, vocabulary: Vocabulary) -> Scene:
    """Return the exact scene of a record in the bundle's own index order."""
    objects = [vocabulary.objects.index(OBJECTS[label]) for label in record.labels]
    names = vocabulary.verb_names
    rows = [(h, names.index(VERBS[v]), o) for h, v, o in record.triplets.tolist()]
    human, verb, thing = zip(*rows) if rows else ((), (), ())
    count = len(record.labels)
    return Scene(record.width, record.height, vocabulary,
                 Instances(record.boxes, [1.0] * count, objects),
                 Triplets(human, thing, verb, [1.0] * len(rows)))


def random_text(prompts: PromptSet, seed: int = 0) -> PromptSet:
    """Return the prompts with random directions in place of the text embeddings."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(like: torch.Tensor) -> torch.Tensor:
        return normalize(torch.randn(like.shape, generator=generator), dim=-1).to(like)
    return replace(prompts, embeddings=drawn(prompts.embeddings),
                   background=drawn(prompts.background))


def evaluate_bundle(bundle: Path, data: Path, head: Optional[str] = None,
                    limit: Optional[int] = None, device: str = 'auto') -> Dict[str, object]:
    """
    Return triplet mAP with detected and with exact boxes, each beside chance.

    bundle: directory. data: a split written by `hoi-trainer synth`. Raises `BundleError`.
    """
    scenes = load(data)
    count = min(len(scenes), limit or len(scenes))
    pipeline = HoiPipeline(bundle, device, head, PipelineOptions(
        triplet_threshold=0.0, max_triplets=TRIPLETS, masks=False), EngineOptions('eager'))

    def run(exact: bool) -> Iterator[Tuple[Scene, Scene]]:
        for image, record in zip(scenes.images[:count], scenes.scenes[:count]):
            truth = truth_scene(record, pipeline.vocabulary)
            yield pipeline(image, truth.instances if exact else None), truth

    prompts = pipeline.prompts.current
    report: Dict[str, object] = {'head': pipeline.head, 'scenes': count}
    for name, exact in (('triplet_map', False), ('triplet_map_exact_boxes', True)):
        pipeline.prompts.activate(prompts)
        found = evaluate_scenes(run(exact))
        pipeline.prompts.activate(random_text(prompts))
        chance = evaluate_scenes(run(exact))
        report.update({'protocol': found.protocol, 'classes': len(found.per_class),
                       name: round(found.full, 4), f'{name}_chance': round(chance.full, 4)})
    return report
