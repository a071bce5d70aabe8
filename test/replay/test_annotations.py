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

"""Predictions go out for correction and come back as truth."""

from dataclasses import replace
import json

from bags import header, instance
from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.mask_iou import MaskIouCounter
from hoi_perception.evaluation.triplet_map import evaluate_scenes
from hoi_perception.replay.annotations import export_coco
from hoi_perception.replay.bag_reader import BagReader, frame_key
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import DETECTIONS, MASKS
from hoi_perception.replay.scenes import masks_of, scene_of, vocabulary_of
from hoi_perception.replay.truth import open_truth
import numpy as np
from PIL import Image
from pycocotools import mask as coco
import pytest

SIZE = (128, 96)
NAMES = ('person', 'bicycle', 'cup')
FRAMES = 5


def _detections(writer, rng, sec):
    corners = rng.uniform(0, 40, (4, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 50, (4, 2))], 1)
    labels = [0, 0, 1, 2]
    triplets = [writer.message('hoi_msgs/msg/HoiTriplet', human=human, object=thing, verb=verb,
                               verb_name=name, score=float(rng.random()), interaction_id=0)
                for human in (0, 1)
                for thing, verb, name in ((2, 0, 'ride'), (3, 1, 'hold'), (-1, 2, 'walk'))]
    return writer.message(
        DETECTIONS, header=header(writer, sec, 7, 'front'), frame_seq=sec, width=SIZE[0],
        height=SIZE[1], model_id='tiny', prompt_version=1,
        instances=[instance(writer, box, label, NAMES[label])
                   for box, label in zip(boxes, labels)], triplets=triplets)


def _masks(writer, message):
    masks = []
    for owner, found in enumerate(message.instances[:3]):
        bitmap = np.asfortranarray(np.tri(9, 12, dtype=np.uint8))
        masks.append(writer.message(
            'hoi_msgs/msg/Mask', kind=0, owner=owner, x=int(found.x1), y=int(found.y1), width=12,
            height=9, encoding=0, data=np.frombuffer(coco.encode(bitmap)['counts'], np.uint8)))
    return writer.message(MASKS, header=message.header, frame_seq=message.frame_seq,
                          width=SIZE[0], height=SIZE[1], masks=masks)


@pytest.fixture
def replay(tmp_path):
    """Return the output directory of a replay, and its scenes with masks by frame."""
    rng, directory, scenes = np.random.default_rng(0), tmp_path / 'replay', {}
    directory.mkdir()
    with BagWriter(directory / 'results') as writer:
        for sec in range(1, FRAMES + 1):
            message = _detections(writer, rng, sec)
            masks = _masks(writer, message)
            writer.write('/hoi/detections', DETECTIONS, sec, message)
            writer.write('/hoi/masks', MASKS, sec, masks)
            found = scene_of(message, vocabulary_of([message]))
            scenes[frame_key(message.header)] = (found, masks_of(masks))
    return directory, scenes


def _pixels(key):
    return np.full((SIZE[1], SIZE[0], 3), 10 * key[0], np.uint8)


def _changed(path, change):
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    return str(path)


def test_what_is_exported_and_read_back_is_the_same(replay, tmp_path):
    directory, scenes = replay
    told = export_coco(directory, tmp_path / 'out', _pixels)
    assert told[1:] == (FRAMES, 4 * FRAMES, 6 * FRAMES, 0) and '5 frames' in str(told)
    truth = open_truth(str(tmp_path / 'out' / 'annotations.json'), [])
    assert truth.coverage(scenes) == (FRAMES, 0, 0, 0)
    pairs = [(found, truth.scene(key)) for key, (found, _) in scenes.items()]
    report = evaluate_scenes(pairs)
    assert report.full == pytest.approx(1) and len(report.per_class) == 3
    for found, real in pairs:
        np.testing.assert_allclose(real.instances.boxes, found.instances.boxes, rtol=1e-6)


def test_masks_come_back_too(replay, tmp_path):
    directory, scenes = replay
    export_coco(directory, tmp_path / 'out', _pixels)
    truth = open_truth(str(tmp_path / 'out' / 'annotations.json'), [])
    counter = MaskIouCounter()
    for key, (found, masks) in scenes.items():
        counter.add(replace(found, masks=masks), truth.scene(key))
    result = counter.result()
    assert (result.mean, result.found, result.truth) == (1, 3 * FRAMES, 3 * FRAMES)


