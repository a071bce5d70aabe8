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

"""Rate limit, age and jumping stamps: the arithmetic, without ROS."""

import math

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')
from hoi_perception.ros.pacing import age_s, RateLimit, StampWatch


@pytest.mark.parametrize('camera, limit, expected', [
    (30, 0, 300), (30, 20, 200), (30, 15, 150), (30, 7, 70), (10, 30, 100), (100, 1, 10)])
def test_a_limit_holds_for_the_mean_rate_whatever_the_camera_sends(camera, limit, expected):
    rate = RateLimit()
    taken = sum(rate.admits(5 + frame / camera, limit) for frame in range(10 * camera))
    assert abs(taken - expected) <= 1


def test_a_pause_does_not_end_in_a_burst():
    rate = RateLimit()
    assert rate.admits(0.0, 10)
    assert sum(rate.admits(100 + step / 1000, 10) for step in range(100)) == 1


def test_a_limit_can_be_changed_and_lifted_between_frames():
    rate = RateLimit()
    assert rate.admits(0.0, 0.1)
    assert not rate.admits(1.0, 0.1)
    assert rate.admits(1.1, 0)
    assert rate.admits(11.0, 0.1)


@pytest.mark.parametrize('stamps, jumps', [
    ([10.0, 11.0, 12.0], []), ([10.0, 9.9, 10.1], []), ([10.0, 60.0, 10.0, 10.1], [50.0]),
    ([5.0, 1.0, 0.5], [4.0, 0.5])])
def test_only_real_jumps_back_are_seen(stamps, jumps):
    watch = StampWatch()
    seen = [watch.jumped_back_s(int(stamp * 1e9)) for stamp in stamps]
    assert [round(back, 6) for back in seen if back] == jumps


@pytest.mark.parametrize('sec, nanosec, now, expected', [
    (100, 0, 101.5, 1.5), (100, 500_000_000, 100.0, -0.5), (0, 0, 100.0, math.nan),
    (-1, 0, 100.0, math.nan), (1, 10 ** 9, 100.0, math.nan), (100, 0, 0.0, math.nan)],
    ids=['old', 'future', 'no stamp', 'negative', 'no time', 'no clock yet'])
def test_age_is_told_only_where_it_means_something(sec, nanosec, now, expected):
    assert age_s(sec, nanosec, now) == pytest.approx(expected, nan_ok=True)
