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
Real photographs of V-COCO with the boxes of a real detector, judged by role AP.

The numbers are compared with a calculation of their own, written from the definition of the
measure and read from other files.
"""

from dataclasses import replace
import json

from hoi_perception.core.scene import Triplets
from hoi_perception.replay import given_boxes
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.instances import open_instances
from hoi_perception.replay.truth import open_truth, role_ap
from hoi_perception.runtime.bundle import default_bundle_path
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.stage_engines import EngineOptions
import numpy as np
import pytest
from shared_data import require_shared

VERBS = ['hold', 'sit', 'look', 'ride', 'hit', 'eat', 'skateboard', 'ski', 'talk on phone', 'read']
ANNOTATION = 'data/annotations/vcoco/instances_vcoco_test.json'
DETECTIONS = 'data/detections/yolox_nano_th0.3.json'


@pytest.fixture(scope='module')
def replayed():
    """Return the truth, and key and scene of every photo with boxes of the detector's file."""
    bag = require_shared('data/bags/vcoco_photos_compressed_mcap')
    annotation = require_shared(ANNOTATION)
    pipeline = HoiPipeline(default_bundle_path(), 'cpu', engines=EngineOptions('eager'),
                           options=PipelineOptions(triplet_threshold=0.0, masks=False))
    with BagReader(bag) as reader:
        boxes = open_instances(str(require_shared(DETECTIONS)), [reader])
        truth = open_truth(str(annotation), [reader])
        pipeline.prompts.activate(pipeline.prompts.prepare(VERBS))
        shown = []
        for frame in reader.frames():
            given = boxes.of(reader, frame.key, frame.log_time)
            new = given_boxes.new_names(given_boxes.class_names(given),
                                        pipeline.vocabulary.objects)
            pipeline.prompts.activate(pipeline.prompts.with_objects(new))
            found, faults = given_boxes.instances(given, pipeline.vocabulary.objects)
            assert not faults
            shown.append((frame.key, pipeline(frame.rgb(), found)))
    return truth, shown


