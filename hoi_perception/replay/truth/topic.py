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

"""Truth from topics of HoiDetections in the bags, with HoiMasks beside them where there are."""

from hashlib import sha256
import json
from typing import Dict, List, NamedTuple, Sequence, Tuple

from hoi_perception.core.errors import HoiError
from hoi_perception.core.scene import Mask, Scene
from hoi_perception.core.vocabulary import Vocabulary
from hoi_perception.replay.bag_reader import BagReader, frame_key, FrameKey
from hoi_perception.replay.message_types import DETECTIONS, MASKS
from hoi_perception.replay.scenes import masks_of, scene_of, vocabulary_of
from hoi_perception.replay.truth.frames import AnnotatedFrames, index_places, Place


class _Annotations(NamedTuple):
    """What was read so far; words: one vocabulary for all frames with the same names."""

    places: List[Place]
    scenes: List[Scene]
    masks: Dict[FrameKey, object]
    words: Dict[tuple, Vocabulary]


def open_topic(names: Sequence[str], readers: Sequence[BagReader]) -> AnnotatedFrames:
    """
    Return the truth of these topics.

    Masks come from topics of HoiMasks with the same name up to the last word
    (`/ground_truth/masks` beside `/ground_truth/detections`) or with `_masks` or `/masks` after
    it. Raises `HoiError` where a topic is of another type or a message contradicts itself.
    """
    found, digest = _Annotations([], [], {}, {}), sha256()
    for reader in readers:
        for topic in reader.topics:
            if topic.name in names and topic.type != DETECTIONS:
                raise HoiError(f'bag {reader.path}: ground truth topic {topic.name} is of '
                               f'{topic.type}, expected {DETECTIONS}.')
        for name in names:
            _read(reader, name, found)
    for place, scene in zip(found.places, found.scenes):
        digest.update(_bytes(place, scene))
    index, notes = index_places(found.places)

    def scene_at(row: int) -> Scene:
        scene, (stamp, frame_id) = found.scenes[row], found.places[row]
        assert stamp is not None and frame_id is not None
        message = found.masks.get((*stamp, frame_id))
        return scene if message is None else _with_masks(scene, masks_of(message), found.places[
            row])
    return AnnotatedFrames(f'topic {", ".join(names)}', digest.hexdigest(), index, scene_at, notes)


def _read(reader: BagReader, name: str, found: _Annotations) -> None:
    beside = {f'{name}_masks', f'{name}/masks', f'{name.rpartition("/")[0]}/masks'}
    for topic in reader.topics:
        if topic.type == MASKS and topic.name in beside:
            for _, message in reader.messages(topic):
                found.masks[frame_key(message.header)] = message
        elif topic.type == DETECTIONS and topic.name == name:
            for _, message in reader.messages(topic):
                key = frame_key(message.header)
                _check(reader, name, key, message)
                found.places.append(((key[0], key[1]), key[2]))
                words = vocabulary_of([message])
                words = found.words.setdefault((words.objects, words.verb_names), words)
                found.scenes.append(scene_of(message, words))


def _check(reader: BagReader, name: str, key: FrameKey, message) -> None:
    count = len(message.instances)
    for row, triplet in enumerate(message.triplets):
        if not (0 <= triplet.human < count and -1 <= triplet.object < count):
            raise HoiError(f'bag {reader.path}, {name} at {key[0]}.{key[1]:09d}: triplet {row} '
                           f'names instances {triplet.human} and {triplet.object}, expected '
                           f'indices of its {count} instances.')


def _with_masks(scene: Scene, masks: Tuple[Mask, ...], place: Place) -> Scene:
    for mask in masks:
        limit = len(scene.triplets if mask.kind else scene.instances)
        if mask.owner >= limit:
            raise HoiError(f'ground truth masks of frame {place}: a mask belongs to number '
                           f'{mask.owner}, expected one of the {limit} of its HoiDetections.')
    return Scene(scene.width, scene.height, scene.vocabulary, scene.instances, scene.triplets,
                 masks, scene.model_id, scene.prompt_version)


def _bytes(place: Place, scene: Scene) -> bytes:
    found, triplets = scene.instances, scene.triplets
    text = json.dumps([place, scene.width, scene.height, scene.vocabulary.objects,
                       scene.vocabulary.verb_names])
    return b''.join([text.encode(), *(array.tobytes() for array in (
        found.boxes, found.labels, found.track_ids, triplets.human, triplets.object,
        triplets.verb))])
