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

"""The soak itself: does it spoil what it says, see what is wrong, and go on where it was."""

import copy
from dataclasses import replace
import json
import sys

import pytest

pytest.importorskip('hoi_msgs.msg', reason='no ROS 2 is installed')
from benchmarks import soak, soak_world
from benchmarks.fairness import judge as judge_shares
from benchmarks.fairness import max_min_shares
from benchmarks.soak_changes import CALM, Changes, INVALID, LIVE
from benchmarks.soak_checks import Judge
from benchmarks.soak_fuzzer import Fuzzer
from benchmarks.soak_meter import Meter
from benchmarks.soak_report import (
    build_report,
    memory_growth,
    read_sessions,
    Session,
    write_report,
)
from benchmarks.soak_world import (
    boxes_message,
    calibration,
    CAMERAS,
    depth_message,
    image_messages,
    Name,
    nameless,
    picture_size,
    read_name,
    read_nameless,
)
from builtin_interfaces.msg import Time
from hoi_msgs.msg import HoiDetections, HoiTriplet, Instance, Vocabulary
from hoi_perception.core.errors import FrameError
from hoi_perception.core.scene import Instances, Scene
from hoi_perception.replay import given_boxes
from hoi_perception.ros import images
from hoi_perception.ros.parameters import ROWS
from hoi_perception.runtime.depth import decode_depth, locate, pinhole
import numpy as np
from rclpy.serialization import deserialize_message

pytestmark = pytest.mark.xdist_group('ros_soak')

FRONT, BACK, SIDE, WRIST = CAMERAS
NOW = 1_790_000_000_000_000_000


@pytest.fixture(scope='module')
def good():
    return {'raw': image_messages('raw'), 'compressed': image_messages('compressed')}


def spoilt(good, fuzzer, number):
    """Return the next malformed message of each kind, with its type."""
    picture = number % soak_world.PICTURES
    makers = {
        'raw': (fuzzer.image, FRONT, copy.deepcopy(good['raw'][picture]), picture),
        'compressed': (fuzzer.image, SIDE, copy.deepcopy(good['compressed'][picture]), picture),
        'depth': (fuzzer.depth, FRONT, depth_message(picture)),
        'info': (fuzzer.camera_info, FRONT, calibration(picture)),
        'boxes': (fuzzer.boxes, WRIST, boxes_message(picture), Time(sec=5))}
    return {kind: (type(rest[1]), make(*rest)) for kind, (make, *rest) in makers.items()}


# The fuzzer

def test_the_same_seed_spoils_alike_and_another_does_not(good):
    def sent(seed):
        fuzzer = Fuzzer(seed, lambda: NOW)
        return [(found.done, None if isinstance(found.message, bytes) else found.message)
                for number in range(5) for _, found in spoilt(good, fuzzer, number).values()]
    # Not their octets: what pads them is left to chance by the middleware.
    assert sent(1) == sent(1) != sent(2)


@pytest.mark.parametrize('kind, fields', [
    ('raw', {'width', 'height', 'step', 'encoding', 'is_bigendian', 'data', 'data length',
             'stamp', 'frame_id', 'no frame_id', 'wire cut', 'wire flip', 'wire lengths'}),
    ('compressed', {'format', 'data', 'data cut', 'data bits', 'bomb', 'other format', 'stamp',
                    'frame_id', 'wire cut', 'wire flip'}),
    ('depth', {'width', 'height', 'step', 'encoding', 'data', 'data length', 'wire cut'}),
    ('info', {'width', 'height', 'k', 'p', 'd', 'distortion_model', 'roi', 'wire cut'}),
    ('boxes', {'x1', 'y1', 'x2', 'y2', 'score', 'class_name', 'label', 'track_id', 'number',
               'wire cut'})])
def test_every_field_is_spoilt(good, kind, fields):
    fuzzer, done = Fuzzer(3), set()
    for number in range(400):
        done |= set(spoilt(good, fuzzer, number)[kind][1].done.split('+'))
        if fields <= done:
            break
    assert fields <= done


def test_malformed_messages_raise_frame_errors_and_nothing_else(good):
    fuzzer, kinds, answered = Fuzzer(7), set(), 0
    words = ('person', 'cup', 'umbrella', 'ladder')
    for number in range(150):
        for kind, (type_, found) in spoilt(good, fuzzer, number).items():
            message = found.message
            if isinstance(message, bytes):
                try:
                    message = deserialize_message(message, type_)
                except Exception:
                    continue  # the middleware refuses it: it never comes in
            try:
                use(kind, message, words)
                answered += 1
            except FrameError as error:
                kinds.add(error.kind)
    assert answered > 50
    assert {'unknown_encoding', 'size_mismatch', 'step_too_small', 'zero_size', 'too_large',
            'truncated', 'undecodable', 'depth_size', 'depth_encoding'} <= kinds


