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

"""One slot per camera, newest wins, cameras in turn."""

import threading

from hoi_perception.ros.mailbox import Mailbox


def test_the_newest_item_wins_and_the_replaced_one_is_reported():
    box = Mailbox(1)
    assert [box.put(0, item) for item in 'abc'] == [False, True, True]
    assert box.take(0) == (0, 'c')
    assert box.take(0.01) is None


def test_cameras_are_served_in_turn_however_fast_one_of_them_is():
    box, served = Mailbox(3), []
    for _ in range(6):
        for camera in range(3):
            box.put(camera, camera)
        served.append(box.take(0)[0])
    assert served == [0, 1, 2, 0, 1, 2]


def test_a_slow_camera_gets_all_its_frames_and_fast_ones_share_the_rest():
    box, served = Mailbox(3), [0, 0, 0]
    for step in range(120):  # one frame is computed per step
        for camera, period in enumerate((1, 6, 1)):
            if step % period == 0:
                box.put(camera, step)
        served[box.take(0)[0]] += 1
    assert served == [50, 20, 50]


def test_a_batch_takes_what_waits_one_of_each_camera_longest_unserved_first():
    box = Mailbox(4)
    for camera in (0, 1, 3):
        box.put(camera, camera)
    assert box.take_some(2, 0) == [(0, 0), (1, 1)]
    for camera in (0, 1):
        box.put(camera, camera)
    assert [camera for camera, _ in box.take_some(8, 0)] == [3, 0, 1]
    assert box.take_some(8, 0.01) == []


def test_a_dead_camera_holds_nobody_up():
    box = Mailbox(3)
    for step in range(4):
        box.put(0, step)
        box.put(2, step)
        assert box.take(0)[0] == (0, 2)[step % 2]


def test_closing_wakes_the_taker_and_reports_what_was_left():
    box, got = Mailbox(2), []
    taker = threading.Thread(target=lambda: got.append(box.take(10)))
    taker.start()
    assert box.close() == []
    taker.join(2)
    assert got == [None]
    assert box.put(0, 'late')
    full = Mailbox(2)
    full.put(1, 'x')
    assert full.close() == [1] and full.take(0) is None
