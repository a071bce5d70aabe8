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
Detectors of the `transformers` library, seen as `Detections`.

DETR scores with a softmax that has a no-object class; RT-DETR, RT-DETRv2, D-FINE and RF-DETR with
one sigmoid per class, from which the best (query, class) entries are taken as their own
post-processing does. RF-DETR-Seg, MaskFormer and Mask2Former also give masks, see `seg_trunk`.
"""

from typing import Any, Dict, Mapping, Tuple

from hoi_perception.networks.detection import Detections
from hoi_perception.networks.seg_trunk import pixel_dim_of, SEGMENTERS
import torch
from torch import nn, Tensor
import transformers

SOFTMAX = ('DetrForObjectDetection', 'ConditionalDetrForObjectDetection')
ARCHITECTURES = (
    'DetrForObjectDetection', 'RTDetrForObjectDetection', 'RTDetrV2ForObjectDetection',
    'DFineForObjectDetection', 'RfDetrForObjectDetection', *SEGMENTERS)


def architecture_class(name: str) -> Any:
    """Return the transformers class, or raise ValueError with one sentence."""
    found = getattr(transformers, name, None) if name in ARCHITECTURES else None
    if found is None:
        known = [a for a in ARCHITECTURES if hasattr(transformers, a)]
        raise ValueError(f'{name!r} is not a detector this program can run (transformers '
                         f'{transformers.__version__}); it knows {", ".join(known)}.')
    return found


def _without_downloads(config: Dict[str, Any]) -> Dict[str, Any]:
    """Return the configuration with every backbone told not to fetch its own weights."""
    clean = {}
    for key, value in config.items():
        if key in ('use_pretrained_backbone', 'pretrained'):
            value = False
        clean[key] = _without_downloads(value) if isinstance(value, dict) else value
    return clean


def corners(boxes: Tensor) -> Tensor:
    """Return (..., 4) centre-size boxes as corners."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


class TransformersDetector(nn.Module):
    """
    A transformers model with `Detections` as its output; `model` holds the weights.

    Queries are the last decoder layer's states (for DETR after the decoder's norm). clip_boxes:
    cut boxes to the image; else they may reach outside of it, as the model says.
    """

    def __init__(self, model: nn.Module, top_k: int = 100, clip_boxes: bool = True) -> None:
        super().__init__()
        self.model = model
        self.top_k = top_k
        self.clip_boxes = clip_boxes
        self.softmax = type(model).__name__ in SOFTMAX

    @classmethod
    def from_config(cls, architecture: str, config: Mapping[str, Any],
                    top_k: int = 100, clip_boxes: bool = True) -> 'TransformersDetector':
        """Return the detector with random weights; never downloads anything."""
        kind = architecture_class(architecture)
        return cls(kind(kind.config_class.from_dict(_without_downloads(dict(config)))), top_k,
                   clip_boxes)

    @property
    def query_dim(self) -> int:
        """Length of a query."""
        config = self.model.config
        if type(self.model).__name__ == 'MaskFormerForInstanceSegmentation':
            return config.decoder_config.hidden_size
        return config.hidden_dim if hasattr(config, 'mask_feature_size') else config.d_model

    @property
    def pixel_dim(self) -> int:
        """Channels of the pixel embedding, 0 where the model makes no masks."""
        return pixel_dim_of(self.model)

    def forward(self, images: Tensor) -> Detections:
        """Return the best entries of (B, 3, H, W) normalised images."""
        if self.pixel_dim:
            return self._segment(images)
        output = self.model(pixel_values=images)
        if self.softmax:
            # topk, not max: TensorRT has no converter for a maximum with its index.
            scores, labels = (x[..., 0] for x in output.logits.softmax(-1)[..., :-1].topk(1))
            scores, query = scores.topk(min(self.top_k, scores.shape[1]))
            labels = labels.gather(1, query)
        else:
            scores, query, labels = self._best(output.logits.sigmoid())
        return Detections.from_tensors((
            self._boxes(corners(output.pred_boxes), query), scores, labels,
            _rows(output.last_hidden_state, query)))

    def _segment(self, images: Tensor) -> Detections:
        parts = SEGMENTERS[type(self.model).__name__](self.model, images)
        scores, query, labels = self._best(parts.probabilities)
        return Detections(self._boxes(parts.boxes, query), scores, labels,
                          _rows(parts.queries, query), _rows(parts.embeddings, query),
                          parts.pixels)

    def _best(self, probabilities: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Return the best entries of (B, Q, C): their scores, queries and classes."""
        classes = probabilities.shape[-1]
        count = min(self.top_k, probabilities.shape[1])
        scores, index = probabilities.flatten(1).topk(count)
        return scores, index // classes, index % classes

    def _boxes(self, boxes: Tensor, query: Tensor) -> Tensor:
        boxes = _rows(boxes, query)
        return boxes.clamp(0, 1) if self.clip_boxes else boxes


def _rows(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))
