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
Which predicted triplets are right, over all judged frames at once.

Kept beside the report (`matches.npz`), so that two replays can be compared without their bags
and without the truth.
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Iterable, Optional, Sequence, Tuple

from hoi_perception.core.scene import Scene
from hoi_perception.core.vocabulary import same_name
from hoi_perception.evaluation.hico_det import HICO_OFFICIAL
from hoi_perception.evaluation.judged import Judged
from hoi_perception.evaluation.triplet_map import ClassName, named_triplets, SceneEvaluator
from hoi_perception.replay.report.material import Answer
import numpy as np

MATCHES = 'matches.npz'
PROTOCOL = HICO_OFFICIAL.name
IGNORED_VERBS = ('no_interaction',)
"""Never published by the pipeline, so never evaluated."""

_ROWS = ('labels', 'images', 'scores', 'right', 'true_labels', 'true_images')


@dataclass(frozen=True)
class Verdicts:
    """
    Predicted triplets of F frames, judged by the rules of `hico_official`.

    classes: the C names (verb, object) of the truth. frames: (F,) index of each frame in the
    replay. lengths: judged frames of each bag, one after the other. judged: the triplets of these
    classes. agreement: (F,) of each frame in 0..1 (`Judged.agreement`); other than `judged` it
    also counts as wrong what a verb of the truth is said to be done to.
    """

    classes: Tuple[ClassName, ...]
    frames: np.ndarray
    lengths: Tuple[int, ...]
    judged: Judged
    agreement: np.ndarray

    def save(self, directory: Path) -> None:
        """Write `matches.npz`."""
        np.savez_compressed(
            directory / MATCHES, verbs=np.array([verb for verb, _ in self.classes], str),
            objects=np.array([thing for _, thing in self.classes], str), frames=self.frames,
            lengths=np.array(self.lengths), agreement=self.agreement,
            **{name: getattr(self.judged, name) for name in _ROWS})

    @staticmethod
    def load(directory: Path) -> Optional['Verdicts']:
        """Return what `save` wrote, None where nothing was judged."""
        path = directory / MATCHES
        if not path.is_file():
            return None
        with np.load(path) as data:
            classes = tuple(zip(data['verbs'].tolist(), data['objects'].tolist()))
            judged = Judged(len(classes), len(data['frames']), *(data[name] for name in _ROWS))
            return Verdicts(classes, data['frames'], tuple(data['lengths'].tolist()), judged,
                            data['agreement'])


def verdicts_of(answers: Sequence[Answer], asked: Sequence[str] = ()) -> Optional[Verdicts]:
    """
    Return the verdicts of answered frames with truth; None where nothing true was asked for.

    asked: verbs that were looked for; true triplets of other verbs do not count. () = all.
    """
    truths = [answer.truth for answer in answers if answer.truth is not None]
    classes = classes_of(truths, asked)
    if not classes:
        return None
    pairs = [(answer.scene, truth) for answer, truth in zip(answers, truths)]
    verbs = {same_name(verb) for verb, _ in classes}
    told = {name for scene, _ in pairs for name in named_triplets(scene)
            if same_name(name[0]) in verbs}
    return Verdicts(
        classes, np.array([answer.record.index for answer in answers]),
        tuple(len(list(group)) for _, group in groupby(
            answers, key=lambda answer: (answer.record.bag, answer.record.topic))),
        judge(pairs, classes), judge(pairs, distinct([*classes, *told])).agreement)


def classes_of(truths: Sequence[Scene], asked: Sequence[str] = ()) -> Tuple[ClassName, ...]:
    """Return the (verb, object) names of the truth whose verb was asked for, sorted; () = all."""
    wanted = {same_name(verb) for verb in asked}
    return distinct(name for truth in truths for name in named_triplets(truth)
                    if name[0] not in IGNORED_VERBS
                    and (not asked or same_name(name[0]) in wanted))


def distinct(names: Iterable[ClassName]) -> Tuple[ClassName, ...]:
    """Return one of the names that mean the same ('sit_on', 'sit on'), sorted."""
    kept = {(same_name(verb), same_name(thing)): (verb, thing) for verb, thing in sorted(
        set(names), reverse=True)}
    return tuple(sorted(kept.values()))


def judge(pairs: Sequence[Tuple[Scene, Scene]], classes: Sequence[ClassName]) -> Judged:
    """Return the verdicts over (prediction, truth) scenes by the rules of `hico_official`."""
    evaluator = SceneEvaluator(classes)
    for predicted, truth in pairs:
        evaluator.add(predicted, truth)
    return evaluator.judged()