def test_images_lie_beside_in_the_order_of_the_frames(replay, tmp_path):
    export_coco(replay[0], tmp_path / 'out', _pixels)
    raw = json.loads((tmp_path / 'out' / 'annotations.json').read_text())
    assert raw['images'][1] == {
        'id': 2, 'file_name': '000002_2_000000007.jpg', 'width': 128, 'height': 96,
        'frame': {'sec': 2, 'nanosec': 7, 'frame_id': 'front'}}
    pixels = np.asarray(Image.open(tmp_path / 'out' / 'images' / raw['images'][1]['file_name']))
    assert pixels.shape == (96, 128, 3) and abs(int(pixels.mean()) - 20) <= 1


def test_weak_triplets_can_be_left_out(replay, tmp_path):
    directory, scenes = replay
    strong = sum(int((found.triplets.scores >= .5).sum()) for found, _ in scenes.values())
    told = export_coco(directory, tmp_path / 'out', _pixels, least_score=.5)
    assert told.interactions == strong < 6 * FRAMES


def test_frames_that_cannot_be_read_again_are_left_out_and_told(replay, tmp_path):
    told = export_coco(replay[0], tmp_path / 'out',
                       lambda key: None if key[0] == 2 else _pixels(key))
    assert (told.frames, told.without_image) == (FRAMES - 1, 1) and '1 frames' in str(told)
    with pytest.raises(HoiError, match='5 were answered, and none of them could be read again'):
        export_coco(replay[0], tmp_path / 'none', lambda key: None)


def test_nothing_is_overwritten(replay, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mine.txt').write_text('mine')
    with pytest.raises(HoiError, match='not an empty directory'):
        export_coco(replay[0], tmp_path / 'out', _pixels)


def _without_frames(raw):
    for image in raw['images']:
        del image['frame']
        image['file_name'] = 'task_1/' + image['file_name']


def _polygon(raw):
    raw['annotations'][0]['segmentation'] = [[10, 10, 30, 10, 30, 20, 10, 20]]


def _tool(raw):
    raw['licenses'] = []
    for annotation in raw['annotations']:
        annotation['attributes'] = {'occluded': False}
        annotation['segmentation'] = []


@pytest.mark.parametrize('change', [_without_frames, _polygon, _tool])
def test_what_annotation_tools_change_does_no_harm(replay, tmp_path, change):
    directory, scenes = replay
    export_coco(directory, tmp_path / 'out', _pixels)
    truth = open_truth(_changed(tmp_path / 'out' / 'annotations.json', change), [])
    key = next(iter(scenes))
    assert len(truth.scene(key).triplets) == 6
    if change is _polygon:
        assert truth.scene(key).mask_of(0).bitmap.sum() == 200


def _set(part, row, **values):
    return lambda raw: raw[part][row].update(values)


@pytest.mark.parametrize(('change', 'sentence'), [
    (lambda raw: raw.pop('hoi_annotation'), 'without hoi_annotation.*copy them back'),
    (_set('annotations', 3, category_id=99), 'annotation 4: got category_id 99'),
    (_set('annotations', 3, image_id=99), 'annotation 4: got image_id 99'),
    (_set('annotations', 3, id=1), 'annotation 1 comes twice'),
    (_set('annotations', 3, bbox=[1, 2, 3]), 'annotations.3.bbox'),
    (_set('annotations', 3, bbox=[1, 2, 0, 4]), 'annotation 4: got bbox'),
    (_set('hoi_annotation', 0, subject_id=99), 'hoi_annotation 1: got subject_id 99'),
    (_set('hoi_annotation', 0, object_id=5), 'object_id 5, expected the id of an annotation of '
                                             'image 1'),
    (_set('hoi_annotation', 0, category_id=0), 'hoi_annotation 1: got category_id 0'),
    (_set('images', 0, frame=None, file_name='x.jpg'), 'does not say which frame')])
def test_what_does_not_fit_together_is_told_with_its_place(replay, tmp_path, change, sentence):
    export_coco(replay[0], tmp_path / 'out', _pixels)
    path = _changed(tmp_path / 'out' / 'annotations.json', change)
    with pytest.raises(HoiError, match=sentence):
        open_truth(path, [])


def test_a_segmentation_that_is_none_is_told(replay, tmp_path):
    export_coco(replay[0], tmp_path / 'out', _pixels)
    path = _changed(tmp_path / 'out' / 'annotations.json',
                    _set('annotations', 0, segmentation={'counts': 'x'}))
    truth = open_truth(path, [])
    with pytest.raises(HoiError, match='annotation 1 has a segmentation that is neither'):
        truth.scene((1, 7, 'front'))


def test_the_results_bag_is_not_changed(replay, tmp_path):
    export_coco(replay[0], tmp_path / 'out', _pixels)
    with BagReader(replay[0] / 'results') as reader:
        assert sum(topic.count for topic in reader.topics) == 2 * FRAMES
