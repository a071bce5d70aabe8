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
DEFR's classifier: scaled cosines between a feature and one trained row per class.

Source: arXiv 2112.06392 section 3. The rows begin as text embeddings of the classes; what turns
CLIP's joint space into the space of the features is folded into that start.
"""

import math

from hoi_perception.core.scoring import cosine_logits
import torch
from torch import nn, Tensor
from torch.nn.functional import normalize

GAMMA = math.exp(4.61)
"""DEFR's factor on the cosine, about 100.5; fixed, not trained."""


def fold_projection(text: Tensor, projection: Tensor) -> Tensor:
    """
    Return the (n, width) rows V t, whose products with features equal those after projection.

    text: (n, joint) embeddings in CLIP's joint space. projection: (width, joint), V, with which
    CLIP takes a feature x there: (x V) . t = x . (V t).
    """
    return text @ projection.T


class CosineTextClassifier(nn.Module):
    """
    One logit gamma * x.w / (|x| |w|) per class; the rows are trained, gamma is not.

    start: (classes, width) rows to begin with; they are normalised, which changes no output and
    gives every class the same learning rate.
    """

    def __init__(self, start: Tensor, gamma: float = GAMMA) -> None:
        super().__init__()
        self.weight = nn.Parameter(normalize(start.detach().float(), dim=-1))
        self.register_buffer('log_scale', torch.tensor(math.log(gamma)))

    def forward(self, features: Tensor) -> Tensor:
        """Return (..., classes) float32 logits of (..., width) features, which are not zero."""
        return cosine_logits(features.float(), self.weight, self.log_scale)