def use(kind, message, words):
    """Do with a message what the node does."""
    if kind in ('raw', 'compressed'):
        rgb = images.decode(message, 33177600)
        assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.size
    elif kind == 'depth':
        depth = decode_depth(message.encoding, message.width, message.height, message.step,
                             message.data, bool(message.is_bigendian))
        place(depth, calibration(0), depth.shape)
    elif kind == 'info':
        size = message.height, message.width
        place(np.full((240, 320), 2.0, np.float32), message, size)
    else:
        found, _ = given_boxes.instances(message, words)
        assert np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()


def place(depth, info, size):
    scene = Scene(320, 240, None, Instances(
        np.array([[10.0, 10, 300, 200], [0, 0, 320, 240]]), np.ones(2), np.zeros(2, int)))
    locate(scene, depth, pinhole(info.k, info.p, info.width, info.height))


# Names of frames

def test_a_frame_without_frame_id_is_still_known():
    header = nameless(SIDE, 7, NOW)
    assert header.frame_id == ''
    assert read_nameless(header) == Name(SIDE.prefix, 0, 7, picture_size(7))


def test_a_stamp_that_is_not_the_one_of_the_frame_is_seen():
    header = Name(FRONT.prefix, 3, 5, picture_size(5)).header(Time(sec=9, nanosec=1), 'é|☃')
    assert read_name(header).picture == 5
    header.stamp.nanosec = 2
    with pytest.raises(ValueError, match='frame_id says stamp 9.1'):
        read_name(header)


# The judge

BOXES = {kind: [np.array([[n, 0.0, 50 + n, 60], [5, 5, 20, 30 + n]])
                for n in range(soak_world.PICTURES)] for kind in ('raw', 'compressed', 'given')}
WORDS = Vocabulary(version=4, model_id='m', objects=['person', 'cup'], verbs=['hold', 'wash'],
                   validity=[0, 1, 0, 1])


def result(picture=3, camera=FRONT, serial=8):
    width, height = picture_size(picture)
    x1, y1, x2, y2 = BOXES['raw'][picture][0].tolist()
    header = Name(camera.prefix, serial, picture, (width, height)).header(Time(sec=serial))
    return HoiDetections(
        header=header, width=width, height=height, model_id='m', prompt_version=4,
        frame_seq=serial, triplets=[HoiTriplet(human=0, object=1, verb=1, verb_name='wash')],
        instances=[Instance(x1=x1, y1=y1, x2=x2, y2=y2, label=0, class_name='person'),
                   Instance(x1=5.0, y1=5.0, x2=20.0, y2=30.0 + picture, label=1,
                            class_name='cup')])


@pytest.fixture
def judge():
    made = Judge(BOXES)
    made.vocabulary(FRONT.node, WORDS)
    return made


def test_a_right_result_is_right(judge):
    judge.detections(FRONT, result())
    assert judge.count['mislabelled'] == 0
    assert judge.count['boxes_checked'] == 2 and judge.count['names_checked'] == 3


def change(**fields):
    def alter(message):
        for name, value in fields.items():
            setattr(message, name, value)
    return alter


@pytest.mark.parametrize('alter, words', [
    (change(header=result(camera=BACK).header), 'a frame of /soak/back'),
    (change(header=result(picture=4).header), 'pixels for a frame of'),
    (change(width=9), 'pixels for a frame of'),
    (lambda m: setattr(m.header, 'stamp', Time(sec=1)), 'frame_id says stamp'),
    (change(instances=result(picture=9).instances), 'is none of picture 3'),
    (lambda m: setattr(m.triplets[0], 'verb_name', 'hold'), "'hold' for 'wash'"),
    (lambda m: setattr(m.triplets[0], 'verb', 2), 'verb 2 of 2 verbs'),
    (lambda m: setattr(m.triplets[0], 'object', 0), "may not go with 'person'"),
    (lambda m: setattr(m.triplets[0], 'human', 5), 'human 5 of 2'),
    (lambda m: setattr(m.instances[0], 'class_name', 'cup'), "'cup' for 'person'"),
    (change(model_id='other'), 'model other'),
    (change(frame_seq=0), 'frame_seq 0 after 0')])
def test_a_wrong_result_is_seen(judge, alter, words):
    message = result()
    alter(message)
    judge.detections(FRONT, message)
    assert judge.count['mislabelled'] == 1 and words in judge.examples[0]


def test_a_result_waits_for_its_vocabulary_and_is_judged_then(judge):
    message = result()
    message.prompt_version = 5
    judge.detections(FRONT, message)
    judge.settle()
    assert judge.count['names_checked'] == 0
    later = copy.deepcopy(WORDS)
    later.version, later.verbs = 5, ['wash', 'hold']
    judge.vocabulary(FRONT.node, later)
    judge.settle()
    assert judge.count['mislabelled'] == 1 and 'version 5' in judge.examples[0]


# Changes, report and resumption

