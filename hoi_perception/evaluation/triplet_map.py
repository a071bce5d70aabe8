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
Mean average precision of triplets over scenes, by the protocols of `hico_det`.

Scenes are compared by names, so that prediction and truth may use different vocabularies; case
and underscores do not matter ('sit_on', 'Sit on').
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from hoi_perception.core.scene import NONE, Scene
from hoi_perception.core.vocabulary import same_name
from hoi_perception.evaluation.hico_det import HICO_OFFICIAL, Protocol
from hoi_perception.evaluation.judged import Judged
from hoi_perception.evaluation.pairs import BoxPairs
from hoi_perception.evaluation.results import DEFAULT, MapResult, NO_SUBSETS, Subsets
from hoi_perception.evaluation.streaming import HicoDetEvaluator
import numpy as np

ClassName = Tuple[str, str]
"""(verb, object); the object is '' where there is none."""


@dataclass(frozen=True)
class TripletReport:
    """
    What to print: mean AP over the classes, AP and ground-truth count by (verb, object).

    protocol: name of the rules; means over different rules must not be compared.
    """

    protocol: str
    full: float
    per_class: Dict[ClassName, float]
    positives: Dict[ClassName, int]
    images: int


def named_triplets(scene: Scene) -> List[ClassName]:
    """Return (verb, object) of every triplet; the object is '' where there is none."""
    names, verbs = scene.vocabulary.objects, scene.vocabulary.verb_names
    labels = scene.instances.labels
    return [(verbs[verb], names[labels[thing]] if thing != NONE else '')
            for verb, thing in zip(scene.triplets.verb, scene.triplets.object)]


@lru_cache(maxsize=4096)
def _plain(name: ClassName) -> ClassName:
    return same_name(name[0]), same_name(name[1])


def chosen_triplets(scene: Scene, index: Dict[ClassName, int]) -> Tuple[np.ndarray, ...]:
    """
    Return row, class, human and object (instances), (m,) each, of the triplets in the index.

    Without an object there is nothing to overlap: the human stands in on both sides.
    """
    plain = {_plain(name): row for name, row in index.items()}
    classes = np.array([index.get(name, plain.get(_plain(name), -1))
                        for name in named_triplets(scene)], dtype=np.int64)
    kept = np.flatnonzero(classes >= 0)
    human, thing = scene.triplets.human[kept], scene.triplets.object[kept]
    return kept, classes[kept], human, np.where(thing == NONE, human, thing)


class SceneEvaluator:
    """
    Streaming evaluation of scenes: add them one by one, ask for results any time.

    classes: (verb, object) names to average over.
    """

    def __init__(self, classes: Sequence[ClassName], protocol: Protocol = HICO_OFFICIAL,
                 subsets: Subsets = NO_SUBSETS) -> None:
        self.classes = tuple(classes)
        self._index = {name: i for i, name in enumerate(self.classes)}
        self._objects = np.array([thing for _, thing in self.classes])
        self._pairs = HicoDetEvaluator(protocol, len(self.classes), subsets)

    def add(self, predicted: Scene, truth: Scene) -> None:
        """
        Add one image.

        Under the known-object setting a class counts where the truth has any triplet with its
        object.
        """
        present = sorted({thing for _, thing in named_triplets(truth)})
        self._pairs.add(self._box_pairs(predicted), self._box_pairs(truth),
                        np.isin(self._objects, present))

    def _box_pairs(self, scene: Scene) -> BoxPairs:
        kept, classes, human, thing = chosen_triplets(scene, self._index)
        boxes = scene.instances.boxes
        return BoxPairs(boxes[human], boxes[thing], classes, scene.triplets.scores[kept])

    def result(self, setting: str = DEFAULT) -> MapResult:
        """Return the result over the scenes so far."""
        return self._pairs.result(setting)

    def judged(self) -> Judged:
        """Return the verdict on every triplet of the scenes so far."""
        return self._pairs.judged()


def evaluate_scenes(pairs: Iterable[Tuple[Scene, Scene]],
                    classes: Optional[Sequence[ClassName]] = None,
                    ignore_verbs: Sequence[str] = ('no_interaction',)) -> TripletReport:
    """
    Compare (prediction, truth) scenes by the official protocol.

    classes: (verb, object) names to average over; default: those that occur in the truth, where
    the official protocol averages over all 600. ignore_verbs: not evaluated by default, because
    the pipeline never publishes a missing interaction.
    """
    pairs = list(pairs)
    if classes is None:
        classes = sorted({name for _, truth in pairs for name in named_triplets(truth)
                          if name[0] not in ignore_verbs})
    evaluator = SceneEvaluator(classes)
    for predicted, truth in pairs:
        evaluator.add(predicted, truth)
    result = evaluator.result()
    return TripletReport(
        result.protocol, result.full, dict(zip(evaluator.classes, result.ap.tolist())),
        dict(zip(evaluator.classes, result.positives.tolist())), result.images)
