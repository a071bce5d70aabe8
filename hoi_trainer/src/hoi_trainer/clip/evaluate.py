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
How well text alone ranks the verbs of ground-truth pairs (zero-shot).

Two views of a pair: `crop`, its hull cut out and stretched to the network, and `region`, the whole
image with the class token restricted to the patches of the two boxes, as the interaction head
reads it.
"""

from pathlib import Path
from typing import Dict, Optional

from hoi_perception.networks.region_readout import box_regions
from hoi_trainer.clip.data import hull, MEAN, pair_windows, STD
from hoi_trainer.clip.module import build_model, region_features, tokenise, visual_tokens
from hoi_trainer.clip.pairs import (
    caption_set,
    CaptionSet,
    pair_table,
    PairTable,
    TEMPLATES,
    verb_prompts,
)
from hoi_trainer.synthetic import load
from hoi_trainer.training.images import cut, window_affine
from hoi_trainer.training.weights import read_weights
import numpy as np
from open_clip.model import CLIP
import torch
from torch import Tensor


def evaluate_clip(weights: Path, data: Path, limit: Optional[int] = None,
                  batch_size: int = 128) -> dict:
    """Return the metrics of `clip_metrics` for weights that `hoi-trainer fit` wrote."""
    config, state = read_weights(weights)
    model = build_model(config)
    model.load_state_dict(state)
    scenes = load(data)
    records = scenes.scenes[:limit]
    captions = caption_set(records)
    images = scenes.images[:limit]
    table = pair_table(records, captions, images.shape[2], images.shape[1])
    return clip_metrics(model.eval(), images, table, captions, batch_size)


def clip_metrics(model: CLIP, images: np.ndarray, table: PairTable, captions: CaptionSet,
                 batch_size: int = 128) -> dict:
    """
    Return verb accuracy and mean average precision for both views, beside chance.

    accuracy: share of interacting pairs whose best verb, among those valid for the object and
    `no_interaction`, is one of theirs. map: mean over (verb, object) of the average precision of
    the softmax probability over all pairs with that object, interacting or not.
    """
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    model = model.to(device)
    scene, pair = np.nonzero(table.caption >= 0)
    texts = text_features(model, captions, device)
    found = {'crop': [], 'region': []}
    order = np.arange(len(scene))
    for part in np.array_split(order, max(1, -(-len(order) // batch_size))):
        boxes = [torch.from_numpy(b[scene[part], pair[part]]).to(device)
                 for b in (table.humans, table.objects)]
        unique, position = np.unique(scene[part], return_inverse=True)
        pixels = torch.from_numpy(np.ascontiguousarray(images[unique])).to(device)
        views = _features(model, pixels, torch.from_numpy(position).to(device), *boxes)
        for name, features in views.items():
            found[name].append((features @ texts.T).cpu().numpy())
    full = table.caption[scene, pair]
    metrics = {'pairs': len(full), 'captions': len(captions.captions)}
    scale = float(model.logit_scale.detach().exp().clamp(max=100.0))
    for name, parts in found.items():
        for key, value in rank_metrics(scale * np.concatenate(parts), full, captions).items():
            metrics[f'{name}_{key}'] = round(value, 4)
    chance = rank_metrics(np.random.default_rng(0).normal(size=(len(full), len(texts))), full,
                          captions)
    return {**metrics, **{f'chance_{key}': round(value, 4) for key, value in chance.items()}}


@torch.inference_mode()
def text_features(model: CLIP, captions: CaptionSet, device) -> Tensor:
    """Return unit-norm features (K, D) of the captions in the first template."""
    tokens = tokenise([TEMPLATES[0].format(text) for text in captions.texts],
                      model.context_length)
    return model.encode_text(tokens.to(device), normalize=True)


@torch.inference_mode()
def _features(model: CLIP, pixels: Tensor, position: Tensor, humans: Tensor,
              objects: Tensor) -> Dict[str, Tensor]:
    """Return features (B, D) of each pair by view; position: (B,) row of pixels of each pair."""
    size, patch = model.visual.image_size[0], model.visual.patch_size[0]
    mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (MEAN, STD))

    def view(images: Tensor, windows: Tensor) -> Tensor:
        still = torch.zeros(len(windows), dtype=torch.bool, device=windows.device)
        views = cut(images, window_affine(windows, still), (size, size), supersample=2)
        return visual_tokens(model, (views - mean) / std)

    tight = pair_windows(hull(humans, objects), torch.full_like(humans[:, :1], 0.05))
    tokens = view(pixels[position], tight)
    everything = torch.ones(len(tokens), 1, tokens.shape[1] - 1, dtype=torch.bool,
                            device=tokens.device)
    whole = view(pixels, tight.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(len(pixels), 4))
    grid = (size // patch, size // patch)
    region = (box_regions(humans * size, grid, (patch, patch))
              | box_regions(objects * size, grid, (patch, patch)))
    return {'crop': region_features(model, tokens, everything)[:, 0],
            'region': region_features(model, whole[position], region[:, None])[:, 0]}


def rank_metrics(logits: np.ndarray, full: np.ndarray, captions: CaptionSet) -> dict:
    """
    Return {accuracy, map} of (n, K) logits.

    full: (n,) index of the caption that describes each pair completely.
    """
    labels = np.array([label for _, label in captions.captions])[full]
    right, acting, precisions = 0, 0, []
    for label in np.unique(labels):
        rows = np.nonzero(labels == label)[0]
        verbs, columns = verb_prompts(captions, int(label))
        score = logits[np.ix_(rows, columns)]
        score = np.exp(score - score.max(1, keepdims=True))
        score /= score.sum(1, keepdims=True)
        truth = np.array([[verb in captions.captions[full[row]][0] for verb in verbs]
                          for row in rows])
        acts = truth.any(1)
        best = score.argmax(1)
        right += int(truth[np.arange(len(rows)), best][acts].sum())
        acting += int(acts.sum())
        precisions += [average_precision(score[:, i], truth[:, i])
                       for i in range(len(verbs)) if truth[:, i].any()]
    return {'accuracy': right / max(acting, 1),
            'map': float(np.mean(precisions)) if precisions else 0.0}


def average_precision(score: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean precision at each hit, by falling score (all-point average precision)."""
    hits = truth[np.argsort(-score, kind='stable')]
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())
