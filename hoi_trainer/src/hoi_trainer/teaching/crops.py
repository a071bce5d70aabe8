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

"""What CLIP sees in the union box of every candidate pair, computed once and kept on disk."""

import hashlib
from pathlib import Path
from typing import Dict

from hoi_perception.networks.clip import ClipTrunk
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.preprocess import check_rgb, ImageTransform
from hoi_trainer.interaction.data import HeadSplit
from hoi_trainer.interaction.detections_cache import cache_key, dataset_key, filled
import numpy as np
import torch
from torch.nn.attention import sdpa_kernel, SDPBackend
from torch.nn.functional import normalize

BATCH = 64
CPU = torch.device('cpu')


def cached_crops(bundle: Bundle, split: HeadSplit, directory: Path) -> np.ndarray:
    """
    Return (N, P, D) float16 unit-norm features of the pairs of a split, memory-mapped.

    A pair's crop is the union of its two boxes, resized as CLIP's input is. Zeros for padding.
    """
    pairs, boxes = split.pairs, split.detections.boxes
    chosen = hashlib.sha256(np.ascontiguousarray(boxes).tobytes())
    for part in pairs[:3]:
        chosen.update(part.numpy().tobytes())
    key = cache_key('crops', dataset_key(split.dataset), bundle.spec.files['clip.safetensors'],
                    bundle.spec.clip.preprocessing.model_dump_json(), chosen.hexdigest())
    shape = pairs.human.shape[1], bundle.spec.clip.config['embed_dim']
    _, trunk = load_clip(bundle, CPU)
    transform = ImageTransform(bundle.spec.clip.preprocessing, CPU)

    def rows(images: list, first: int) -> Dict[str, np.ndarray]:
        result = np.zeros((len(images), *shape), np.float16)
        where = np.argwhere(pairs.mask[first:first + len(images)].numpy())
        for part in np.array_split(where, -(-len(where) // BATCH) or 1):
            if len(part):
                crops = [_crop(images[i], boxes[first + i], int(pairs.human[first + i, p]),
                               int(pairs.object[first + i, p])) for i, p in part]
                result[part[:, 0], part[:, 1]] = _seen(trunk, transform, crops)
        return {'crops': result}

    layout = {'crops': ('float16', shape)}
    return filled(directory / key, split.count, layout, split.dataset, rows)['crops']


def _crop(image: np.ndarray, boxes: np.ndarray, human: int, thing: int) -> np.ndarray:
    """Return the part of an image under two boxes, at least one pixel."""
    height, width = check_rgb(image).shape[:2]
    low, high = np.minimum(boxes[human], boxes[thing])[:2], np.maximum(boxes[human],
                                                                       boxes[thing])[2:]
    left, top = (int(np.clip(np.floor(value), 0, size - 1))
                 for value, size in zip(low, (width, height)))
    right, bottom = (int(np.clip(np.ceil(value), start + 1, size))
                     for value, start, size in zip(high, (left, top), (width, height)))
    return np.ascontiguousarray(image[top:bottom, left:right])


@torch.inference_mode()
def _seen(trunk: ClipTrunk, transform: ImageTransform, crops: list) -> np.ndarray:
    """Return the (n, D) unit-norm features of crops."""
    pixels = transform.normalise(transform.pixels([transform.resize(crop) for crop in crops]))
    with sdpa_kernel(SDPBackend.MATH):  # fused attention takes twice as long on the CPU
        return normalize(trunk.visual(pixels), dim=-1).half().numpy()
