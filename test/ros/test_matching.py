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

"""Frames and boxes meet by stamp, in small bounded buffers."""

from hoi_perception.ros.matching import StampMatcher


def test_either_side_may_come_first():
    matcher = StampMatcher(2)
    assert matcher.add_frame(1, 'f1') is None
    assert matcher.add_boxes(1, 'b1') == ('f1', 'b1')
    assert matcher.add_boxes(2, 'b2') is None
    assert matcher.add_frame(2, 'f2') == ('f2', 'b2')
    assert matcher.add_frame(1, 'again') is None, 'a pair is used once'


def test_the_oldest_is_dropped_and_counted_when_a_buffer_is_full():
    matcher = StampMatcher(2)
    for stamp in range(5):
        matcher.add_frame(stamp, stamp)
    for stamp in range(10, 14):
        matcher.add_boxes(stamp, stamp)
    assert (matcher.dropped_frames, matcher.dropped_boxes) == (3, 2)
    assert matcher.add_boxes(0, 'b') is None
    assert matcher.add_boxes(4, 'b') == (4, 'b')


def test_a_repeated_stamp_replaces_and_counts():
    matcher = StampMatcher(2)
    matcher.add_frame(1, 'old')
    matcher.add_frame(1, 'new')
    assert matcher.dropped_frames == 1
    assert matcher.add_boxes(1, 'b') == ('new', 'b')


def test_clear_counts_what_waited():
    matcher = StampMatcher(4)
    matcher.add_frame(1, 'f')
    matcher.add_boxes(2, 'b')
    assert matcher.clear() == 1
    assert (matcher.dropped_frames, matcher.dropped_boxes) == (1, 1)
