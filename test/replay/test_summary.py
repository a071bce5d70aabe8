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

from bags import ground_truth_message, header
from hoi_perception.replay.bag_reader import BagReader, frame_key
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import DETECTIONS, LATENCIES, VOCABULARY
from hoi_perception.replay.summary import lines_of, summarize
import numpy as np
import pytest


def vocabulary(writer, version, verbs):
    make = writer.message
    return make(VOCABULARY, stamp=make('builtin_interfaces/msg/Time', 1, 0), version=version,
                model_id='m', prompt_template='{verb}', objects=['person', 'bicycle'], human=0,
                verbs=verbs, phrases=verbs, validity=np.ones(2 * len(verbs), np.uint8))


def result(writer, sec, version, verb='ride'):
    message = ground_truth_message(writer, sec, 0)
    message.prompt_version, message.triplets[0].verb_name = version, verb
    message.triplets[0].score = 0.5
    return message


@pytest.fixture
def bag(tmp_path):
    """Frames 1 and 2 with all verbs and right, 3 with other verbs and wrong, 4 without result."""
    with BagWriter(tmp_path / 'results') as writer:
        writer.write('/hoi/vocabulary', VOCABULARY, 0, vocabulary(writer, 1, ['ride', 'hold']))
        writer.write('/hoi/vocabulary', VOCABULARY, 0, vocabulary(writer, 2, ['hold']))
        for sec, version, verb in ((1, 1, 'ride'), (2, 1, 'ride'), (3, 2, 'hold')):
            writer.write('/hoi/detections', DETECTIONS, sec, result(writer, sec, version, verb))
            writer.write('/hoi/latency', LATENCIES, sec, writer.message(
                LATENCIES, header=header(writer, sec, 0), frame_seq=sec, stages=['detect'],
                milliseconds=np.array([sec], np.float32), total=10.0 * sec, age=np.nan))
        truth = {frame_key(m.header): m
                 for m in (ground_truth_message(writer, sec, 0) for sec in (1, 2, 3, 4))}
    return tmp_path / 'results', truth


def test_only_frames_with_all_verbs_count_for_map(bag):
    results, truth = bag
    summary = summarize(results, list(truth), truth)
    assert (summary['triplet_map'], summary['triplet_map_frames']) == (1.0, 2)
    assert summary['prompt_versions'] == [1, 2]


def test_wrong_verbs_give_no_map(bag):
    results, truth = bag
    for message in truth.values():
        message.triplets[0].verb_name = 'push'
    assert summarize(results, list(truth), truth)['triplet_map'] == 0.0


def test_frames_without_result_are_counted_as_dropped(bag):
    results, truth = bag
    summary = summarize(results, list(truth), truth)
    assert (summary['frames_in'], summary['frames_out'], summary['frames_dropped']) == (4, 3, 1)
    assert summary['results_without_frame'] == 0


def test_results_with_a_header_that_was_never_published_do_not_count_as_answers(bag):
    results, truth = bag
    summary = summarize(results, [(1, 0, 'camera'), (9, 0, 'camera')], truth)
    assert (summary['frames_out'], summary['frames_dropped']) == (1, 1)
    assert summary['results_without_frame'] == 2


def test_frames_with_one_and_the_same_stamp_are_counted_one_by_one(tmp_path):
    with BagWriter(tmp_path / 'results') as writer:
        for i in range(3):
            writer.write('/hoi/detections', DETECTIONS, i, result(writer, 0, 1))
    summary = summarize(tmp_path / 'results', [(0, 0, 'camera')] * 4, {})
    assert (summary['frames_in'], summary['frames_out'], summary['frames_dropped']) == (4, 3, 1)


def test_latency_has_median_and_95th_percentile_per_stage(bag):
    results, truth = bag
    latency = summarize(results, list(truth), truth)['latency_ms']
    assert (latency['p50'], latency['p95']) == (20.0, 29.0)
    assert latency['stages'] == {'detect': {'p50': 2.0, 'p95': 2.9}}


def test_bag_without_results_or_truth_is_summarized_too(tmp_path):
    with BagWriter(tmp_path / 'results') as writer:
        writer.add_topic('/hoi/detections', DETECTIONS)
    summary = summarize(tmp_path / 'results', [(1, 0, 'camera')], {})
    assert summary['frames_dropped'] == 1 and summary['triplet_map'] is None
    assert dict(lines_of(summary))['frames in / out / dropped'] == '1 / 0 / 1'
    with BagReader(tmp_path / 'results') as reader:
        assert reader.image_topics() == ()
