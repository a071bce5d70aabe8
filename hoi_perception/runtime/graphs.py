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
from functools import partial
from typing import Callable, Dict, Iterator, NamedTuple, Optional, Sequence, Tuple, Union

from hoi_perception.core.errors import BundleError
from hoi_perception.core.pairs import bucket_for, candidate_pairs
from hoi_perception.core.scene import Instances
from hoi_perception.core.scoring import Ranked
from hoi_perception.networks.detection import Detections
from hoi_perception.runtime.bundle import Bundle, ImageSpec
from hoi_perception.runtime.detect_stage import detect_bucket, DetectModule
from hoi_perception.runtime.interact_stage import (
    bucket_name,
    interact_bucket,
    InteractInputs,
    InteractStage,
)
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
from hoi_perception.runtime.relation_stage import (
    load_stage,
    relation_bucket,
    relation_bucket_name,
    RelationInputs,
    RelationRanked,
    RelationStage,
)
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

    instances, pairs, rows: sizes that frames and prompts are padded to. Raises `BundleError` where
    CLIP's images differ in size.
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
        pixels, *_frame(bundle, stage.transform.spec, stage.head.query_dim, stage.device, batch,
                        instances, pairs, dice),
        *_prompts(stage.device, stage.head.feature_dim, stage.head.object_dim, rows, objects,
                  dice), exponents.to(stage.device))
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
    stage = load_stage(bundle, head, device)
    for count in sorted(rows or bundle.spec.buckets.rows):
        for _, make in head_buckets(bundle, stage, batch, count):
            yield make()


class HeadBucket(NamedTuple):
    """A bucket of a head, by the name under which its engine is looked for, and its graph."""

    name: str
    make: Callable[[], Graph]


def head_buckets(bundle: Bundle, stage: Union[InteractStage, RelationStage], batch: int,
                 rows: int) -> Iterator[HeadBucket]:
    """Yield a head's buckets for so many images and prompt rows; graphs are made when asked."""
    objects = padded_objects(len(bundle.spec.vocabulary.objects))
    if isinstance(stage, RelationStage):
        instances = instance_bucket(0, bundle.spec.buckets.instances)
        yield HeadBucket(relation_bucket_name(batch, instances, rows, objects),
                         partial(relation_graph, bundle, stage, batch, instances, rows))
        return
    for instances, pairs in frame_buckets(bundle):
        yield HeadBucket(bucket_name(batch, instances, pairs, rows, objects),
                         partial(interaction_graph, bundle, stage, batch, instances, pairs, rows))


def relation_graph(bundle: Bundle, stage: RelationStage, batch: int, instances: int,
                   rows: int) -> Graph:
    """
    Return the graph of a set-prediction head, from a trunk's output to the best entries.

    instances, rows: sizes that frames and prompts are padded to.
    """
    dice, config = np.random.default_rng(0), stage.network.config
    image = bundle.spec.detector.preprocessing
    frame = _frame(bundle, image, config.query_dim, stage.device, batch, instances, 1, dice)
    with torch.inference_mode():
        picture = torch.zeros(1, image.height, image.width, 3, dtype=torch.uint8)
        outputs = DetectModule(load_detector(bundle, torch.device('cpu')), image)(picture)
    grid = Detections.from_tensors(outputs).prototypes.shape[1:]
    pixels = torch.from_numpy(dice.standard_normal((batch, *grid))).float().to(stage.device)
    objects = padded_objects(len(bundle.spec.vocabulary.objects))
    _, texts, validity, *_ = _prompts(stage.device, stage.trunk.embed_dim, 0, rows, objects, dice)
    exponents = torch.tensor([stage.spec.human_exponent, stage.spec.object_exponent])
    x = RelationInputs(frame.queries, frame.boxes, frame.scores, frame.labels, frame.box_mask,
                       pixels, texts, validity, exponents.to(stage.device))
    return Graph(stage.title, relation_bucket(x), stage.module, x._asdict(),
                 RelationRanked._fields)


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


def _frame(bundle: Bundle, size: ImageSpec, query_dim: int, device: torch.device, batch: int,
           instances: int, pairs: int, dice: np.random.Generator) -> PairBatch:
    """Return images half of whose instances are people, with all of their pairs that fit."""
    names = bundle.spec.vocabulary
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
    queries = torch.from_numpy(dice.standard_normal((batch, instances, query_dim)))
    return pack_pairs(images, instances, pairs, queries.float().to(device), query_dim, device)


def _prompts(device: torch.device, width: int, object_dim: int, rows: int, objects: int,
             dice: np.random.Generator) -> Tuple[Tensor, ...]:
    """Return a prompt set's tensors from `object_embeddings` to `background_valid`."""
    def texts(count: int, width: int) -> Tensor:
        values = torch.from_numpy(dice.standard_normal((count, width))).float()
        return normalize(values, dim=-1).to(device)

    validity = torch.from_numpy(dice.random((rows, objects)) < 0.3).to(device)
    return (texts(objects + 1, object_dim), texts(rows, width), validity,
            texts(objects, width), torch.ones(objects, dtype=torch.bool, device=device))
