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
The networks of a bundle as graphs of fixed shapes: what is exported, compiled, checked and run.

There are two: the detector, and the interaction from CLIP's pixels to ranked triplets. The
pipeline calls the same modules, so an engine made of a graph takes the place of its module and of
nothing else (`DetectStage.engines`, `InteractStage.engines`, by bucket). Verbs, masks and
exponents are inputs: other verbs need no other engine, unless they fill another bucket of rows.
`engines.export` turns a graph into a program of operators.
"""

from dataclasses import dataclass
from typing import Dict, Iterator, Optional, Sequence, Tuple

from hoi_perception.core.errors import BundleError
from hoi_perception.core.pairs import bucket_for, candidate_pairs
from hoi_perception.core.scene import Instances
from hoi_perception.core.scoring import Ranked
from hoi_perception.networks.detection import Detections
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.detect_stage import detect_bucket, DetectModule
from hoi_perception.runtime.interact_stage import interact_bucket, InteractInputs, InteractStage
from hoi_perception.runtime.loading import load_detector
from hoi_perception.runtime.pair_batch import (
    Chosen,
    instance_bucket,
    MOST_INSTANCES,
    pack_pairs,
    PairBatch,
)
from hoi_perception.runtime.preprocess import Placement, shortest_edge_size
from hoi_perception.runtime.prompts import padded_objects
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn.functional import interpolate, normalize

CAMERA = (480, 640)


@dataclass(frozen=True)
class Graph:
    """
    One network of fixed shapes.

    name: 'detector' or 'interaction/<head>'. bucket: its shapes in words, the key under which the
    stages look for an engine. module: in evaluation mode, tensors in, a tuple of tensors out.
    inputs: typical examples by name, in order, on the module's device, contiguous. outputs: names
    in order.
    """

    name: str
    bucket: str
    module: nn.Module
    inputs: Dict[str, Tensor]
    outputs: Tuple[str, ...]


def detector_graph(bundle: Bundle, detector: nn.Module, device: torch.device, batch: int = 1,
                   camera: Tuple[int, int] = CAMERA) -> Graph:
    """
    Return the graph of a bundle's detector, from resized pixels to `Detections.tensors`.

    detector: as `load_detector` gives it, or `DetectStage.network`. camera: (height, width) of the
    source images, which matters where the network image follows it (`shortest_edge`).
    """
    image = bundle.spec.detector.preprocessing
    module = DetectModule(detector, image).eval().to(device)
    pixels = _picture(batch, *detector_size(bundle, camera)).to(device)
    with torch.inference_mode():
        outputs = module(pixels)
    return Graph('detector', detect_bucket(pixels), module, {'pixels': pixels},
                 Detections._fields[:len(outputs)])


def detector_size(bundle: Bundle, camera: Tuple[int, int] = CAMERA) -> Tuple[int, int]:
    """Return (height, width) of the detector's network image."""
    image = bundle.spec.detector.preprocessing
    if image.resize == 'shortest_edge':
        return shortest_edge_size(*camera, image.height, image.width)
    return image.height, image.width


def interaction_graph(bundle: Bundle, stage: InteractStage, batch: int, instances: int,
                      pairs: int, rows: int) -> Graph:
    """
    Return the graph of a head, from CLIP's pixels to the best (pair, row) entries.

    instances, pairs, rows: sizes that frames and prompts are padded to.
    """
    image = bundle.spec.clip.preprocessing
    if image.resize == 'shortest_edge':
        raise BundleError(f'{bundle.path}: CLIP takes images of one size, so they cannot be '
                          'resized by their shortest edge; use stretch or letterbox.')
    dice = np.random.default_rng(0)
    pixels = _picture(batch, image.height, image.width).to(stage.device)
    objects = padded_objects(len(bundle.spec.vocabulary.objects))
    exponents = torch.tensor([stage.spec.human_exponent, stage.spec.object_exponent])
    tensors: Tuple[Tensor, ...] = (
        pixels, *_frame(bundle, stage, batch, instances, pairs, dice),
        *_prompts(stage, rows, objects, dice), exponents.to(stage.device))
    x = InteractInputs(*tensors)
    return Graph(f'interaction/{stage.name}', interact_bucket(x), stage.module,
                 {name: getattr(x, name) for name in stage.module.inputs}, Ranked._fields)