def _iou(first, second):
    """Return the IoU of boxes whose last pixel belongs to them."""
    width = min(first[2], second[2]) - max(first[0], second[0]) + 1
    height = min(first[3], second[3]) - max(first[1], second[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (first, second)]
    return width * height / (sum(areas) - width * height)


def _pixels(box):
    """Return edges as first and last pixel."""
    return [box[0], box[1], box[2] - 1, box[3] - 1]


def _people(image):
    """Return every annotated person of an image as [box, {action role: object box}]."""
    people = []
    for row in image['interactions']:
        box = _pixels(row['human_box'])
        if box not in [person for person, _ in people]:
            people.append([box, {}])
        roles = next(roles for person, roles in people if person == box)
        roles.setdefault(row['action'], _pixels(row['object_box']))
    return people


def _role_ap(wanted, other_roles, photos, found, scenario):
    """Return the AP of one role; found: (photo, score, human box, object box), in order."""
    action = wanted.rpartition(' ')[0]
    positives = sum(any(role.rpartition(' ')[0] == action for role in roles)
                    for people in photos.values() for _, roles in people)
    if not positives:
        return None
    taken, precision, recall, right = set(), [], [], 0
    for number, (photo, _, human, thing) in enumerate(
            sorted(found, key=lambda row: -np.float32(row[1])), 1):
        people = photos[photo]
        best = max(range(len(people)), key=lambda i: _iou(human, people[i][0]), default=None)
        if best is not None and _iou(human, people[best][0]) >= 0.5 and (photo, best) not in taken:
            roles = people[best][1]
            acts = wanted in roles or any(role in roles for role in other_roles)
            if wanted in roles:
                fits = _iou(thing, roles[wanted]) >= 0.5
            else:  # the person does it, with nothing annotated in this role
                fits = scenario == 2
            if acts and fits:
                taken.add((photo, best))
                right += 1
        precision.append(right / number)
        recall.append(right / positives)
    area, before = 0.0, 0.0
    for i, reached in enumerate(recall):
        area += (reached - before) * max(precision[i:])
        before = reached
    return area


def _rows(shown, role, two_roles):
    """Return the detections of a role: triplets whose verb means it, in the order of frames."""
    action, _, slot = role.rpartition(' ')
    rows = []
    for (_, _, photo), scene in shown:
        names, boxes = scene.vocabulary.verb_names, scene.instances.boxes.astype(float).tolist()
        for human, thing, verb, score in zip(
                scene.triplets.human, scene.triplets.object, scene.triplets.verb,
                scene.triplets.scores):
            if names[verb] == role:
                rows.append((photo, float(score), _pixels(boxes[human]), _pixels(boxes[thing])))
                continue
            if names[verb].replace(' ', '_') != action:
                continue
            # 'hit' and 'eat' alone mean the role that things of this class have in V-COCO.
            name = scene.vocabulary.objects[scene.instances.labels[thing]]
            fitting = {other for (act, other), things in two_roles.items()
                       if act == action and name in things}
            if fitting and slot not in fitting:
                continue
            rows.append((photo, float(score), _pixels(boxes[human]), _pixels(boxes[thing])))
    return rows


def _two_roles(raw):
    """Return the names of things per (action, role) of the actions with two roles."""
    found = {}
    for role, things in zip(raw['classes'], raw['action_to_object']):
        action, _, slot = role.rpartition(' ')
        if sum(name.rpartition(' ')[0] == action for name in raw['classes']) == 2:
            found[action, slot] = {raw['objects'][index] for index in things}
    return found



def _agree(truth, shown):
    """Compare every role in both scenarios; return the values that are there."""
    result = role_ap(truth, shown)
    gt = json.loads(require_shared('data/gt/vcoco_gt.json').read_text())
    two_roles = _two_roles(json.loads(require_shared(ANNOTATION).read_text()))
    photos = {name: _people(image) for name, image in gt.items()}
    assert set(photos) == {key[2] for key, _ in shown} and len(shown) == 10
    values = []
    for a, (action, roles) in enumerate(zip(result.actions, result.roles)):
        for slot, role in enumerate(roles):
            others = [f'{action} {other}' for other in roles if other != role]
            rows = _rows(shown, f'{action} {role}', two_roles)
            for scenario in (1, 2):
                mine = _role_ap(f'{action} {role}', others, photos, rows, scenario)
                theirs = result.role[scenario - 1][a, slot]
                if mine is None:
                    assert np.isnan(theirs)
                else:
                    assert theirs == pytest.approx(mine, abs=1e-6), (action, role, scenario)
                    values.append(mine)
    return np.array(values)


def test_role_ap_agrees_with_a_calculation_of_its_own(replayed):
    values = _agree(*replayed)
    assert len(values) >= 16 and values.any()


def _spoiled(scene, rng):
    """Return a truth with boxes moved, things exchanged, verbs exchanged and scores at random."""
    found, triplets = scene.instances, scene.triplets
    if not len(triplets):
        return scene
    size = found.boxes[:, 2:] - found.boxes[:, :2]
    moved = found.boxes + 0.2 * np.tile(size * rng.standard_normal(size.shape), 2)
    rows = rng.integers(0, len(triplets), 3 * len(triplets))
    things = np.where(rng.random(len(rows)) < 0.3, rng.permutation(triplets.object[rows]),
                      triplets.object[rows])
    verbs = np.where(rng.random(len(rows)) < 0.3, rng.permutation(triplets.verb[rows]),
                     triplets.verb[rows])
    return replace(scene, instances=replace(found, boxes=moved), triplets=Triplets(
        triplets.human[rows], things, verbs, rng.random(len(rows))))


@pytest.mark.parametrize('seed', range(5))
def test_predictions_of_every_quality_agree_too(replayed, seed):
    truth, shown = replayed
    rng = np.random.default_rng(seed)
    values = _agree(truth, [(key, _spoiled(truth.scene(key), rng)) for key, _ in shown])
    assert ((values > 0.05) & (values < 0.95)).sum() >= 4


def test_something_is_found_and_both_scenarios_are_printed(replayed):
    result = role_ap(*replayed)
    assert 0 < result.role_mean(1) <= result.role_mean(2) <= 1
    for scenario in (1, 2):
        assert f'role AP scenario {scenario}' in str(result)


def test_the_truth_shown_as_a_prediction_is_right(replayed):
    truth, shown = replayed
    result = role_ap(truth, [(key, truth.scene(key)) for key, _ in shown])
    for name, slot in (('hold', 0), ('sit', 0), ('look', 0), ('ski', 0), ('talk_on_phone', 0)):
        assert result.role[0][result.actions.index(name), slot] == pytest.approx(1), name


def test_photos_without_boxes_in_the_file_would_be_dropped_as_the_node_does(replayed):
    truth, shown = replayed
    half = role_ap(truth, [(key, scene if i % 2 else None)
                           for i, (key, scene) in enumerate(shown)])
    full = role_ap(truth, shown)
    np.testing.assert_array_equal(half.positives, full.positives)
