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

import json

from bags import demo_bag, header
from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.inputs import Inputs
from hoi_perception.replay.latency_profile import read_profile, work_ms
from hoi_perception.replay.message_types import LATENCIES
from hoi_perception.replay.modes import arrivals, every_frame, real_time
from hoi_perception.replay.records import read_frames
import numpy as np
import pytest
from replay_runs import files_of, run, still_bag

S = 10**9


def played(bag, work_of):
    """Return what happens in real time: (index, 'dropped' or milliseconds of waiting)."""
    happened = []

    def work(item, waited_ms):
        happened.append((item.index, round(waited_ms, 3)))
        return work_of(item.index)
    with Inputs([bag]) as inputs:
        real_time(inputs.frames(), work, lambda item: happened.append((item.index, 'dropped')))
    return happened


@pytest.mark.parametrize(('work_ms', 'expected'), [
    (0, [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]),
    (100, [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]),
    (150, [(0, 0), (1, 50), (2, 100), (3, 'dropped'), (4, 50), (5, 100)]),
    (250, [(0, 0), (1, 'dropped'), (2, 50), (3, 'dropped'), (4, 100), (5, 250)]),
    (10000, [(0, 0), (1, 'dropped'), (2, 'dropped'), (3, 'dropped'), (4, 'dropped'), (5, 9500)])])
def test_newest_frame_wins_and_latency_decides_what_is_dropped(work_ms, expected, tmp_path):
    bag = still_bag(tmp_path / 'bag', 6)  # every 100 ms
    assert played(bag, lambda index: work_ms) == expected


def test_every_frame_is_answered_when_time_does_not_count(tmp_path):
    waited = []
    with Inputs([still_bag(tmp_path / 'bag', 4)]) as inputs:
        every_frame(inputs.frames(), lambda item, ms: waited.append((item.index, ms)) or 10000)
    assert waited == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0)]


@pytest.mark.parametrize(('stamps', 'expected'), [
    ([5 * S, 5 * S + 30_000_000, 5 * S + 90_000_000], [0, 30, 90]),  # not those of recording
    ([0, 0, 0], [0, 100, 200]), ([-1 * S, -2 * S, -3 * S], [0, 100, 200]),
    ([9 * S, 1 * S, 1 * S + 20_000_000], [0, 100, 120]),  # a clock that was set back
    ([9 * S, 0, 9 * S + 70_000_000], [0, 100, 200])])
def test_frames_arrive_at_their_stamps_or_else_when_they_were_recorded(
        stamps, expected, tmp_path):
    with Inputs([still_bag(tmp_path / 'bag', 3, stamps=stamps)]) as inputs:
        assert [round(frame.at_ms, 3) for frame in arrivals(inputs.frames())] == expected


def latency_bag(path):
    with BagWriter(path) as writer:
        for i in range(4):
            writer.write('/hoi/latency', LATENCIES, i, writer.message(
                LATENCIES, header=header(writer, i, 0), frame_seq=i, stages=['detect', 'publish'],
                milliseconds=np.array([50 * i, 1], np.float32), total=1e6, age=np.nan))
    return path


def test_profile_of_a_robot_is_read_without_the_waiting(tmp_path):
    profile = read_profile(latency_bag(tmp_path / 'robot'))
    assert [work_ms(stages) for stages in profile.frames] == [1, 51, 101, 151]
    assert profile.frames[1] == {'detect': 50.0, 'publish': 1.0}
    drawn = [work_ms(profile.draw(index)) for index in range(200)]
    assert drawn == [work_ms(profile.draw(index)) for index in range(200)]
    assert set(drawn) == {1, 51, 101, 151}


@pytest.mark.parametrize('text', ['', '{}', '[]', '["x"]', '[-1]', '[{"a": "b"}]', '[NaN]',
                                  '[1e999]'])
def test_profile_that_makes_no_sense_is_refused(text, tmp_path):
    path = tmp_path / 'profile.json'
    path.write_text(text)
    with pytest.raises(HoiError, match=r'profile.json'):
        read_profile(path)


def test_bag_without_latencies_is_no_profile(tmp_path):
    with pytest.raises(HoiError, match='has no latencies'):
        read_profile(demo_bag(tmp_path / 'bag', 1))


def test_drops_under_a_profile_are_the_same_every_time_and_fewer_on_a_faster_robot(
        tiny, tmp_path):
    bag = still_bag(tmp_path / 'bag', 12)
    outcomes = {}
    for name, milliseconds in (('slow', [280, 320]), ('again', [280, 320]), ('fast', [20])):
        path = tmp_path / f'{name.replace("again", "slow")}.json'
        path.write_text(json.dumps(milliseconds))
        run(tiny, tmp_path / name, bag, mode='real-time', latency_profile=path)
        outcomes[name] = [r.outcome for r in read_frames(tmp_path / name)]
    assert outcomes['slow'] == outcomes['again'] and outcomes['slow'].count('dropped') >= 6
    assert outcomes['fast'] == ['answered'] * 12
    slow, again = files_of(tmp_path / 'slow'), files_of(tmp_path / 'again')
    assert slow['frames.jsonl'] == again['frames.jsonl']
    assert slow['results/results.mcap'] == again['results/results.mcap']
    waited = [r for r in read_frames(tmp_path / 'slow') if r.outcome == 'answered']
    assert all(r.total >= work_ms(r.stages) for r in waited)
    assert any(r.total > work_ms(r.stages) for r in waited)


def test_profile_without_real_time_is_refused(tiny, tmp_path):
    with pytest.raises(HoiError, match='leave one of them out'):
        run(tiny, tmp_path / 'out', tmp_path, latency_profile=tmp_path / 'x.json')
    with pytest.raises(HoiError, match='every-frame or real-time'):
        run(tiny, tmp_path / 'out', tmp_path, mode='slow')
