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

"""Class-balanced oversampling: rare classes are shown more often."""

import numpy as np


def oversampled(shown: np.ndarray, least: int = 40) -> np.ndarray:
    """
    Return the image indices of one epoch, int64, ascending.

    shown: (images, C) bool. Class k with n_k images asks for r_k = ceil(least / n_k) - 1
    repetitions of each, at most `least`; an image is repeated as often as the most demanding of
    its classes asks. Images without classes occur once. Source: arXiv 2112.06392.
    """
    counts = shown.sum(0)
    asked = np.ceil(least / np.maximum(counts, 1)).astype(np.int64) - 1
    asked = np.clip(asked, 0, least)
    times = 1 + np.where(shown, asked, 0).max(1, initial=0)
    return np.repeat(np.arange(len(shown)), times)
