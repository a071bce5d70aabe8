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
How far geometry alone goes in the synthetic world, and how far pixels go.

Two classifiers of ground-truth pairs with the same sampling, loss, learning rates, schedule and
stopping rule: an MLP on object class and box geometry, and a small ResNet on the pair's crop.
"""

from dataclasses import dataclass
import json
import math
from pathlib import Path
import time
from typing import Callable, Dict, Optional, Tuple

from hoi_trainer.synthetic.dataset import load, SyntheticSet
from hoi_trainer.synthetic.vocabulary import COMBINATIONS, NO_INTERACTION, OBJECTS, PERSON, VERBS
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional
from torchvision.ops import roi_align

LEARNING_RATES = (5e-4, 1.5e-3, 4e-3)
N_VERBS, N_OBJECTS = NO_INTERACTION, len(OBJECTS)


def validity() -> np.ndarray:
    """Return which verbs go with which object class, (objects, verbs) bool."""
    valid = np.zeros((N_OBJECTS, N_VERBS), bool)
    for verb, label in COMBINATIONS:
        valid[label, verb] = True
    return valid


@dataclass(frozen=True)
class Pairs:
    """
    All (person, other instance) pairs of a set.

    image: (P,) index. humans, objects: (P, 4) boxes in pixels. labels: (P,) of the object.
    targets: (P, verbs) bool. size: (width, height) of the images.
    """

    image: np.ndarray
    humans: np.ndarray
    objects: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    size: Tuple[int, int]

    def __getitem__(self, index) -> 'Pairs':
        return Pairs(self.image[index], self.humans[index], self.objects[index],
                     self.labels[index], self.targets[index], self.size)

    def __len__(self) -> int:
        return len(self.image)


def pairs_of(data: SyntheticSet, limit: Optional[int] = None) -> Pairs:
    """Enumerate the pairs of the first `limit` scenes, persons as objects included."""
    rows = []
    for i, scene in enumerate(data.scenes[:limit]):
        human, thing = np.nonzero(
            (scene.labels == PERSON)[:, None] & ~np.eye(len(scene.labels), dtype=bool))
        targets = np.zeros((len(scene.labels), len(scene.labels), N_VERBS), bool)
        targets[scene.triplets[:, 0], scene.triplets[:, 2], scene.triplets[:, 1]] = True
        rows.append((np.full(len(human), i), scene.boxes[human], scene.boxes[thing],
                     scene.labels[thing], targets[human, thing]))
    first = data.scenes[0]
    return Pairs(*map(np.concatenate, zip(*rows)), (first.width, first.height))


def geometry(pairs: Pairs) -> np.ndarray:
    """
    Return the 36 numbers of UPT's pair encoding (P, 36) float32.

    Source: ops.py of UPT, with ratios clamped to 10 and eps 1e-4 before the logarithm, because
    the raw ones are unbounded.
    """
    width, height = pairs.size
    h, o = pairs.humans.astype(np.float64), pairs.objects.astype(np.float64)
    c1, c2 = (h[:, :2] + h[:, 2:]) / 2, (o[:, :2] + o[:, 2:]) / 2
    s1, s2 = h[:, 2:] - h[:, :2], o[:, 2:] - o[:, :2]
    a1, a2 = s1.prod(1), s2.prod(1)
    overlap = np.clip(np.minimum(h[:, 2:], o[:, 2:]) - np.maximum(h[:, :2], o[:, :2]), 0, None)
    inter = overlap.prod(1)
    delta = (c2 - c1) / s1
    scale = np.array([width, height])
    f = np.column_stack([
        c1 / scale, c2 / scale, s1 / scale, s2 / scale, a1 / (width * height),
        a2 / (width * height), a2 / a1, s1[:, 0] / s1[:, 1], s2[:, 0] / s2[:, 1],
        inter / (a1 + a2 - inter), np.maximum(delta[:, 0], 0), np.maximum(-delta[:, 0], 0),
        np.maximum(delta[:, 1], 0), np.maximum(-delta[:, 1], 0)])
    f = np.clip(f, 0, 10)
    return np.concatenate([f, np.log(f + 1e-4)], 1).astype(np.float32)


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the interpolated precision-recall curve; ties go to the negative."""
    order = np.lexsort((positive, -scores))
    hits = positive[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(precision[hits].mean())


def evaluate(scores: np.ndarray, pairs: Pairs) -> Dict[str, float]:
    """
    Return AP by 'verb object' over all pairs with that object.

    Only combinations with at least one positive; scores: (P, verbs).
    """
    result = {}
    for verb, label in sorted(COMBINATIONS):
        mine = pairs.labels == label
        positive = pairs.targets[mine, verb]
        if positive.any():
            result[f'{VERBS[verb]} {OBJECTS[label]}'] = average_precision(
                scores[mine, verb], positive)
    return result


def mean(values) -> float:
    """Return the mean of a mapping's values."""
    return float(np.mean(list(values.values())))


class GeometryMlp(nn.Module):
    """Object one-hot and standardised geometry to verb logits."""

    def __init__(self, average: Tensor, deviation: Tensor, width: int = 384) -> None:
        super().__init__()
        self.register_buffer('average', average)
        self.register_buffer('deviation', deviation)
        layers, size = [], N_OBJECTS + len(average)
        for _ in range(3):
            layers += [nn.Linear(size, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(0.1)]
            size = width
        self.layers = nn.Sequential(*layers, nn.Linear(size, N_VERBS))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Map (B, 36) and (B,) to (B, verbs)."""
        features = (features - self.average) / self.deviation
        return self.layers(torch.cat([features, functional.one_hot(labels, N_OBJECTS)], 1))


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(),
            nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer))
        self.skip = nn.Identity() if inner == outer and stride == 1 else nn.Sequential(
            nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.skip(x))


class CropClassifier(nn.Module):
    """A small ResNet on RGB and the two box masks; the object one-hot joins at the end."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(5, width, 5, 2, 2, bias=False),
                                  nn.BatchNorm2d(width), nn.ReLU())
        stages, size = [], width
        for k in range(4):
            stages += [_Block(size, width << k, 1 + (k > 0)), _Block(width << k, width << k, 1)]
            size = width << k
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(nn.Linear(size + N_OBJECTS, 256), nn.ReLU(), nn.Dropout(0.2),
                                  nn.Linear(256, N_VERBS))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Map (B, 5, S, S) and (B,) to (B, verbs)."""
        pooled = self.stages(self.stem(images)).mean((2, 3))
        return self.head(torch.cat([pooled, functional.one_hot(labels, N_OBJECTS)], 1).to(
            pooled.dtype))


def windows(pairs: Pairs) -> np.ndarray:
    """Return the union boxes grown by a tenth (P, 4) in pixels, inside the image."""
    low = np.minimum(pairs.humans[:, :2], pairs.objects[:, :2])
    high = np.maximum(pairs.humans[:, 2:], pairs.objects[:, 2:])
    margin = 0.1 * (high - low)
    return np.concatenate([np.maximum(low - margin, 0),
                           np.minimum(high + margin, pairs.size)], 1).astype(np.float32)


def extract_crops(images: np.ndarray, pairs: Pairs, size: int, device, chunk: int = 64) -> Tensor:
    """Cut the union boxes out once, (P, 3, size, size) uint8 on the device."""
    crops = torch.empty((len(pairs), 3, size, size), dtype=torch.uint8, device=device)
    boxes = torch.from_numpy(windows(pairs)).to(device)
    bounds = np.searchsorted(pairs.image, np.arange(0, pairs.image[-1] + chunk + 1, chunk))
    for k, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:])):
        if start == stop:
            continue
        batch = torch.from_numpy(np.array(images[k * chunk:(k + 1) * chunk])).to(device)
        batch = batch.permute(0, 3, 1, 2).float()
        owner = torch.from_numpy(pairs.image[start:stop] - k * chunk).to(device).float()
        cut = roi_align(batch, torch.cat([owner[:, None], boxes[start:stop]], 1), size,
                        sampling_ratio=2, aligned=True)
        crops[start:stop] = cut.round().clamp(0, 255).byte()
    return crops


def with_masks(crops: Tensor, boxes: Tensor, flip: Optional[Tensor] = None,
               light: Optional[Tensor] = None) -> Tensor:
    """
    Return network input (B, 5, S, S).

    boxes: (B, 2, 4) human and object in 0..1 of the crop. flip: (B,) bool. light: (B, 3) factors.
    """
    size = crops.shape[-1]
    images = crops.float() / 127.5 - 1
    if light is not None:
        images = images * light[:, :, None, None]
    grid = (torch.arange(size, device=crops.device) + 0.5) / size
    x1, y1, x2, y2 = boxes.unbind(-1)
    across = (grid >= x1[..., None]) & (grid <= x2[..., None])
    down = (grid >= y1[..., None]) & (grid <= y2[..., None])
    images = torch.cat([images, (down[..., :, None] & across[..., None, :]).float()], 1)
    return images if flip is None else torch.where(
        flip[:, None, None, None], images.flip(-1), images)


@dataclass(frozen=True)
class Source:
    """Targets and a function from pair indices (and training or not) to the model's input."""

    pairs: Pairs
    labels: Tensor
    targets: Tensor
    inputs: Callable[[Tensor, bool], Tensor]


def _source(pairs: Pairs, device, inputs) -> Source:
    return Source(pairs, torch.from_numpy(pairs.labels).to(device),
                  torch.from_numpy(pairs.targets).to(device).float(), inputs)


def geometry_source(pairs: Pairs, device) -> Source:
    """Serve the 36 numbers."""
    features = torch.from_numpy(geometry(pairs)).to(device)
    return _source(pairs, device, lambda index, training: features[index])


def crop_source(data: SyntheticSet, pairs: Pairs, size: int, device) -> Source:
    """Serve crops with masks, mirrored and re-lit in training."""
    crops = extract_crops(data.images, pairs, size, device)
    frame = windows(pairs)
    extent = np.tile(frame[:, 2:] - frame[:, :2], 2)[:, None]
    boxes = (np.stack([pairs.humans, pairs.objects], 1) - np.tile(frame[:, :2], 2)[:, None])
    boxes = torch.from_numpy((boxes / extent).astype(np.float32)).to(device)

    def inputs(index: Tensor, training: bool) -> Tensor:
        flip = light = None
        if training:
            flip = torch.rand(len(index), device=device) < 0.5
            light = 1 + 0.15 * torch.randn(len(index), 3, device=device)
        return with_masks(crops[index], boxes[index], flip, light)

    return _source(pairs, device, inputs)


def predict(model: nn.Module, source: Source, batch: int = 1024) -> np.ndarray:
    """Return the logits (P, verbs)."""
    model.eval()
    with torch.inference_mode():
        device = source.labels.device
        parts = [model(source.inputs(index, False), source.labels[index]).float()
                 for index in torch.arange(len(source.pairs), device=device).split(batch)]
    return torch.cat(parts).cpu().numpy()


def train(model: nn.Module, training: Source, validation: Source, rate: float, minutes: float,
          batch: int = 256, most_epochs: int = 60, negatives: float = 3.0,
          patience: int = 12) -> Tuple[float, dict, int]:
    """
    Train within the minutes; returns (best validation mAP, its weights, steps).

    Each epoch sees all positive pairs and `negatives` times as many others, drawn anew; AdamW
    with warm-up and cosine by the share of time or epochs used; multi-label BCE over the verbs
    that go with the object; stops early when the validation mAP no longer rises.
    """
    device = training.labels.device
    valid = torch.from_numpy(validity()).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.02)
    positive = training.targets.any(1).nonzero()[:, 0]
    others = (~training.targets.any(1)).nonzero()[:, 0]
    best, weights, steps, worse, began = -1.0, {}, 0, 0, time.monotonic()
    for epoch in range(most_epochs):
        model.train()
        drawn = torch.randperm(len(others), device=device)[:int(negatives * len(positive))]
        order = torch.cat([positive, others[drawn]])
        order = order[torch.randperm(len(order), device=device)]
        batches = order.split(batch)
        for k, index in enumerate(batches):
            used = max((time.monotonic() - began) / 60 / minutes,
                       (epoch + k / len(batches)) / most_epochs)
            if used >= 1 or len(index) < 2:
                break
            for group in optimizer.param_groups:
                group['lr'] = rate * min(1.0, used / 0.05 + 0.02) * (
                    0.01 + 0.99 * (1 + math.cos(math.pi * used)) / 2)
            half = device.type == 'cuda'
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                logits = model(training.inputs(index, True), training.labels[index])
            keep = valid[training.labels[index]]
            loss = functional.binary_cross_entropy_with_logits(
                logits.float()[keep], training.targets[index][keep])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            steps += 1
        score = mean(evaluate(predict(model, validation), validation.pairs))
        print(f'  rate {rate:g} epoch {epoch} loss {float(loss.detach()):.4f} val mAP {score:.4f} '
              f'{time.monotonic() - began:.0f} s', flush=True)
        worse = 0 if score > best else worse + 1
        if score > best:
            best = score
            weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        if time.monotonic() - began > 60 * minutes or worse >= patience:
            break
    return best, weights, steps


