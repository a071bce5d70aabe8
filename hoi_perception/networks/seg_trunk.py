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
Frozen instance segmenters as Seg2HOI sees them: queries, boxes, classes, masks, pixel embedding.

What a segmenter gives is `Detections` with masks: `prototypes` is the pixel embedding f_seg,
`coefficients` each instance's embedding in it, `scores` and `labels` what remains of its class
logits (the best class per entry, all that the choice of queries looks at). So every detector of a
bundle that makes masks is a trunk and runs once per frame. Positional codes are made from the
boxes, because no trunk here gives its own.

The segmenters of `transformers` are taken apart just before their mask product, since the maps of
single queries are no embedding. All of them are plain PyTorch; `export_adapters` removes the
`grid_sample` of their deformable attention for TensorRT.
"""

from typing import Any, Callable, Dict, NamedTuple, Protocol, runtime_checkable

from hoi_perception.networks.detection import Detections
import torch
from torch import nn, Tensor
from torch.nn.functional import interpolate, pad


@runtime_checkable
class SegTrunk(Protocol):
    """
    A frozen instance segmenter: (B, 3, H, W) normalised images to `Detections` with masks.

    query_dim: length of a query. pixel_dim: channels of the pixel embedding, 0 = it makes no
    masks and is no trunk.
    """

    @property
    def query_dim(self) -> int:
        """Return the length of a query."""

    @property
    def pixel_dim(self) -> int:
        """Return the channels of the pixel embedding, 0 where it makes no masks."""

    def __call__(self, images: Tensor) -> Detections:
        """Return the `Detections` of (B, 3, H, W) normalised images."""


class Parts(NamedTuple):
    """
    A segmenter's output before the choice of instances.

    probabilities: (B, Q, C), without a no-object class. boxes: (B, Q, 4) xyxy, normalised to
    0..1. queries: (B, Q, D). embeddings: (B, Q, M). pixels: (B, M, h, w).
    """

    probabilities: Tensor
    boxes: Tensor
    queries: Tensor
    embeddings: Tensor
    pixels: Tensor


def instance_mask_logits(found: Detections) -> Tensor:
    """Return the (B, K, h, w) mask logits of all instances, positive inside."""
    return torch.einsum('bkm,bmhw->bkhw', found.coefficients, found.prototypes)


def boxes_of_masks(logits: Tensor) -> Tensor:
    """
    Return (..., 4) xyxy boxes, normalised to 0..1, around the positive cells of (..., h, w).

    A mask without a positive cell has a box of zeros.
    """
    inside = logits > 0
    ends = []
    for axis in (-2, -1):  # columns, then rows
        line = inside.any(axis)
        size = line.shape[-1]
        place = torch.arange(size, device=logits.device, dtype=logits.dtype)
        first = torch.where(line, place, float(size)).amin(-1)
        last = torch.where(line, place + 1, 0.0).amax(-1)
        ends.append((torch.minimum(first, last) / size, last / size))
    (x1, x2), (y1, y2) = ends
    return torch.stack([x1, y1, x2, y2], -1)


def rf_detr_parts(model: Any, images: Tensor) -> Parts:
    """Return the parts of `RfDetrForInstanceSegmentation`; its mask bias is one more channel."""
    base = model.model.model(images)
    height, width = (side // model.downsample_ratio for side in images.shape[-2:])
    pixels = interpolate(base.backbone_features, (height, width), mode='bilinear',
                         align_corners=False)
    for block in model.blocks:
        pixels = block(pixels)
    embeddings = model.query_features_proj(model.query_features_block(base.last_hidden_state))
    logits, boxes = model.model.predict_class_and_boxes(
        base.last_hidden_state, base.intermediate_reference_points[-1])
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    bias = model.segmentation_bias.expand(*embeddings.shape[:2], 1)
    return Parts(logits.sigmoid(), torch.cat([centre - half, centre + half], -1),
                 base.last_hidden_state, torch.cat([embeddings, bias], -1),
                 pad(model.spatial_features_proj(pixels), (0, 0, 0, 0, 0, 1), value=1.0))


def mask_former_parts(model: Any, images: Tensor) -> Parts:
    """Return the parts of `MaskFormerForInstanceSegmentation`."""
    base = model.model(pixel_values=images)
    queries = base.transformer_decoder_last_hidden_state
    return _mask_transformer(model.class_predictor(queries), queries,
                             model.mask_embedder(queries), base.pixel_decoder_last_hidden_state)


def mask2former_parts(model: Any, images: Tensor) -> Parts:
    """Return the parts of `Mask2FormerForUniversalSegmentation`."""
    base = model.model(pixel_values=images)
    decoder = model.model.transformer_module.decoder
    queries = decoder.layernorm(base.transformer_decoder_last_hidden_state)
    return _mask_transformer(model.class_predictor(queries), queries,
                             decoder.mask_predictor.mask_embedder(queries),
                             base.pixel_decoder_last_hidden_state)


def _mask_transformer(logits: Tensor, queries: Tensor, embeddings: Tensor,
                      pixels: Tensor) -> Parts:
    """Weigh classes by how sure the mask is, as Mask2Former's inference does; boxes from masks."""
    masks = torch.einsum('bqm,bmhw->bqhw', embeddings, pixels)
    soft, inside = masks.sigmoid().flatten(2), (masks > 0).flatten(2).to(masks.dtype)
    sure = (soft * inside).sum(-1) / inside.sum(-1).clamp(min=1.0)
    return Parts(logits.softmax(-1)[..., :-1] * sure[..., None], boxes_of_masks(masks), queries,
                 embeddings, pixels)


SEGMENTERS: Dict[str, Callable[[nn.Module, Tensor], Parts]] = {
    'RfDetrForInstanceSegmentation': rf_detr_parts,
    'MaskFormerForInstanceSegmentation': mask_former_parts,
    'Mask2FormerForUniversalSegmentation': mask2former_parts}
"""How each segmenter of `transformers` is taken apart."""


def pixel_dim_of(model: Any) -> int:
    """Return the channels of a transformers model's pixel embedding, 0 where it has none."""
    name = type(model).__name__
    if name not in SEGMENTERS:
        return 0
    if name == 'RfDetrForInstanceSegmentation':
        return model.config.d_model + 1
    return model.config.mask_feature_size
