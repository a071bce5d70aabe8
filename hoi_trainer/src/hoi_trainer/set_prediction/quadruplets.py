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
Quadruplets of a whole bundle on synthetic scenes: triplets by boxes and by masks, masks by fit.

Runs the pipeline that the node runs, with any head: the two-stage ones take their union and
intersection masks from instance masks. Truth are the exact masks of the scenes, never the
pseudo-labels.
"""

from dataclasses import replace
from pathlib import Path
from typing import Dict, Optional, Tuple

from hoi_perception.core.scene import Mask, MaskKind, Scene
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.evaluation.mask_pairs import MaskPairEvaluator
from hoi_perception.evaluation.triplet_map import named_triplets, SceneEvaluator
from hoi_perception.evaluation.union_masks import UnionIouCounter, UnionMaskEvaluator
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.stage_engines import EngineOptions
from hoi_trainer.bundle_evaluation import TRIPLETS, truth_scene
from hoi_trainer.synthetic import load
from hoi_trainer.synthetic.dataset import SceneRecord
import numpy as np


def exact_masks(instance_map: np.ndarray, record: SceneRecord) -> Tuple[Mask, ...]:
    """Return the mask of every instance of a (H, W) map in which i + 1 is instance i."""
    masks = []
    for owner, box in enumerate(record.boxes.astype(int)):
        x1, y1, x2, y2 = box
        masks.append(Mask(MaskKind.INSTANCE, owner, int(x1), int(y1),
                          instance_map[y1:y2, x1:x2] == owner + 1))
    return tuple(masks)


def masked_truth(record: SceneRecord, instance_map: np.ndarray, vocabulary: Vocabulary) -> Scene:
    """Return the exact scene of a record with its masks, in the bundle's own index order."""
    return replace(truth_scene(record, vocabulary), masks=exact_masks(instance_map, record))


def evaluate_quadruplets(bundle: Path, data: Path, head: Optional[str] = None,
                         limit: Optional[int] = None, device: str = 'auto') -> Dict[str, object]:
    """
    Return box mAP, mask mAP by both definitions and the mean IoU of union masks of found pairs.

    bundle: directory. data: a split written by `hoi-trainer synth`. Raises `BundleError`.
    """
    scenes = load(data)
    count = min(len(scenes), limit or len(scenes))
    pipeline = HoiPipeline(bundle, device, head, PipelineOptions(
        triplet_threshold=0.0, max_triplets=TRIPLETS), EngineOptions('eager'))
    truths = [masked_truth(scenes.scenes[i], np.asarray(scenes.instance_maps[i]),
                           pipeline.vocabulary) for i in range(count)]
    classes = sorted({name for truth in truths for name in named_triplets(truth)})
    evaluators = {'box_map': SceneEvaluator(classes), 'mask_map': MaskPairEvaluator(classes),
                  'union_map': UnionMaskEvaluator(classes)}
    unions = UnionIouCounter()
    for image, truth in zip(scenes.images[:count], truths):
        found = pipeline(np.asarray(image))
        for evaluator in (*evaluators.values(), unions):
            evaluator.add(found, truth)
    results = {name: evaluator.result() for name, evaluator in evaluators.items()}
    union = unions.result()
    return {'head': pipeline.head, 'scenes': count, 'classes': len(classes),
            'protocols': {name: result.protocol for name, result in results.items()},
            **{name: round(result.full, 4) for name, result in results.items()},
            'union_iou': round(union.mean, 4), 'pairs_found': union.found,
            'pairs': union.truth}
