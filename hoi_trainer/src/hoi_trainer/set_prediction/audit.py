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
What the pseudo-label masks of a split are worth, as a report with pictures.

Beside what any data set allows (how many pairs have masks, how well the box around the union fits
the annotated boxes) synthetic scenes have exact masks, with which the pseudo-labels are compared.
"""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional

import cv2
from hoi_perception.core.errors import HoiError
from hoi_perception.networks.pair_geometry import box_iou
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.interaction.data_module import SLOTS
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.set_prediction.data import SetSplit
from hoi_trainer.set_prediction.pseudo_masks import enclosing, unpack
from hoi_trainer.set_prediction.targets import distinct_pairs
from hoi_trainer.synthetic import load
import numpy as np
import torch
from torch import Tensor

PICTURES = 12
BLUE, GREEN, GREY = (200, 110, 40), (60, 200, 60), (160, 160, 160)


def audit_masks(bundle: Path, data: Path, directory: Path, cache: Path,
                limit: Optional[int] = None, images: Optional[Path] = None) -> Dict[str, Any]:
    """
    Write `masks.json`, `masks.md` and pictures below a directory; return the figures.

    data, images: see `open_dataset`. cache: of the trunk's outputs. Raises `HoiError`.
    """
    opened = Bundle.open(bundle)
    split = SetSplit(opened, open_dataset(data, limit, images), cache, SLOTS)
    mask = split.targets.mask
    if not mask.any():
        raise HoiError(f'{data} has no annotated pair: there are no masks to look at.')
    flags = torch.from_numpy(np.array(split.trunk.flags))
    hulls = enclosing(split.targets.humans, split.targets.objects)
    around = box_iou(torch.from_numpy(np.array(split.trunk.union_boxes)), hulls)
    valid = mask & flags[..., 0]
    report: Dict[str, Any] = {
        'bundle': opened.model_id, 'data': str(data), 'images': split.count,
        'pairs': int(mask.sum()),
        'valid_union': _share(valid, mask), 'valid_intersection': _share(
            mask & flags[..., 1], mask), 'contact_band': _share(mask & flags[..., 2], mask),
        'box_iou': round(float(around[valid].mean()), 4) if valid.any() else None}
    names = opened.spec.core_vocabulary().objects
    report['valid_union_by_object'] = {
        name: _share(valid & (split.targets.labels == label),
                     mask & (split.targets.labels == label))
        for label, name in enumerate(names) if (mask & (split.targets.labels == label)).any()}
    if (data / 'instance_maps.npy').is_file():
        report['union_iou_with_exact_masks'] = _against_exact(split, load(data), valid)
    directory.mkdir(parents=True, exist_ok=True)
    report['pictures'] = _draw(split, directory, valid)
    (directory / 'masks.json').write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    (directory / 'masks.md').write_text(_page(report), encoding='utf-8')
    return report


def _share(part: Tensor, whole: Tensor) -> float:
    return round(float(part.sum()) / max(float(whole.sum()), 1.0), 4)


def _unions(split: SetSplit, index: int) -> Tensor:
    """Return the (G, h, w) union masks of an image."""
    packed = torch.from_numpy(np.array(split.trunk.union[index]))
    return unpack(packed, *split.trunk.pixels.shape[-2:])


def _against_exact(split: SetSplit, scenes: Any, valid: Tensor) -> Optional[float]:
    """Return the mean IoU of valid union masks with those of the exact instance maps."""
    height, width = split.trunk.pixels.shape[-2:]
    overlaps: List[float] = []
    for index in range(split.count):
        if not valid[index].any():
            continue
        scene = scenes.scenes[int(split.dataset.records[index].image)]
        coarse = cv2.resize(np.asarray(
            scenes.instance_maps[int(split.dataset.records[index].image)]), (width, height),
            interpolation=cv2.INTER_NEAREST_EXACT)
        first, _ = distinct_pairs(split.dataset.records[index])
        boxes = scene.boxes.tolist()
        for pair, union in enumerate(_unions(split, index).numpy()):
            if not valid[index, pair]:
                continue
            record = split.dataset.records[index]
            owners = [boxes.index(sides[first[pair]].tolist()) + 1
                      for sides in (record.human_boxes, record.object_boxes)]
            truth = np.isin(coarse, owners)
            overlaps.append(float((union & truth).sum() / max((union | truth).sum(), 1)))
    return round(float(np.mean(overlaps)), 4) if overlaps else None


def _draw(split: SetSplit, directory: Path, valid: Tensor) -> List[str]:
    """Draw pairs of images spread over the split: union blue, intersection or contact green."""
    wanted = np.flatnonzero(split.annotated.numpy())
    chosen = wanted[np.unique(np.linspace(0, len(wanted) - 1, PICTURES).astype(int))]
    files = []
    for index in chosen.tolist():
        picture = np.ascontiguousarray(split.dataset.image(index)[..., ::-1])
        record, size = split.dataset.records[index], picture.shape[1::-1]
        both = unpack(torch.from_numpy(np.array(split.trunk.intersection[index])),
                      *split.trunk.pixels.shape[-2:])
        for masks, colour in ((_unions(split, index), BLUE), (both, GREEN)):
            area = masks.any(0).numpy().astype(np.uint8)
            inside = cv2.resize(area, size, interpolation=cv2.INTER_NEAREST) > 0
            picture[inside] = (picture[inside] * 0.45 + np.array(colour) * 0.55).astype(np.uint8)
        first, _ = distinct_pairs(record)
        for pair, row in enumerate(first):
            colour = BLUE if valid[index, pair] else GREY
            for box in (record.human_boxes[row], record.object_boxes[row]):
                x1, y1, x2, y2 = box.astype(int).tolist()
                cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 1)
        name = f'masks_{index:06d}.jpg'
        cv2.imwrite(str(directory / name), picture)
        files.append(name)
    return files


def _page(report: Dict[str, Any]) -> str:
    """Return the report as Markdown."""
    plain = {name: value for name, value in report.items() if not isinstance(value, (dict, list))}
    lines = ['# Pseudo-label masks', '',
             'Blue: union of a pair. Green: intersection or contact band. Grey boxes: pairs '
             'without masks.', '', '| figure | value |', '| --- | --- |',
             *(f'| {name} | {value} |' for name, value in plain.items()), '',
             '| object | share of pairs with a union mask |', '| --- | --- |',
             *(f'| {name} | {value} |'
               for name, value in report['valid_union_by_object'].items()), '',
             *(f'![{name}]({name})' for name in report['pictures']), '']
    return '\n'.join(lines)
