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

"""A few frames out of a recording."""

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.sample_frames import sample_frames, shipped_bag, spread
import numpy as np
from PIL import Image
import pytest


@pytest.mark.parametrize('total, count, expected', [
    (10, 3, [0, 4, 9]), (3, 8, [0, 1, 2]), (1, 4, [0]), (5, 1, [0])])
def test_samples_are_spread_from_the_first_to_the_last(total, count, expected):
    assert list(spread(range(total), total, count)) == expected


def test_the_shipped_bag_gives_frames_without_being_named():
    frames = sample_frames(count=3)
    assert len(frames) == 3
    assert all(frame.ndim == 3 and frame.dtype == np.uint8 for frame in frames)
    assert (frames[0] != frames[-1]).any()
    assert len(sample_frames(shipped_bag(), 2)) == 2


def test_images_in_a_directory_will_do(tmp_path):
    for value in (10, 20, 30):
        Image.new('RGB', (8, 6), (value,) * 3).save(tmp_path / f'{value}.png')
    assert [frame[0, 0, 0] for frame in sample_frames(tmp_path, 2)] == [10, 30]


def test_what_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(HoiError, match='holds no image'):
        sample_frames(tmp_path)