def test_what_is_changed_is_live_and_what_must_be_refused_is_refused():
    from hoi_perception.ros.parameters import refusal, Settings
    from rclpy.parameter import Parameter
    assert set(LIVE) == set(CALM) <= {name for name, row in ROWS.items() if row.live}
    settings = replace(Settings(), cameras=('front',))
    for seed in range(60):
        values = Changes(seed).next()
        if values.valid:
            assert refusal([Parameter(name, value=value)
                            for name, value in values.values.items()], settings) == ''
    assert len(INVALID) > 15


def session(seconds=60.0, **values):
    made = Session(seconds=seconds, ending='as planned', dropped={'overrun': 3}, memory={
        '/soak': [(t, 500 + t / 60, 300.0) for t in range(0, int(seconds), 5)]})
    made.sums.update(frames_in=10, frames_out=7, malformed_sent=2)
    return replace(made, **values)


def test_the_report_adds_sessions_up_and_balances():
    report = build_report([session(), session(ending='crash', crashes=1)], 2.0, {})
    assert list(report)[:8] == ['minutes', 'crashes', 'mislabelled', 'frames_in', 'frames_out',
                                'dropped', 'malformed_sent', 'rss_growth_percent']
    assert (report['minutes'], report['crashes'], report['frames_in']) == (2.0, 1, 20)
    assert report['dropped'] == {'overrun': 6} and report['unaccounted'] == 0
    assert report['complete'] and soak.verdict(report) == ['1 crashes']
    lost = session(dropped={'overrun': 1})
    assert build_report([lost], 1.0, {})['unaccounted'] == 2


def test_memory_is_measured_after_the_warm_up():
    samples = [(t, 100 + min(t, 360) / 3.6, 50.0) for t in range(0, 3601, 10)]
    flat = memory_growth(samples)
    assert flat['after_s'] == 300 and flat['percent'] < 0.1 and flat['anonymous_percent'] == 0
    leak = memory_growth([(t, 100 + t / 360, 50 + t / 360) for t in range(0, 3601, 10)])
    assert leak['slope_mib_per_hour'] == pytest.approx(10, abs=0.1)
    assert leak['percent'] == pytest.approx(8.2, abs=0.3)


def test_a_run_that_was_killed_goes_on_and_a_finished_one_begins_anew(tmp_path):
    path = tmp_path / 'soak.json'
    write_report(path, build_report([session()], 2.0, {}))
    assert read_sessions(path, 2.0)[0].sums['frames_in'] == 10
    assert read_sessions(path, 3.0) == []
    write_report(path, build_report([session()], 1.0, {}))
    assert read_sessions(path, 1.0) == []
    path.write_text('{')
    assert read_sessions(path, 1.0) == []


# One node

@pytest.mark.parametrize('total, demands, shares', [
    (10, {'a': 20, 'b': 8}, {'a': 5, 'b': 5}), (10, {'a': 20, 'b': 2}, {'a': 8, 'b': 2}),
    (10, {'a': 3, 'b': 2}, {'a': 3, 'b': 2}),
    (9, {'a': 1, 'b': 9, 'c': 9}, {'a': 1, 'b': 4, 'c': 4})])
def test_shares_are_max_min_fair(total, demands, shares):
    assert max_min_shares(total, demands) == pytest.approx(shares)


def test_an_unfair_division_is_seen():
    assert judge_shares({'a': 5.0, 'b': 5.0}, {'a': 20.0, 'b': 8.0})['worst_deviation'] == 0
    assert judge_shares({'a': 8.0, 'b': 2.0}, {'a': 20.0, 'b': 8.0})['worst_deviation'] == 0.6


def test_two_cameras_under_load_never_swap_their_results(graph):
    graph.node("cameras:=['fast','slow']")
    meter = Meter(graph._domain, ['fast', 'slow'], '/hoi')
    try:
        meter.wait_until_heard()
        answered = {'fast': 0, 'slow': 0}
        for _ in range(20):
            for name, found in meter.run({'fast': 60.0, 'slow': 15.0}, 1.0).items():
                assert found.swapped == 0
                answered[name] += found.answered
            if min(answered.values()) >= 10:
                break
        assert min(answered.values()) >= 10
    finally:
        meter.close()


@pytest.mark.timeout(600)  # five processes: on a busy machine they take long to start
def test_a_short_soak_finds_nothing_wrong(bundle, tmp_path, monkeypatch):
    out = tmp_path / 'soak.json'
    monkeypatch.setattr(sys, 'argv', ['soak'])
    code = soak.main(['--minutes', '0.1', '--out', str(out), '--logs', str(tmp_path / 'logs'),
                      '--bundle', str(bundle.path), '--engine', 'eager'])
    report = json.loads(out.read_text())
    assert code == 0, report['examples']
    assert report['frames_out'] > 0 and report['malformed_sent'] > 5
    assert report['boxes_checked'] > 0 and report['names_checked'] > 0
    assert report['frames_in'] == report['frames_out'] + sum(report['dropped'].values())
