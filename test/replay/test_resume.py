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

from bags import demo_bag
from hoi_perception.core.errors import HoiError
from hoi_perception.replay.records import read_frames, read_run
import pytest
from replay_runs import files_of, run, still_bag, StopAfter, write_boxes

FRAMES = 8


def untimed(out):
    return [(r.index, r.key, r.outcome, r.reason) for r in read_frames(out)]


def interrupt(tiny, out, bag, frames, **options):
    with pytest.raises(KeyboardInterrupt):
        run(tiny, out, bag, watch=StopAfter(frames), **options)
    assert not read_run(out).complete and (out / 'journal.part').exists()


@pytest.mark.parametrize(('storage', 'stops'), [
    ('mcap', (1,)), ('mcap', (3, 5)), ('sqlite3', (5,)), ('mcap', (FRAMES,))])
def test_interrupted_and_resumed_replay_gives_the_same_bag(storage, stops, tiny, tmp_path):
    bag = still_bag(tmp_path / 'bag', FRAMES, storage)
    run(tiny, tmp_path / 'whole', bag)
    for stop in stops:
        interrupt(tiny, tmp_path / 'out', bag, stop)
    done = run(tiny, tmp_path / 'out', bag)
    assert done.info.complete and done.counts['answered'] == FRAMES
    assert files_of(tmp_path / 'out' / 'results') == files_of(tmp_path / 'whole' / 'results')
    assert untimed(tmp_path / 'out') == untimed(tmp_path / 'whole')
    assert set(files_of(tmp_path / 'out')) == set(files_of(tmp_path / 'whole'))


def test_frames_computed_before_keep_their_times_and_are_not_computed_again(tiny, tmp_path):
    bag = demo_bag(tmp_path / 'bag', 4)
    interrupt(tiny, tmp_path / 'out', bag, 3)
    before = [record.stages for record in read_frames(tmp_path / 'out')]
    seconds = read_run(tmp_path / 'out').wall_seconds
    run(tiny, tmp_path / 'out', bag)
    assert [record.stages for record in read_frames(tmp_path / 'out')][:len(before)] == before
    assert read_run(tmp_path / 'out').wall_seconds > seconds > 0


def test_simulated_clock_goes_on_where_it_was(tiny, tmp_path):
    bag = still_bag(tmp_path / 'bag', FRAMES)
    (tmp_path / 'robot.json').write_text(json.dumps([130, 260, {'detect': 90, 'interact': 75}]))
    how = {'mode': 'real-time', 'latency_profile': tmp_path / 'robot.json'}
    done = run(tiny, tmp_path / 'whole', bag, **how)
    assert done.counts['dropped'] > 0 and done.counts['answered'] > 1
    for stop in (1, 4):
        interrupt(tiny, tmp_path / 'out', bag, stop, **how)
    run(tiny, tmp_path / 'out', bag, **how)
    # With a profile nothing is measured, so that the records are the same too.
    whole, resumed = files_of(tmp_path / 'whole'), files_of(tmp_path / 'out')
    assert {name for name in whole if whole[name] != resumed[name]} == {'run.json'}


def test_boxes_and_names_learnt_before_the_interruption_count_after_it(tiny, tmp_path):
    bag = write_boxes(tmp_path / 'bag', 5, 'skateboard', missing=(0,))
    run(tiny, tmp_path / 'whole', bag, instances='/boxes')
    interrupt(tiny, tmp_path / 'out', bag, 3, instances='/boxes')
    run(tiny, tmp_path / 'out', bag, instances='/boxes')
    assert files_of(tmp_path / 'out' / 'results') == files_of(tmp_path / 'whole' / 'results')
    assert read_run(tmp_path / 'out').prompts == read_run(tmp_path / 'whole').prompts


def test_something_else_is_not_resumed_and_the_sentence_says_what_differs(tiny, tmp_path):
    bag = demo_bag(tmp_path / 'bag', 3)
    interrupt(tiny, tmp_path / 'out', bag, 1)
    with pytest.raises(HoiError, match=r"verbs was \[\] and is \['hold'\].*--restart"):
        run(tiny, tmp_path / 'out', bag, verbs=('hold',))
    demo_bag(bag, 4)
    with pytest.raises(HoiError, match='file bag/bag.mcap was .* and is'):
        run(tiny, tmp_path / 'out', bag)
    done = run(tiny, tmp_path / 'out', bag, restart=True)
    assert done.counts['answered'] == 4


def test_entry_that_was_cut_is_computed_again(tiny, tmp_path):
    bag = still_bag(tmp_path / 'bag', 5)
    run(tiny, tmp_path / 'whole', bag)
    interrupt(tiny, tmp_path / 'out', bag, 4)
    journal = tmp_path / 'out' / 'journal.part'
    journal.write_bytes(journal.read_bytes()[:-5])
    run(tiny, tmp_path / 'out', bag)
    assert files_of(tmp_path / 'out' / 'results') == files_of(tmp_path / 'whole' / 'results')


def test_killed_writer_leaves_no_obstacle(tiny, tmp_path):
    bag = still_bag(tmp_path / 'bag', 3)
    run(tiny, tmp_path / 'whole', bag)
    interrupt(tiny, tmp_path / 'out', bag, 2)
    (tmp_path / 'out' / 'results' / 'metadata.yaml').unlink()
    run(tiny, tmp_path / 'out', bag)
    assert files_of(tmp_path / 'out' / 'results') == files_of(tmp_path / 'whole' / 'results')


def test_journal_that_gives_other_ids_is_refused(tiny, tmp_path, monkeypatch):
    bag = still_bag(tmp_path / 'bag', 6)
    interrupt(tiny, tmp_path / 'out', bag, 5)
    from hoi_perception.runtime import tracking
    monkeypatch.setattr(tracking, '_MIN_IOU', 1.1)  # another version of the program
    with pytest.raises(HoiError, match='gives other ids now'):
        run(tiny, tmp_path / 'out', bag)
