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

"""Two results bags about the same frames: what counts as the same, and what does not."""

from bags import header, instance
from hoi_perception.replay.agreement import agreement
from hoi_perception.replay.bag_writer import BagWriter
from hoi_perception.replay.message_types import DETECTIONS
import pytest


def results(path, frames=(0, 1, 2), **changes):
    """Write answers to these frames; changes: of the last one."""
    with BagWriter(path) as writer:
        writer.add_topic('/hoi/detections', DETECTIONS)
        for frame in frames:
            story = {'x1': 10.0, 'thing': 'bicycle', 'verb': 'ride', 'score': 0.5, 'width': 128,
                     'version': 1, 'id': 4, **(changes if frame == frames[-1] else {})}
            person = instance(writer, (story['x1'], 20, 60, 90), 0, 'person')
            thing = instance(writer, (12, 50, 70, 95), 1, story['thing'])
            triplet = writer.message('hoi_msgs/msg/HoiTriplet', human=0, object=1, verb=0,
                                     verb_name=story['verb'], score=story['score'],
                                     interaction_id=story['id'])
            writer.write('/hoi/detections', DETECTIONS, frame, writer.message(
                DETECTIONS, header=header(writer, frame, 5), frame_seq=frame,
                width=story['width'], height=96, model_id='m', prompt_version=story['version'],
                instances=[person, thing], triplets=[triplet]))
    return path


@pytest.mark.parametrize('changes', [
    {}, {'x1': 10.01}, {'score': 0.5005}, {'version': 7, 'id': 99}])
def test_the_last_digits_and_identities_are_no_difference(tmp_path, changes):
    found = agreement(results(tmp_path / 'one'), results(tmp_path / 'two', **changes))
    assert found.ok and (found.frames, found.answered, found.agreeing) == (3, 3, 3)


@pytest.mark.parametrize('changes, words', [
    ({'x1': 11.0}, 'a person is at (11.00'), ({'thing': 'chair'}, 'sees person, chair'),
    ({'verb': 'push'}, 'push 1 has score 0.500, in the replay 0.000'),
    ({'score': 0.6}, 'score 0.600'), ({'width': 64}, 'width is 64')])
def test_what_the_robot_would_be_told_otherwise_is_a_sentence(tmp_path, changes, words):
    found = agreement(results(tmp_path / 'one'), results(tmp_path / 'two', **changes))
    assert not found.ok and found.agreeing == 2
    assert words in found.differences[0] and found.differences[0].startswith('frame 2.000000005')
    assert found.differences[0] in str(found)


def test_frames_that_the_node_dropped_are_counted_and_not_held_against_it(tmp_path):
    found = agreement(results(tmp_path / 'one'), results(tmp_path / 'two', frames=(1,)))
    assert found.ok and (found.frames, found.answered) == (3, 1)
    assert '1 of 3 frames answered by the node, 2 dropped' in str(found)


def test_a_node_that_answered_nothing_does_not_agree(tmp_path):
    assert not agreement(results(tmp_path / 'one'), results(tmp_path / 'two', frames=())).ok
