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

"""Box and mask average precision of a detector by the COCO protocol (pycocotools)."""

import contextlib
import io
from pathlib import Path
import time
from typing import Iterator, List, Optional, Sequence

from hoi_perception.networks.dense_detector import DenseDetector, DenseDetectorConfig
from hoi_perception.networks.detection import Detections
from hoi_trainer.synthetic import load, SceneRecord
from hoi_trainer.training.weights import read_weights
import numpy as np
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import batched_nms

MINIMUM_SCORE = 0.01
OVERLAP = 0.5


def evaluate_detector(weights: Path, data: Path, limit: Optional[int] = None,
                      batch_size: int = 64) -> dict:
    """Return the metrics of `detector_metrics` for weights that `hoi-trainer fit` wrote."""
    config, state = read_weights(weights)
    network = DenseDetector(DenseDetectorConfig.from_mapping(config))
    network.load_state_dict(state)
    scenes = load(data)
    return detector_metrics(network.fold_normalisation(), scenes.images[:limit],
                            scenes.instance_maps[:limit], scenes.scenes[:limit], batch_size)


def detector_metrics(network: DenseDetector, images: np.ndarray, maps: np.ndarray,
                     scenes: Sequence[SceneRecord], batch_size: int = 64) -> dict:
    """
    Return AP and AP50 of boxes and masks, AP50 per class, and counts.

    images: (N, H, W, 3) uint8 RGB. maps: (N, H, W) uint8 instance maps. scenes: N records
    with `labels`. Ground truth are the visible extents in the maps.
    """
    start = time.monotonic()
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    network = network.to(device).eval()
    results = []
    for first in range(0, len(images), batch_size):
        pixels = torch.from_numpy(np.array(images[first:first + batch_size])).to(device)
        results += _coco_results(detect(network, pixels), pixels.shape[1:3], first)
    truth = coco_truth(maps, scenes, network.config.classes)
    metrics = {'scenes': len(images), 'instances': len(truth.dataset['annotations']),
               'detections': len(results)}
    for kind, name in (('bbox', 'box'), ('segm', 'mask')):
        metrics.update(average_precision(truth, results, kind, name))
    metrics['seconds'] = round(time.monotonic() - start, 1)
    return metrics


@torch.inference_mode()
def detect(network: DenseDetector, pixels: Tensor) -> Detections:
    """Return the detections in (B, H, W, 3) uint8 images, which are stretched to the network."""
    images = functional.interpolate(
        pixels.permute(0, 3, 1, 2).float() / 255, size=tuple(network.config.image_size),
        mode='bilinear', antialias=True)
    mean, std = (images.new_tensor(value)[:, None, None]
                 for value in (network.config.mean, network.config.std))
    return network((images - mean) / std)


def _kept(found: Detections) -> Tensor:
    """Return (B, K) bool: detections that survive class-wise non-maximum suppression."""
    batch, count = found.scores.shape
    group = torch.arange(batch, device=found.scores.device)[:, None] * 1000 + found.labels
    # Double precision because batched_nms shifts each group by an offset.
    kept = batched_nms(found.boxes.flatten(0, 1).double(), found.scores.flatten().double(),
                       group.flatten(), OVERLAP)
    keep = torch.zeros(batch * count, dtype=torch.bool, device=group.device)
    keep[kept] = True
    return keep.view(batch, count) & (found.scores >= MINIMUM_SCORE)


def instance_masks(found: Detections, image: int, chosen: Tensor, size) -> Tensor:
    """Return (n, *size) bool masks of the chosen (n,) instances of one image, cropped to boxes."""
    height, width = size
    soft = torch.einsum('nm,mhw->nhw', found.coefficients[image, chosen],
                        found.prototypes[image]).sigmoid()
    soft = functional.interpolate(soft[None], size=tuple(size), mode='bilinear')[0]
    boxes = found.boxes[image, chosen, :, None, None]
    x = (torch.arange(width, device=soft.device) + 0.5) / width
    y = (torch.arange(height, device=soft.device)[:, None] + 0.5) / height
    inside = (x >= boxes[:, 0]) & (x <= boxes[:, 2]) & (y >= boxes[:, 1]) & (y <= boxes[:, 3])
    return (soft > 0.5) & inside


def _coco_results(found: Detections, size, first: int) -> Iterator[dict]:
    keep = _kept(found)
    height, width = size
    scale = found.boxes.new_tensor([width, height, width, height])
    for image in range(len(keep)):
        chosen = keep[image].nonzero()[:, 0]
        if not len(chosen):
            continue
        masks = instance_masks(found, image, chosen, size).to(torch.uint8)
        encoded = rle.encode(np.asfortranarray(masks.permute(1, 2, 0).cpu().numpy()))
        boxes = (found.boxes[image, chosen] * scale).cpu().numpy()
        scores = found.scores[image, chosen].tolist()
        labels = found.labels[image, chosen].tolist()
        for box, score, label, mask in zip(boxes, scores, labels, encoded):
            x1, y1, x2, y2 = map(float, box)
            yield {'image_id': first + image + 1, 'category_id': label + 1, 'score': score,
                   'bbox': [x1, y1, x2 - x1, y2 - y1], 'segmentation': mask}


def coco_truth(maps: np.ndarray, scenes: Sequence[SceneRecord], classes: int) -> COCO:
    """Return the ground truth of instance maps in pycocotools' form."""
    annotations = []
    for number, (scene, instance_map) in enumerate(zip(scenes, maps)):
        instance_map = np.asarray(instance_map)
        index = np.arange(1, len(scene.labels) + 1, dtype=np.uint8)
        encoded = rle.encode(np.asfortranarray(instance_map[..., None] == index, dtype=np.uint8))
        for mask, label in zip(encoded, scene.labels):
            area = float(rle.area(mask))
            if area:
                annotations.append({
                    'id': len(annotations) + 1, 'image_id': number + 1, 'iscrowd': 0,
                    'category_id': int(label) + 1, 'area': area, 'segmentation': mask,
                    'bbox': rle.toBbox(mask).tolist()})
    coco = COCO()
    coco.dataset = {
        'images': [{'id': i + 1, 'height': maps.shape[1], 'width': maps.shape[2]}
                   for i in range(len(scenes))],
        'annotations': annotations,
        'categories': [{'id': i + 1, 'name': str(i)} for i in range(classes)]}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def average_precision(truth: COCO, results: List[dict], kind: str, name: str) -> dict:
    """Return AP, AP50 and AP50 per class of COCO results; kind is `bbox` or `segm`."""
    if not results:
        return {f'{name}_ap': 0.0, f'{name}_ap50': 0.0, f'{name}_ap50_per_class': []}
    with contextlib.redirect_stdout(io.StringIO()):
        found = truth.loadRes([dict(result) for result in results])
        run = COCOeval(truth, found, kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    precision = run.eval['precision'][0, :, :, 0, -1]
    per_class = [round(float(p[p > -1].mean()), 4) if (p > -1).any() else None
                 for p in precision.T]
    return {f'{name}_ap': round(float(run.stats[0]), 4),
            f'{name}_ap50': round(float(run.stats[1]), 4), f'{name}_ap50_per_class': per_class}
