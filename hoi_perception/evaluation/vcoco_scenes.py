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
V-COCO's agent and role AP of scenes (`vcoco.evaluate`), whatever the verbs are called.

A verb means the role of V-COCO it names ('hold obj', 'hit instr'; case and underscores do not
matter). The name of an action alone ('hold') means its role; where it has two ('hit', 'eat',
'cut'), those whose annotated objects include the class of the object, and both where none does.
Other verbs are left out. Every triplet is one detection of the role with the score of the
triplet, as the released evaluations of UPT and LAIN do it; a person's agent score is that of its
best triplet of the action. A triplet without object has no box for the roles of its action.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Dict, FrozenSet, List, Optional, Sequence, Tuple

from hoi_perception.core.scene import NONE, Scene
from hoi_perception.core.vocabulary import same_name, Verb, Vocabulary
from hoi_perception.evaluation.datasets.vcoco_names import vcoco_actions, vcoco_names
from hoi_perception.evaluation.triplet_map import named_triplets
from hoi_perception.evaluation.vcoco import (
    AgentRows,
    evaluate,
    RoleRows,
    VcocoDetections,
    VcocoResult,
)
from hoi_perception.evaluation.vcoco_truth import VcocoTruth
import numpy as np

Meaning = Tuple[int, Tuple[int, ...]]
"""Index of an action of V-COCO, and slots of its roles."""


@lru_cache(maxsize=4096)
def meaning(verb: str, thing: str) -> Optional[Meaning]:
    """Return action and role slots of a verb with an object ('' = none), None if it has none."""
    wanted = same_name(verb)
    for action, (name, roles) in enumerate(vcoco_actions()):
        every = tuple(range(len(roles)))
        for slot, role in enumerate(roles):
            if wanted == same_name(f'{name} {role}'):
                return action, (slot,)
        if wanted == same_name(name):
            fitting = tuple(slot for slot in every
                            if (f'{name} {roles[slot]}', same_name(thing)) in _annotated())
            return action, fitting if thing and len(roles) > 1 and fitting else every
    return None


def renamed(scene: Scene, verbs: Sequence[str]) -> Scene:
    """
    Return a scene of V-COCO that calls its verbs as these do, where one of them means the same.

    So that the triplets of `hold obj` can be compared with those of `hold`.
    """
    names: List[str] = []
    for verb, thing in named_triplets(scene):
        meant = meaning(verb, thing)
        alike = [name for name in verbs if same_name(name) == same_name(verb)] or [
            name for name in verbs if meant is not None and _holds(meaning(name, thing), meant)]
        names.append(alike[0] if alike else verb)
    words = tuple(dict.fromkeys(names))
    return replace(
        scene, vocabulary=Vocabulary(scene.vocabulary.objects, tuple(map(Verb, words)),
                                     human=scene.vocabulary.human),
        triplets=replace(scene.triplets, verb=np.array([words.index(name) for name in names],
                                                       np.int64)))


def _holds(wider: Optional[Meaning], meant: Meaning) -> bool:
    return wider is not None and wider[0] == meant[0] and set(meant[1]) <= set(wider[1])


@lru_cache(maxsize=1)
def _annotated() -> FrozenSet[Tuple[str, str]]:
    names = vcoco_names()
    return frozenset((names.verbs[verb], same_name(names.objects[thing]))
                     for verb, thing in names.combinations.tolist())


def detections_of(scenes: Sequence[Optional[Scene]]) -> VcocoDetections:
    """Return what the scenes say in the form of V-COCO; scene i is image i, None = nothing."""
    images: List[int] = []
    persons: List[np.ndarray] = []
    agents: Dict[Tuple[int, int], float] = {}
    roles: List[Tuple[int, int, float, int, np.ndarray]] = []
    for image, scene in enumerate(scenes):
        if scene is None:
            continue
        # Edges become first and last pixel.
        boxes = scene.instances.boxes - np.array([0, 0, 1, 1], np.float32)
        rows: Dict[int, int] = {}
        for (verb, thing), human, box, score in zip(
                named_triplets(scene), scene.triplets.human.tolist(),
                scene.triplets.object.tolist(), scene.triplets.scores.tolist()):
            meant = meaning(verb, thing)
            if meant is None:
                continue
            if human not in rows:
                rows[human] = len(persons)
                images.append(image)
                persons.append(boxes[human])
            who = rows[human], meant[0]
            agents[who] = max(score, agents.get(who, 0.0))
            place = np.zeros(4, np.float32) if box == NONE else boxes[box]
            roles += [(*who, score, slot, place) for slot in meant[1]]
    who, what = np.array(list(agents), np.int64).reshape(-1, 2).T
    person, action, scores, slots, places = zip(*roles) if roles else ((),) * 5
    return VcocoDetections(
        np.array(images, np.int64), np.array(persons, np.float32).reshape(-1, 4),
        AgentRows(who, what, np.array(list(agents.values()), np.float64)),
        RoleRows(np.array(person, np.int64), np.array(action, np.int64),
                 np.array(scores, np.float64), np.array(slots, np.int64),
                 np.array(places, np.float32).reshape(-1, 4)))


def evaluate_scenes(truth: VcocoTruth,
                    frames: Sequence[Tuple[int, Optional[Scene]]]) -> VcocoResult:
    """
    Return agent and role AP over frames: (image of the truth, what was seen in it).

    None = the frame was not answered, so everything in it was missed. An image that is shown
    twice counts twice. Raises `HoiError`.
    """
    shown = truth.take(np.array([image for image, _ in frames], np.int64))
    return evaluate(detections_of([scene for _, scene in frames]), shown)
