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

"""Which interactions a detected pair shows: association with annotated pairs."""

from hoi_perception.networks.pair_geometry import box_iou
import torch
from torch import Tensor
from torch.nn.functional import one_hot

IOU_THRESHOLD = 0.5


def pair_labels(human_boxes: Tensor, object_boxes: Tensor, gt_human: Tensor, gt_object: Tensor,
                gt_class: Tensor, classes: int) -> Tensor:
    """
    Return (..., P, classes) float labels, 1 where a pair shows the class, for whole batches.

    human_boxes, object_boxes: (..., P, 4) xyxy of detected pairs. gt_human, gt_object:
    (..., G, 4) of annotated pairs in the same frame. gt_class: (..., G) int64, negative for
    padding. A pair takes the class of every annotated pair with min(IoU of the humans, IoU of the
    objects) >= 0.5; one annotation may label many pairs, and the class of the detected object is
    not compared (UPT, PViC, LAIN: associate_with_ground_truth).
    """
    overlap = torch.minimum(box_iou(human_boxes[..., :, None, :], gt_human[..., None, :, :]),
                            box_iou(object_boxes[..., :, None, :], gt_object[..., None, :, :]))
    shown = (overlap >= IOU_THRESHOLD) & (gt_class >= 0)[..., None, :]
    named = one_hot(gt_class.clamp(min=0), classes).to(overlap.dtype)
    return (shown.to(overlap.dtype) @ named).clamp(max=1.0)
