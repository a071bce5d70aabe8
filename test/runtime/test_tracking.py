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

"""Identities over time: crossings, gaps, weak boxes, odd rates, and the demo's true boxes."""

from pathlib import Path

import hoi_perception
from hoi_perception.core.scene import Instances
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.replay.scenes import scene_of, vocabulary_of
from hoi_perception.runtime.tracking import MAX_TRACKS, Tracker
import numpy as np
import pytest

BAG = Path(hoi_perception.__file__).parent / 'demo_data' / 'synthetic_demo'
CONFIDENT, MAX_AGE_S = 0.3, 1.0


def instances(*rows):
    """Return instances of (x, y, label, score) rows: boxes 40 wide and 80 high around x, y."""
    table = np.array(rows, float).reshape(-1, 4)
    x, y = table[:, 0], table[:, 1]
    return Instances(np.stack([x - 20, y - 40, x + 20, y + 40], axis=1), table[:, 3], table[:, 2])


def follow(frames, period_s=0.1, tracker=None, start_s=1000.0):
    """Return the ids of each frame; a frame of None shows nothing."""
    tracker = tracker or Tracker()
    return [tracker.update(instances() if found is None else found,
                           int(1e9 * (start_s + period_s * k)), MAX_AGE_S, CONFIDENT).tolist()
            for k, found in enumerate(frames)]


def test_an_instance_has_an_id_from_its_second_sighting_on():
    assert follow([instances((100, 100, 0, 0.9))] * 4) == [[0], [1], [1], [1]]


def test_a_box_that_shows_up_once_never_gets_an_id():
    person, ghost = (100, 100, 0, 0.9), (300, 300, 1, 0.9)
    frames = [instances(person, ghost) if k % 2 else instances(person) for k in range(10)]
    assert all(ids[0] == 1 and not any(ids[1:]) for ids in follow(frames)[1:])


@pytest.mark.parametrize('period_s, speed', [(0.05, 200.0), (0.1, 150.0), (0.3, 60.0)])
def test_people_who_pass_each_other_keep_their_ids(period_s, speed):
    steps = np.arange(0, 480 / speed, period_s) * speed
    frames = [instances((100 + s, 100, 0, 0.9), (580 - s, 130, 0, 0.8)) for s in steps]
    ids = follow(frames, period_s)
    assert len(frames) > 8
    assert {tuple(row) for row in ids[1:]} == {(1, 2)}


def test_an_id_stays_with_its_class():
    frames = [instances((100, 100, 0, 0.9))] * 3 + [instances((100, 100, 1, 0.9))] * 3
    assert follow(frames) == [[0], [1], [1], [0], [2], [2]]


@pytest.mark.parametrize('hidden_s, same', [(0.5, True), (0.9, True), (1.3, False)])
@pytest.mark.parametrize('period_s', [0.05, 0.2])
def test_an_occlusion_is_bridged_by_its_seconds_not_its_frames(hidden_s, same, period_s):
    count = round(hidden_s / period_s)
    shown = [instances((100, 100, 0, 0.9))] * 4
    ids = follow([*shown, *[None] * (count - 1), *shown], period_s)
    assert (ids[-1] == [1]) == same
    assert ids[-1] != [0]


def test_a_moving_instance_is_found_again_where_it_must_have_got_to():
    frames = [instances((100 + 8 * k, 100, 0, 0.9)) if k < 15 or k > 18 else None
              for k in range(25)]
    assert follow(frames)[-1] == [1]


def test_weak_boxes_continue_a_track_but_begin_none():
    person = [instances((100, 100, 0, score)) for score in (0.9, 0.9, 0.1, 0.1, 0.9)]
    assert follow(person) == [[0], [1], [1], [1], [1]]
    assert follow([instances((100, 100, 0, 0.29))] * 5) == [[0]] * 5


def test_a_weak_box_does_not_take_the_track_of_a_confident_one():
    frames = [instances((100, 100, 0, 0.9))] * 3 + [
        instances((101, 100, 0, 0.2), (112, 100, 0, 0.9))]
    assert follow(frames)[-1] == [0, 1]


