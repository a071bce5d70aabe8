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

"""`Scene`s to the messages that the node would publish: `ros/conversion.py` without ROS."""

from typing import Any, Dict, List

from hoi_perception.core.scene import Instances, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.replay.message_types import DETECTIONS, EVENT, hoi_typestore, MASKS, VOCABULARY
from hoi_perception.runtime.events import Event
import numpy as np
from pycocotools import mask as coco

_SECOND = 1_000_000_000


class Messages:
    """Makes messages of the installed definitions; header: of the image, from any typestore."""

    def __init__(self) -> None:
        types: Dict[str, Any] = dict(hoi_typestore().types)
        self._header, self._time = types['std_msgs/msg/Header'], types[
            'builtin_interfaces/msg/Time']
        self._duration = types['builtin_interfaces/msg/Duration']
        self._instance, self._triplet = types['hoi_msgs/msg/Instance'], types[
            'hoi_msgs/msg/HoiTriplet']
        self._mask = types['hoi_msgs/msg/Mask']
        self._detections, self._masks = types[DETECTIONS], types[MASKS]
        self._event, self._vocabulary = types[EVENT], types[VOCABULARY]

    def detections(self, scene: Scene, header: Any, frame_seq: int) -> Any:
        """Return instances and triplets of a scene."""
        objects, verbs = scene.vocabulary.objects, scene.vocabulary.verbs
        found, triplets = scene.instances, scene.triplets
        return self._detections(
            header=header, frame_seq=frame_seq, width=scene.width, height=scene.height,
            model_id=scene.model_id, prompt_version=scene.prompt_version,
            instances=[
                self._instance(
                    x1=x1, y1=y1, x2=x2, y2=y2, score=score, label=label,
                    class_name=objects[label] if label != NONE else '', track_id=track,
                    position=position, extent=extent)
                for (x1, y1, x2, y2), score, label, track, position, extent in zip(
                    found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(),
                    found.track_ids.tolist(), found.positions, found.extents)],
            triplets=[
                self._triplet(human=human, object=thing, verb=verb, verb_name=verbs[verb].name,
                              score=score, interaction_id=identity)
                for human, thing, verb, score, identity in zip(
                    triplets.human.tolist(), triplets.object.tolist(), triplets.verb.tolist(),
                    triplets.scores.tolist(), triplets.ids.tolist())])

    def masks(self, scene: Scene, header: Any, frame_seq: int) -> Any:
        """Return the masks of a scene as COCO run lengths of their windows."""
        masks = []
        for mask in scene.masks:
            height, width = mask.bitmap.shape
            if not (height and width):
                continue
            counts = coco.encode(np.asfortranarray(mask.bitmap, dtype=np.uint8))['counts']
            masks.append(self._mask(
                kind=int(mask.kind), owner=int(mask.owner), x=int(mask.x), y=int(mask.y),
                width=width, height=height, encoding=0, data=np.frombuffer(counts, np.uint8)))
        return self._masks(header=header, frame_seq=frame_seq, width=scene.width,
                           height=scene.height, masks=masks)

    def event(self, event: Event, header: Any, frame_seq: int) -> Any:
        """Return what began or ended."""
        start, lasted = divmod(event.start_ns, _SECOND), divmod(event.duration_ns, _SECOND)
        return self._event(
            header=header, frame_seq=frame_seq, kind=int(event.kind),
            interaction_id=event.interaction_id, human_track_id=event.human_track,
            object_track_id=event.object_track, human_class=event.human_class,
            verb_name=event.verb_name, object_class=event.object_class, score=event.score,
            start=self._time(sec=start[0], nanosec=start[1]),
            duration=self._duration(sec=lasted[0], nanosec=lasted[1]))

    def vocabulary(self, words: Vocabulary, version: int, model_id: str, stamp_ns: int) -> Any:
        """Return the vocabulary in use."""
        sec, nanosec = divmod(stamp_ns, _SECOND)
        return self._vocabulary(
            stamp=self._time(sec=sec, nanosec=nanosec), version=version, model_id=model_id,
            prompt_template=words.template, objects=list(words.objects), human=words.human,
            verbs=list(words.verb_names), phrases=[verb.phrase for verb in words.verbs],
            validity=np.ascontiguousarray(words.validity, np.uint8).reshape(-1))


def scene_before_tracking(message: Any, vocabulary: Vocabulary, own_ids: bool) -> Scene:
    """
    Return the scene that a `HoiDetections` of this replay was tracked from, without masks.

    vocabulary: the one it was computed with, whose indices hold. own_ids: the instances brought
    their ids with them.
    """
    found: List[Any] = message.instances
    triplets: List[Any] = message.triplets
    return Scene(
        int(message.width), int(message.height), vocabulary,
        Instances(np.array([(i.x1, i.y1, i.x2, i.y2) for i in found]),
                  np.array([i.score for i in found]), np.array([i.label for i in found]),
                  np.array([int(i.track_id) if own_ids else 0 for i in found])),
        Triplets(*(np.array([getattr(t, name) for t in triplets])
                   for name in ('human', 'object', 'verb', 'score'))),
        (), message.model_id, int(message.prompt_version))
