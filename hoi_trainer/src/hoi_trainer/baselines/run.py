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

Two classifiers of ground-truth pairs with the same loss, schedule and stopping rule. The MLP may
choose among learning rates on validation pairs; the crop classifier, which costs far more per
step, has one rate, so the comparison favours the MLP. The crop classifier may use all that the MLP
has and starts from the trained MLP and a trained detector, and its features are also asked for
body parts, because a backbone from scratch would need hours.
"""

from copy import deepcopy
import math
from pathlib import Path
import time
from typing import Callable, Optional, Sequence, Tuple

from hoi_trainer.baselines.geometry import geometry, GeometryMlp
from hoi_trainer.baselines.pair_crops import PairCropClassifier, read_detector
from hoi_trainer.baselines.pairs import evaluate, mean, pairs_of
from hoi_trainer.baselines.sources import CropSource, GeometrySource, Source
from hoi_trainer.synthetic.dataset import load
import numpy as np
import torch
from torch import nn

MLP_RATES, CROP_RATES = (5e-4, 1.5e-3, 4e-3), (1e-3,)


def predict(model: nn.Module, source: Source) -> np.ndarray:
    """Return the logits (P, verbs)."""
    model.eval()
    with torch.inference_mode(), torch.autocast(source.labels.device.type, torch.bfloat16):
        parts = [model(source.inputs(index, False), source.labels[index]).float()
                 for index in source.in_order()]
    return torch.cat(parts).cpu().numpy()


def train(model: nn.Module, training: Source, validation: Source, rate: float, minutes: float,
          most_epochs: int = 60, patience: int = 12) -> Tuple[float, dict, int]:
    """
    Train within the minutes; returns (best validation mAP, its weights, steps).

    AdamW with warm-up and cosine by the share of time or epochs used; stops early when the
    validation mAP no longer rises.
    """
    device = training.labels.device
    optimizer = torch.optim.AdamW(model.groups(), rate, weight_decay=0.02)
    best, weights, steps, worse, began = -1.0, {}, 0, 0, time.monotonic()
    for epoch in range(most_epochs):
        model.train()
        for index in training.epoch():
            used = max((time.monotonic() - began) / 60 / minutes, epoch / most_epochs)
            if used >= 1:
                break
            for group in optimizer.param_groups:
                group['lr'] = group['share'] * rate * min(1.0, used / 0.05 + 0.02) * (
                    0.01 + 0.99 * (1 + math.cos(math.pi * used)) / 2)
            with torch.autocast(device.type, torch.bfloat16):
                loss = model.loss(training.inputs(index, True), training.labels[index],
                                  training.targets[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            steps += 1
        score = mean(evaluate(predict(model, validation), validation.pairs))
        print(f'  rate {rate:g} epoch {epoch} steps {steps} loss {float(loss.detach()):.4f} '
              f'val mAP {score:.4f} {time.monotonic() - began:.0f} s', flush=True)
        worse = 0 if score > best else worse + 1
        if score > best:
            best = score
            weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        if time.monotonic() - began > 60 * minutes or worse >= patience:
            break
    return best, weights, steps


def _fit(make: Callable[[], nn.Module], sources: Sequence[Source], rates: Sequence[float],
         minutes: float, seed: int = 0) -> Tuple[nn.Module, dict]:
    """Try every learning rate, keep the best on validation, and report it on the test pairs."""
    training, validation, test = sources
    runs = []
    for rate in rates:
        torch.manual_seed(seed)
        model = make().to(training.labels.device)
        score, weights, steps = train(model, training, validation, rate, minutes / len(rates))
        runs.append((score, rate, steps, weights))
    score, rate, steps, weights = max(runs, key=lambda run: run[0])
    model.load_state_dict(weights)
    by_class = evaluate(predict(model, test), test.pairs)
    return model, {
        'map': mean(by_class), 'val_map': score, 'learning_rate': rate, 'steps': steps,
        'parameters': sum(p.numel() for p in model.parameters()),
        'val_map_by_rate': {f'{r:g}': s for s, r, _, _ in runs}, 'ap': by_class}


def run_baselines(data_dir: Path, detector: Path, minutes: float = 20.0,
                  limit: Optional[int] = None) -> dict:
    """
    Train and test both classifiers on `data_dir`/{train,val,test}; returns a report.

    detector: weights that the crop classifier starts from. minutes: of training in all. limit: use
    only the first so many scenes of each split.
    """
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    config = read_detector(detector).config
    sets = [load(Path(data_dir) / split) for split in ('train', 'val', 'test')]
    pairs = [pairs_of(data, limit) for data in sets]
    features = geometry(pairs[0])
    perceptron, mlp = _fit(
        lambda: GeometryMlp(features.mean(0), features.std(0) + 1e-3),
        [GeometrySource(p, device) for p in pairs], MLP_RATES, 0.2 * minutes)
    _, crops = _fit(
        lambda: PairCropClassifier(read_detector(detector), deepcopy(perceptron)),
        [CropSource(d, p, config.image_size, config.mean, config.std, device)
         for d, p in zip(sets, pairs)], CROP_RATES, 0.8 * minutes)
    return {
        'protocol': 'ground-truth box pairs, all-point AP, mean over (verb, object) combinations '
                    'with a test positive',
        'scenes': [len(data) if limit is None else min(limit, len(data)) for data in sets],
        'pairs': [len(p) for p in pairs], 'combinations': len(mlp['ap']),
        'chance_map': mean(evaluate(np.zeros(pairs[2].targets.shape), pairs[2])),
        'geometry_mlp': mlp, 'pair_crops': crops,
        'ratio': mlp['map'] / max(crops['map'], 1e-9)}
