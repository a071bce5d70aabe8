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
`Scene` to messages; no arithmetic beyond what a message needs.

Every message gets the image's header itself, whole.
"""

from typing import Dict

from builtin_interfaces.msg import Time
from hoi_msgs.msg import HoiDetections, HoiMasks, HoiTriplet, Instance, StageLatencies
from hoi_msgs.msg import Mask as MaskMessage
from hoi_msgs.msg import Vocabulary as VocabularyMessage
from hoi_perception.core.scene import MaskKind, NONE, Scene
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.ros.images import octets
import numpy as np
from pycocotools import mask as coco
from std_msgs.msg import Header


def detections(scene: Scene, header: Header, frame_seq: int) -> HoiDetections:
    """Return instances and triplets of a scene."""
    objects, verbs = scene.vocabulary.objects, scene.vocabulary.verbs
    instances, triplets = scene.instances, scene.triplets
    return HoiDetections(
        header=header, frame_seq=frame_seq, width=scene.width, height=scene.height,
        model_id=scene.model_id, prompt_version=scene.prompt_version,
        instances=[
            Instance(x1=x1, y1=y1, x2=x2, y2=y2, score=score, label=label,
                     class_name=objects[label] if label != NONE else '', track_id=track,
                     position=position, extent=extent)
            for (x1, y1, x2, y2), score, label, track, position, extent in zip(
                instances.boxes.tolist(), instances.scores.tolist(), instances.labels.tolist(),
                instances.track_ids.tolist(), instances.positions, instances.extents)],
        triplets=[
            HoiTriplet(human=human, object=thing, verb=verb, verb_name=verbs[verb].name,
                       score=score, interaction_id=identity)
            for human, thing, verb, score, identity in zip(
                triplets.human.tolist(), triplets.object.tolist(), triplets.verb.tolist(),
                triplets.scores.tolist(), triplets.ids.tolist())])


def masks(scene: Scene, header: Header, frame_seq: int) -> HoiMasks:
    """Return the masks of a scene as COCO run lengths of their windows."""
    message = HoiMasks(header=header, frame_seq=frame_seq, width=scene.width,
                       height=scene.height)
    for mask in scene.masks:
        height, width = mask.bitmap.shape
        if not (height and width):
            continue
        counts = coco.encode(np.asfortranarray(mask.bitmap, dtype=np.uint8))['counts']
        message.masks.append(MaskMessage(
            kind=int(mask.kind), owner=int(mask.owner), x=int(mask.x), y=int(mask.y),
            width=width, height=height, encoding=MaskMessage.RLE_COCO, data=octets(counts)))
    return message


def bitmap(message: MaskMessage) -> np.ndarray:
    """Return the window of a mask message as (height, width) bool."""
    return coco.decode({'size': [message.height, message.width],
                        'counts': bytes(message.data)}).astype(bool)


def label_image(scene: Scene) -> np.ndarray:
    """
    Return (height, width): 0 background, i + 1 = instance i, better scores on top.

    uint8 (mono8) where that holds every instance, else uint16 (mono16).
    """
    canvas = np.zeros((scene.height, scene.width),
                      np.uint8 if len(scene.instances) < 256 else np.uint16)
    for mask in sorted((m for m in scene.masks if m.kind == MaskKind.INSTANCE),
                       key=lambda m: -m.owner):
        rows, columns = mask.bitmap.shape
        canvas[mask.y:mask.y + rows, mask.x:mask.x + columns][mask.bitmap] = mask.owner + 1
    return canvas


def latencies(stages: Dict[str, float], total: float, age: float, header: Header,
              frame_seq: int) -> StageLatencies:
    """Return stage times in milliseconds."""
    return StageLatencies(header=header, frame_seq=frame_seq, stages=list(stages),
                          milliseconds=list(stages.values()), total=total, age=age)


def vocabulary(words: Vocabulary, version: int, model_id: str, stamp: Time) -> VocabularyMessage:
    """Return the vocabulary in use."""
    return VocabularyMessage(
        stamp=stamp, version=version, model_id=model_id, prompt_template=words.template,
        objects=list(words.objects), human=words.human, verbs=list(words.verb_names),
        phrases=[verb.phrase for verb in words.verbs],
        validity=octets(np.ascontiguousarray(words.validity, np.uint8)))
