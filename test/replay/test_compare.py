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

"""Two replays of one bag: what changed, and whether it is more than noise."""

import json

from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.triplet_map import evaluate_scenes
from hoi_perception.replay.records import FRAMES
from hoi_perception.replay.report import compare, write_report
from hoi_perception.replay_cli import replay_app
import pytest
from replays import pixels, Story, truth_of, write_replay
from typer.testing import CliRunner

GOOD = Story(frames=60)
POOR = Story(frames=60, wrong=tuple(range(0, 60, 3)), slow=26.0, dropped=(4, 5),
             options={'engine': 'auto', 'stride': 1})


def judged(directory, story, truth=True):
    write_replay(directory, story)
    write_report(directory, truth_of(story) if truth else None, pixels)
    return directory


@pytest.fixture(scope='module')
def two(tmp_path_factory):
    root = tmp_path_factory.mktemp('two')
    return judged(root / 'good', GOOD), judged(root / 'poor', POOR)


def test_what_was_run_differently_is_named(two):
    found = compare(*two)
    assert [(change.what, change.second) for change in found.changed] == [
        ('options: engine', 'auto')]
    assert (found.frames['common'], found.frames['both_answered'],
            found.frames['only_first_answered']) == (60, 58, 2)


def test_a_real_change_is_more_than_noise_and_equals_the_evaluators(two):
    found = compare(*two).accuracy
    both = [i for i in range(60) if i not in POOR.dropped]
    before, after = (evaluate_scenes([(s.seen_at(i), s.truth_at(i)) for i in both]).full
                     for s in (GOOD, POOR))
    assert (found.full.first, found.full.second) == (pytest.approx(before), pytest.approx(after))
    assert found.full.difference < 0 and found.full.more_than_noise
    kick = next(row for row in found.classes if row.name == 'kick ball')
    assert kick.more_than_noise and kick.count == 58


def test_a_replay_compared_with_itself_differs_in_nothing(two):
    found = compare(two[0], two[0])
    assert found.changed == () and found.differing == ()
    assert not found.accuracy.full.more_than_noise and found.accuracy.full.difference == 0
    assert not any(row.more_than_noise for row in (*found.latency, *found.accuracy.classes))


def test_a_change_in_one_frame_of_many_is_noise(two, tmp_path):
    found = compare(two[0], judged(tmp_path / 'other', Story(frames=60, wrong=(30,))))
    assert found.accuracy.full.difference <= 0 and not found.accuracy.full.more_than_noise
    assert found.differing[0].index == 30


def test_latencies_are_compared_by_stage(two):
    rows = {row.name: row for row in compare(*two).latency}
    assert set(rows) == {'whole frame, mean', 'decode, mean', 'detect, mean'}
    assert rows['detect, mean'].difference == pytest.approx(6) and rows[
        'detect, mean'].more_than_noise
    assert rows['decode, mean'].difference == 0


def test_without_truth_frames_are_ranked_by_what_they_say(tmp_path):
    one, two = (judged(tmp_path / name, story, truth=False) for name, story in (
        ('one', GOOD), ('two', Story(frames=60, wrong=(7,)))))
    found = compare(one, two)
    assert found.accuracy.full is None and 'not judged' in found.accuracy.why
    assert [frame.index for frame in found.differing] == [7]
    assert 'kick' in found.differing[0].first and 'kick' not in found.differing[0].second


def test_replays_of_different_frames_are_refused(two, tmp_path):
    other = judged(tmp_path / 'other', Story(frames=4), truth=False)
    lines = (other / FRAMES).read_text().replace('"log_time": ', '"log_time": 9')
    (other / FRAMES).write_text(lines)
    with pytest.raises(HoiError, match='no frame in common'):
        compare(two[0], other)


def test_command_prints_words_or_json_and_writes_a_page(two, tmp_path):
    paths = [str(path) for path in two]
    said = CliRunner().invoke(replay_app, ['compare', *paths, '--html', str(tmp_path / 'c.html')])
    assert said.exit_code == 0 and 'more than noise' in said.output
    page = (tmp_path / 'c.html').read_text()
    assert 'more than noise, worse' in page and 'http' not in page.replace('http-equiv', '')
    found = json.loads(CliRunner().invoke(replay_app, ['compare', *paths, '--json']).output)
    assert found['accuracy']['full']['more_than_noise'] is True
    assert found == json.loads(json.dumps(compare(*two).as_dict()))