def bundle_graphs(bundle: Bundle, head: str, device: torch.device, batch: int = 1,
                  rows: Optional[Sequence[int]] = None,
                  camera: Tuple[int, int] = CAMERA) -> Iterator[Graph]:
    """
    Yield the detector and the head in every bucket that frames of default options can fall into.

    rows: buckets of prompt rows, None = all of the bundle's. camera: see `detector_graph`. Raises
    `BundleError` where the bundle cannot be used.
    """
    yield detector_graph(bundle, load_detector(bundle, device), device, batch, camera)
    stage = InteractStage(bundle, head, device)
    for count in sorted(rows or bundle.spec.buckets.rows):
        for instances, pairs in frame_buckets(bundle):
            yield interaction_graph(bundle, stage, batch, instances, pairs, count)


def frame_buckets(bundle: Bundle) -> Iterator[Tuple[int, int]]:
    """Yield the (instances, pairs) buckets that frames of default options can fall into."""
    buckets = bundle.spec.buckets
    instances = instance_bucket(0, buckets.instances)
    most = min(instances, MOST_INSTANCES)
    # n instances have at most n * (n - 1) pairs, which must not fit a smaller bucket.
    possible = bucket_for(most * (most - 1), buckets.pairs)
    yield from ((instances, pairs) for pairs in sorted(buckets.pairs) if pairs <= possible)


def _picture(batch: int, height: int, width: int) -> Tensor:
    """Return (B, H, W, 3) uint8 with the smooth shades of a photograph."""
    coarse = torch.rand(batch, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    smooth = interpolate(coarse, (height, width), mode='bicubic').clamp(0, 1) * 255
    return smooth.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _frame(bundle: Bundle, stage: InteractStage, batch: int, instances: int, pairs: int,
           dice: np.random.Generator) -> PairBatch:
    """Return images half of whose instances are people, with all of their pairs that fit."""
    size, names = stage.transform.spec, bundle.spec.vocabulary
    human, objects = names.objects.index(names.human), len(names.objects)
    images = []
    for first in range(0, batch * instances, instances):
        corners = dice.uniform(0, [size.width, size.height], (instances, 2, 2))
        labels = (human + dice.integers(1, max(objects, 2), instances)) % objects
        labels[:(instances + 1) // 2] = human
        found = Instances(np.concatenate([corners.min(1), corners.max(1)], 1).astype(np.float32),
                          np.sort(dice.uniform(0.2, 1, instances))[::-1], labels)
        images.append(Chosen(
            found, candidate_pairs(found.scores, labels == human, pairs),
            np.arange(first, first + instances),
            Placement(1.0, 1.0, 0.0, 0.0, size.width, size.height)))
    queries = torch.from_numpy(dice.standard_normal((batch, instances, stage.head.query_dim)))
    return pack_pairs(images, instances, pairs, queries.float().to(stage.device),
                      stage.head.query_dim, stage.device)


def _prompts(stage: InteractStage, rows: int, objects: int,
             dice: np.random.Generator) -> Tuple[Tensor, ...]:
    """Return a prompt set's tensors from `object_embeddings` to `background_valid`."""
    def texts(count: int, width: int) -> Tensor:
        values = torch.from_numpy(dice.standard_normal((count, width))).float()
        return normalize(values, dim=-1).to(stage.device)

    width = stage.head.feature_dim
    validity = torch.from_numpy(dice.random((rows, objects)) < 0.3).to(stage.device)
    return (texts(objects + 1, stage.head.object_dim), texts(rows, width), validity,
            texts(objects, width), torch.ones(objects, dtype=torch.bool, device=stage.device))
