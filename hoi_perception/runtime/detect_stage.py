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

"""From images to instances: detector, duplicates removed, boxes in source pixels."""

from dataclasses import dataclass
from typing import cast, List, Optional, Sequence, Tuple

from hoi_perception.core import boxes as box_arithmetic
from hoi_perception.core.errors import HoiError
from hoi_perception.core.masks import instance_masks
from hoi_perception.core.scene import Instances, Mask
from hoi_perception.networks.detection import Detections
from hoi_perception.runtime.bundle import Bundle, ImageSpec
from hoi_perception.runtime.engine_stage import EngineStage
from hoi_perception.runtime.loading import class_map, load_detector
from hoi_perception.runtime.preprocess import ImageTransform, Normalise, Placement
import numpy as np
import torch
from torch import nn, Tensor

MIN_SIDE = 1e-3


@dataclass(frozen=True)
class Found:
    """
    The instances of one image before selection.

    instances: boxes in source pixels, labels index the vocabulary's objects. rows: (N,) index of
    each among the detector's K outputs (empty for boxes given from outside).
    """

    instances: Instances
    rows: np.ndarray


class DetectModule(nn.Module):
    """A detector from pixels on: (B, H, W, 3) uint8 RGB in, `Detections.tensors` out."""

    def __init__(self, network: nn.Module, image: ImageSpec) -> None:
        super().__init__()
        self.normalise, self.network = Normalise(image), network

    def forward(self, pixels: Tensor) -> Tuple[Tensor, ...]:
        """Return `Detections.tensors` (shapes there) of (B, H, W, 3) uint8 pixels."""
        output: Detections = self.network(self.normalise(pixels))
        return output.tensors()


def detect_bucket(pixels: Tensor) -> str:
    """Return the name of the shape, which an engine was built for."""
    batch, height, width = pixels.shape[:3]
    return f'batch{batch}-{height}x{width}'


class DetectStage(EngineStage):
    """The bundle's detector with its preprocessing."""

    module: DetectModule

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        spec = bundle.spec
        image = spec.detector.preprocessing
        network = load_detector(bundle, device)
        super().__init__('detector', DetectModule(network, image).eval().to(device))
        self.transform = ImageTransform(image, device)
        self.query_dim = int(cast(int, self.network.query_dim))
        self._thin = spec.detector.kind == 'dense' or spec.detector.suppress
        self._clip = spec.detector.clip_boxes
        self._nms_iou = spec.thresholds.nms_iou
        self._objects = np.array(class_map(spec), dtype=np.int64)

    @property
    def network(self) -> nn.Module:
        """The detector itself."""
        return self.module.network

    def prepare(self, images: Sequence[np.ndarray]) -> List[Tensor]:
        """Return resized images on the device, one (B, H, W, 3) per run of equal sizes."""
        runs: List[List[np.ndarray]] = []
        for image in images:
            if runs and runs[-1][0].shape == image.shape:
                runs[-1].append(image)
            else:
                runs.append([image])
        return [self.transform.pixels(run) for run in runs]

    def detect(self, inputs: Sequence[Tensor]) -> Tuple[Detections, np.ndarray]:
        """
        Run the network; also return (B, K, 6) boxes, scores and labels on the host.

        This copy is the stage's only synchronisation with the device. Raises `HoiError` on NaN.
        """
        outputs = [Detections.from_tensors(self._call(detect_bucket(pixels), (pixels,)))
                   for pixels in inputs]
        output = outputs[0] if len(outputs) == 1 else Detections(*map(torch.cat, zip(*outputs)))
        packed = torch.cat([output.boxes, output.scores[..., None],
                            output.labels[..., None].to(output.boxes.dtype)], -1)
        host = packed.cpu().numpy()
        if not np.isfinite(host).all():
            raise HoiError('the detector returned NaN or infinity: its weights or the device are '
                           'at fault; check the bundle with `hoi bundle verify`.')
        return output, host

    def find(self, host: np.ndarray, placement: Placement, width: int, height: int) -> Found:
        """Return the instances of one image from its (K, 6) rows, best first."""
        scores, classes = host[:, 4], host[:, 5].astype(np.int64)
        known = (classes >= 0) & (classes < len(self._objects))
        labels = np.where(known, self._objects[np.where(known, classes, 0)], -1)
        size = np.array([placement.width, placement.height] * 2, dtype=np.float32)
        boxes = placement.to_source(host[:, :4] * size)
        usable = (scores > 0) & (labels >= 0)
        if self._clip:
            boxes = box_arithmetic.clip(boxes, width, height)
            usable &= ((boxes[:, 2:] - boxes[:, :2]) > MIN_SIDE).all(1)
        rows = np.flatnonzero(usable)
        if self._thin:
            rows = rows[box_arithmetic.nms(boxes[rows], scores[rows], labels[rows],
                                           self._nms_iou)]
        else:
            rows = rows[np.argsort(-scores[rows], kind='stable')]
        return Found(Instances(boxes[rows], scores[rows], labels[rows]), rows)

    def masks(self, output: Detections, image: int, rows: np.ndarray, boxes: np.ndarray,
              placement: Placement, width: int, height: int) -> List[Mask]:
        """Return the masks of the (n,) detector rows, cut to boxes (n, 4), in source size."""
        if output.coefficients.shape[-1] == 0 or len(rows) == 0:
            return []
        index = torch.from_numpy(rows).to(output.coefficients.device)
        prototypes = output.prototypes[image]
        logits = output.coefficients[image, index] @ prototypes.flatten(1)
        grids = logits.view(-1, *prototypes.shape[1:]).float().cpu().numpy()
        size = placement.width, placement.height
        return instance_masks(
            grids, boxes, width, height,
            (placement.scale_x / size[0], placement.scale_y / size[1]),
            (placement.offset_x / size[0], placement.offset_y / size[1]))


def check_instances(instances: Optional[Sequence[Optional[Instances]]], count: int,
                    objects: int) -> List[Optional[Instances]]:
    """Return one entry per image (None = detect), or raise `HoiError` on unusable boxes."""
    if instances is None:
        return [None] * count
    if len(instances) != count:
        raise HoiError(f'{len(instances)} lists of instances were given for {count} images: give '
                       'one per image, None where the detector shall run.')
    for given in instances:
        if given is None or len(given) == 0:
            continue
        if not np.isfinite(given.boxes).all() or not np.isfinite(given.scores).all():
            raise HoiError('a given instance has NaN or infinity in its box or score: remove it.')
        if np.abs(given.boxes).max() > box_arithmetic.FARTHEST:
            raise HoiError(f'a given instance has a box {np.abs(given.boxes).max():.3g} pixels '
                           f'away: boxes lie within {box_arithmetic.FARTHEST:.0f} pixels of the '
                           "image's corner.")
        if given.scores.min() < 0 or given.scores.max() > 1:
            raise HoiError('a given instance has a score outside 0..1: scale the scores.')
        if given.labels.min() < 0 or given.labels.max() >= objects:
            raise HoiError(f'a given instance has label {given.labels.max()}, but the vocabulary '
                           f'has {objects} objects: labels index its objects.')
    return list(instances)
