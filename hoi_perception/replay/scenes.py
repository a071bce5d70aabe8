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
Messages read from a bag to `Scene`s.

Names decide, not indices: ground truth and results of one bag may index different vocabularies.
"""

from typing import Iterable, Tuple

from hoi_perception.core.scene import Instances, Mask, MaskKind, NONE, Scene, Triplets
from hoi_perception.core.vocabulary import Verb, Vocabulary
from pycocotools import mask as coco


def vocabulary_of(detections: Iterable[object], human: str = 'person') -> Vocabulary:
    """Return a vocabulary of every name in these HoiDetections messages, `human` first."""
    objects, verbs = {human: None}, {}
    for message in detections:
        objects.update((instance.class_name, None) for instance in message.instances)
        verbs.update((triplet.verb_name, None) for triplet in message.triplets)
    return Vocabulary(tuple(objects), tuple(Verb(name) for name in verbs))


def scene_of(message, vocabulary: Vocabulary) -> Scene:
    """
    Return the `Scene` of a HoiDetections message, in terms of this vocabulary.

    message: from rosbags or rclpy. Instances and triplets with a name the vocabulary lacks raise
    `KeyError`: build the vocabulary from all messages with `vocabulary_of`.
    """
    objects = {name: index for index, name in enumerate(vocabulary.objects)}
    verbs = {name: index for index, name in enumerate(vocabulary.verb_names)}
    found, triplets = message.instances, message.triplets
    return Scene(
        width=int(message.width), height=int(message.height), vocabulary=vocabulary,
        instances=Instances(
            boxes=[(i.x1, i.y1, i.x2, i.y2) for i in found],
            scores=[i.score for i in found],
            labels=[objects[i.class_name] for i in found],
            track_ids=[int(i.track_id) for i in found]),
        triplets=Triplets(
            human=[t.human for t in triplets],
            object=[t.object if t.object >= 0 else NONE for t in triplets],
            verb=[verbs[t.verb_name] for t in triplets],
            scores=[t.score for t in triplets],
            ids=[int(t.interaction_id) for t in triplets]),
        model_id=message.model_id, prompt_version=int(message.prompt_version))


def masks_of(message) -> Tuple[Mask, ...]:
    """Return the masks of a HoiMasks message, from rosbags or rclpy."""
    return tuple(Mask(MaskKind(int(mask.kind)), int(mask.owner), int(mask.x), int(mask.y),
                      coco.decode({'size': [int(mask.height), int(mask.width)],
                                   'counts': bytes(mask.data)}).astype(bool))
                 for mask in message.masks)