def _fit(make: Callable[[], nn.Module], sources, minutes: float, seed: int = 0) -> dict:
    """Try every learning rate, keep the best on validation, and report it on the test pairs."""
    training, validation, test = sources
    runs = []
    for rate in LEARNING_RATES:
        torch.manual_seed(seed)
        model = make().to(training.labels.device)
        score, weights, steps = train(model, training, validation, rate,
                                      minutes / len(LEARNING_RATES))
        runs.append((score, rate, steps, weights))
    score, rate, steps, weights = max(runs, key=lambda run: run[0])
    model.load_state_dict(weights)
    by_class = evaluate(predict(model, test), test.pairs)
    return {'map': mean(by_class), 'val_map': score, 'learning_rate': rate, 'steps': steps,
            'parameters': sum(p.numel() for p in model.parameters()),
            'val_map_by_rate': {f'{r:g}': s for s, r, _, _ in runs}, 'ap': by_class}


def run_baselines(data_dir, out_json, device: str = 'cuda', max_minutes: float = 30.0,
                  crop: int = 128, width: int = 32, limit: Optional[int] = None) -> dict:
    """
    Train and test both classifiers on `data_dir`/{train,val,test}; writes and returns a report.

    Most crops that stay in device memory are 3 * crop^2 bytes per pair (about 12 per scene).
    limit: use only the first so many scenes of each split.
    """
    torch_device = torch.device(device)
    sets = [load(Path(data_dir) / split) for split in ('train', 'val', 'test')]
    pairs = [pairs_of(data, limit) for data in sets]
    chance = mean(evaluate(np.zeros(pairs[2].targets.shape), pairs[2]))
    features = torch.from_numpy(geometry(pairs[0]))
    mlp = _fit(lambda: GeometryMlp(features.mean(0), features.std(0) + 1e-3),
               [geometry_source(p, torch_device) for p in pairs], 0.15 * max_minutes)
    print(f'geometry MLP: test mAP {mlp["map"]:.4f}', flush=True)
    crops = _fit(lambda: CropClassifier(width),
                 [crop_source(d, p, crop, torch_device) for d, p in zip(sets, pairs)],
                 0.85 * max_minutes)
    print(f'crop classifier: test mAP {crops["map"]:.4f}', flush=True)
    report = {
        'protocol': 'ground-truth box pairs, all-point AP, mean over (verb, object) combinations '
                    'with a test positive',
        'scenes': [len(data) if limit is None else min(limit, len(data)) for data in sets],
        'pairs': [len(p) for p in pairs], 'combinations': len(mlp['ap']),
        'chance_map': chance, 'geometry_mlp': mlp, 'crop_classifier': crops,
        'ratio': mlp['map'] / max(crops['map'], 1e-9)}
    Path(out_json).write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    return report
