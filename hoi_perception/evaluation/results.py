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

"""Mean average precision over HOI classes; every printed line names its protocol and setting."""

from dataclasses import dataclass
from typing import Dict, Optional

from hoi_perception.evaluation.pairs import indices
import numpy as np

DEFAULT, KNOWN_OBJECT = 'default', 'known_object'


@dataclass(frozen=True)
class Subsets:
    """
    Classes to average apart, (n,) class indices each; None = not known.

    rare: fewer than 10 training instances. unseen: left out of training by the zero-shot split
    of the given name.
    """

    rare: Optional[np.ndarray] = None
    unseen: Optional[np.ndarray] = None
    split: str = ''


NO_SUBSETS = Subsets()


@dataclass(frozen=True)
class MapResult:
    """
    Average precision of every class and its means; all in 0..1, means None where not known.

    protocol, setting: what rules it was made by; means of different rules must not be compared.
    ap, recall: (C,) float64; recall is NaN in a class with detections but no ground truth, as in
    MATLAB. positives: (C,) ground-truth pairs. images, detections: how many counted.
    """

    protocol: str
    setting: str
    ap: np.ndarray
    recall: np.ndarray
    positives: np.ndarray
    images: int
    detections: int
    subsets: Subsets = NO_SUBSETS

    def _mean(self, classes: Optional[np.ndarray], others: bool = False) -> Optional[float]:
        if classes is None:
            return None
        chosen = np.zeros(len(self.ap), dtype=bool)
        chosen[indices('class subset', classes, len(classes), len(self.ap))] = True
        chosen ^= others
        return float(self.ap[chosen].mean()) if chosen.any() else None

    @property
    def full(self) -> float:
        """Mean over all classes; 0 where there is none."""
        return float(self.ap.mean()) if len(self.ap) else 0.0

    @property
    def rare(self) -> Optional[float]:
        """Mean over the rare classes."""
        return self._mean(self.subsets.rare)

    @property
    def non_rare(self) -> Optional[float]:
        """Mean over the classes that are not rare."""
        return self._mean(self.subsets.rare, others=True)

    @property
    def unseen(self) -> Optional[float]:
        """Mean over the unseen classes of the split."""
        return self._mean(self.subsets.unseen)

    @property
    def seen(self) -> Optional[float]:
        """Mean over the classes that the split leaves in training."""
        return self._mean(self.subsets.unseen, others=True)

    @property
    def harmonic_mean(self) -> Optional[float]:
        """Harmonic mean of seen and unseen."""
        if self.seen is None or self.unseen is None:
            return None
        total = self.seen + self.unseen
        return 2 * self.seen * self.unseen / total if total else 0.0

    def means(self) -> Dict[str, float]:
        """Return every mean that is known, by name, for files."""
        names = ('full', 'rare', 'non_rare', 'seen', 'unseen', 'harmonic_mean')
        found = {name: getattr(self, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def summary(self) -> str:
        """Return one line: protocol, setting and every mean in percent."""
        split = f' ({self.subsets.split})' if self.subsets.split else ''
        means = ', '.join(f'{name.replace("_", " ")} {100 * value:.2f}'
                          for name, value in self.means().items())
        return (f'mAP [protocol {self.protocol}, {self.setting} setting{split}]: {means} '
                f'({len(self.ap)} classes, {self.images} images, {self.detections} detections)')

    __str__ = summary