def test_the_order_of_the_instances_does_not_matter():
    rows = [(100, 100, 0, 0.9), (300, 120, 0, 0.8), (500, 90, 1, 0.7)]
    shuffled = np.random.default_rng(0)
    frames, orders = [], []
    for k in range(20):
        orders.append(np.arange(3) if k < 2 else shuffled.permutation(3))
        frames.append(instances(*(rows[i] for i in orders[-1])))
    for order, ids in list(zip(orders, follow(frames)))[1:]:
        assert ids == [int(i) + 1 for i in order]


def test_equal_frames_give_equal_ids():
    rng = np.random.default_rng(1)
    frames = [instances(*rng.uniform((0, 0, 0, 0), (600, 400, 3, 1), (12, 4)).astype(int))
              for _ in range(30)]
    assert follow(frames) == follow(frames)


def test_after_a_reset_nothing_keeps_its_id_and_no_id_comes_twice():
    tracker, frames = Tracker(), [instances((100, 100, 0, 0.9), (300, 100, 0, 0.9))] * 3
    assert follow(frames, tracker=tracker)[-1] == [1, 2]
    tracker.reset()
    assert follow(frames, tracker=tracker, start_s=0.5) == [[0, 0], [3, 4], [3, 4]]


def test_a_long_pause_ends_every_track():
    tracker, frames = Tracker(), [instances((100, 100, 0, 0.9))] * 2
    assert follow(frames, tracker=tracker)[-1] == [1]
    assert follow(frames, tracker=tracker, start_s=5000.0) == [[0], [2]]


def test_stamps_that_stand_still_do_no_harm():
    frames = [instances((100, 100, 0, 0.9))] * 5
    assert follow(frames, period_s=0.0)[-1] == [1]


def test_a_detector_gone_mad_does_not_make_the_tracker_grow():
    tracker, rng = Tracker(), np.random.default_rng(2)
    for k in range(20):
        boxes = instances(*rng.uniform((0, 0, 0, 0.5), (9000, 9000, 3, 1), (100, 4)).astype(int))
        boxes = Instances(boxes.boxes, np.ones(100), boxes.labels)
        tracker.update(boxes, 1 + k // 2, 1e6, CONFIDENT)
    assert len(tracker._tracks) <= MAX_TRACKS


@pytest.mark.parametrize('value', [np.inf, 1e30])
def test_absurd_boxes_of_one_frame_are_forgotten(value):
    absurd = Instances([[0, 0, value, value]], [0.9], [0])
    usual = instances((100, 100, 0, 0.9))
    with np.errstate(all='ignore'):
        assert follow([absurd, absurd, *[usual] * 5])[-1] != [0]


@pytest.fixture(scope='module')
def truth():
    """Return [(sequence, true scene)]: the demo shows one sequence of its world after another."""
    with BagReader(BAG) as bag:
        messages = list(bag.ground_truth().values())
    names, scenes, sequence, last = vocabulary_of(messages), [], 0, {}
    for message in messages:
        scene = scene_of(message, names)
        found = dict(zip(scene.instances.track_ids.tolist(), scene.instances.labels.tolist()))
        sequence += any(last.get(key, label) != label for key, label in found.items())
        last = found
        scenes.append((sequence, scene))
    return scenes


@pytest.mark.parametrize('every, missed', [(1, 0.0), (1, 0.2), (3, 0.0)])
def test_true_boxes_of_the_demo_hardly_ever_change_their_id(truth, every, missed):
    rng, tracker = np.random.default_rng(3), Tracker()
    switches, named, shown, last = 0, 0, 0, {}
    for k, (sequence, scene) in list(enumerate(truth))[::every]:
        true = scene.instances
        true = true.take(np.flatnonzero(rng.random(len(true)) >= missed))
        jitter = rng.normal(0, 1.5, true.boxes.shape)
        ids = tracker.update(Instances(true.boxes + jitter, true.scores, true.labels),
                             10 ** 9 + round(k * 1e9 / 11), MAX_AGE_S, CONFIDENT)
        for key, found in zip(true.track_ids.tolist(), ids.tolist()):
            shown, named = shown + 1, named + (found > 0)
            if found:
                switches += last.setdefault((sequence, key), found) != found
                last[sequence, key] = found
    assert len({sequence for sequence, _ in truth}) >= 2
    assert named > 0.85 * shown
    assert switches <= 5, (switches, shown)
