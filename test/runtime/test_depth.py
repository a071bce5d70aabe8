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

from hoi_perception.core import Instances, Mask, MaskKind, Scene, Verb, Vocabulary
from hoi_perception.core.errors import FrameError
from hoi_perception.runtime.depth import decode_depth, locate, metres, Pinhole, pinhole
import numpy as np
import pytest

VOCABULARY = Vocabulary(('person', 'cup'), (Verb('hold'),))
CAMERA = Pinhole(500.0, 520.0, 319.5, 239.5, 640, 480)


def scene(boxes, masks=(), size=(640, 480)):
    return Scene(*size, VOCABULARY, Instances(np.array(boxes).reshape(-1, 4),
                                              np.ones(len(boxes)), np.zeros(len(boxes))),
                 masks=tuple(masks))


def wall(z=2.0, size=(640, 480)):
    return np.full(size[::-1], z, np.float32)


def rectangle(owner, x1, y1, x2, y2):
    return Mask(MaskKind.INSTANCE, owner, x1, y1, np.ones((y2 - y1, x2 - x1), bool))


def located(boxes, depth, masks=(), camera=CAMERA):
    found = locate(scene(boxes, masks), depth, camera).instances
    return found.positions, found.extents


@pytest.mark.parametrize('box', [(100, 100, 200, 180), (320, 200, 337, 211), (0, 0, 640, 480),
                                 (100.25, 30.5, 107.75, 400.5), (300, 200, 301, 201)])
@pytest.mark.parametrize('z', [0.4, 2.0, 9.0])
def test_plane_before_the_camera_is_measured_exactly(box, z):
    positions, extents = located([box], wall(z))
    x1, y1, x2, y2 = box
    centre = [((x1 + x2) / 2 - 0.5 - CAMERA.cx) * z / CAMERA.fx,
              ((y1 + y2) / 2 - 0.5 - CAMERA.cy) * z / CAMERA.fy, z]
    assert positions[0] == pytest.approx(centre, abs=1e-5)
    assert extents[0] == pytest.approx(
        [(x2 - x1) * z / CAMERA.fx, (y2 - y1) * z / CAMERA.fy, 0], abs=1e-5)


def test_box_beyond_the_image_is_measured_where_it_is_seen():
    inside, beyond = located([(600, 400, 640, 480), (600, 400, 900, 700)], wall())
    assert np.array_equal(inside[0], inside[1]) and np.array_equal(beyond[0], beyond[1])


def test_slanted_plane_has_depth():
    # z = 2 + x / 2 for x = (u - cx) z / fx, so z = 2 / (1 - (u - cx) / (2 fx)).
    columns = (np.arange(640) - CAMERA.cx) / CAMERA.fx
    depth = np.broadcast_to(2 / (1 - columns / 2), (480, 640)).astype(np.float32)
    (position,), (extent,) = located([(220, 200, 420, 280)], depth)
    assert position[2] == pytest.approx(2 + position[0] / 2, abs=1e-3)
    edges = (np.array([220, 420]) - 0.5 - CAMERA.cx) / CAMERA.fx
    z1, z2 = 2 / (1 - edges / 2)
    assert extent[0] == pytest.approx(edges[1] * z2 - edges[0] * z1, rel=0.02)
    assert extent[2] == pytest.approx(0.9 * (z2 - z1), rel=0.05)


def test_what_is_behind_and_before_does_not_count():
    depth = wall(5.0)
    depth[150:350, 250:350] = 2.0  # the thing
    depth[200:230, 250:350] = 0.8  # an arm before it
    (position,), (extent,) = located([(240, 140, 360, 360)], depth)
    assert position[2] == pytest.approx(2.0)
    assert extent == pytest.approx([100 * 2 / 500, 200 * 2 / 520, 0], rel=0.06)


def test_mask_decides_where_there_is_one():
    depth = wall(5.0)
    depth[100:200, 100:120] = 1.0  # thin, at the left edge of its box: its middle is background
    box, mask = (100, 100, 300, 200), rectangle(0, 100, 100, 120, 200)
    assert located([box], depth)[0][0, 2] == pytest.approx(5.0)
    (position,), (extent,) = located([box], depth, [mask])
    assert position[2] == pytest.approx(1.0)
    assert extent == pytest.approx([20 / 500, 100 / 520, 0], rel=0.01)


def test_masks_belong_to_their_own_instance_only():
    depth = wall(3.0)
    depth[:, 320:] = 1.0
    boxes = [(100, 100, 200, 200), (400, 100, 500, 200), (330, 300, 400, 400)]
    masks = [rectangle(1, 400, 100, 500, 200),
             Mask(MaskKind.UNION, 0, 0, 0, np.zeros((480, 640), bool)),
             Mask(MaskKind.INSTANCE, 2, 600, 0, np.ones((5, 5), bool))]
    positions, _ = located(boxes, depth, masks)
    assert positions[:2, 2] == pytest.approx([3.0, 1.0])
    assert np.isnan(positions[2]).all()  # its mask lies elsewhere


@pytest.mark.parametrize('nothing', [0, np.nan, np.inf, -np.inf, -1.0])
def test_pixels_without_depth_do_not_count(nothing):
    depth = wall()
    depth.reshape(-1)[np.random.default_rng(0).permutation(depth.size)[:depth.size // 2]] = nothing
    (position,), (extent,) = located([(200, 100, 400, 300)], depth)
    assert position == pytest.approx([(300 - 320) * 2 / 500, (200 - 240) * 2 / 520, 2], abs=0.02)
    assert extent == pytest.approx([0.8, 200 * 2 / 520, 0], rel=0.03)
    depth[:] = nothing
    positions, extents = located([(200, 100, 400, 300), (1, 1, 9, 9)], depth)
    assert np.isnan(positions).all() and np.isnan(extents).all()


def test_a_few_pixels_are_no_position():
    depth = np.zeros((480, 640), np.float32)
    depth[190:196, 290:296] = 2.0
    assert np.isnan(located([(200, 100, 400, 300)], depth)[0]).all()


@pytest.mark.parametrize('box', [(50, 50, 50, 90), (700, 10, 800, 20), (-9, -9, -1, -1)])
def test_box_without_visible_area_has_no_position(box):
    positions, extents = located([box], wall())
    assert np.isnan(positions).all() and np.isnan(extents).all()


def test_scene_without_instances_stays_as_it_is():
    empty = scene(np.zeros((0, 4)))
    assert locate(empty, wall(), CAMERA) is empty


@pytest.mark.parametrize('encoding, kind, unit', [
    ('16UC1', '<u2', 0.001), ('mono16', '<u2', 0.001), ('32FC1', '<f4', 1.0),
    ('16UC1', '>u2', 0.001), ('32FC1', '>f4', 1.0)])
def test_encodings_of_rep_118_with_padded_rows(encoding, kind, unit):
    values = np.arange(1, 13).reshape(3, 4)
    rows = np.zeros((3, 5), kind)
    rows[:, :4] = values
    depth = decode_depth(encoding, 4, 3, rows.strides[0], rows.tobytes(), kind[0] == '>')
    assert metres(depth) == pytest.approx(values * unit, rel=1e-6)


def test_zero_millimetres_are_unknown():
    assert np.isnan(metres(np.zeros((2, 2), np.uint16))).all()


@pytest.mark.parametrize('encoding, width, height, step, size, kind, says', [
    ('rgb8', 4, 3, 12, 36, 'depth_encoding', "'rgb8'"),
    ('', 4, 3, 12, 36, 'depth_encoding', '16UC1'),
    ('16UC1', 4, 3, 7, 21, 'depth_size', 'step 7'),
    ('16UC1', 4, 3, 8, 23, 'depth_size', '23 bytes'),
    ('32FC1', 4, 3, 16, 0, 'depth_size', '0 bytes'),
    ('32FC1', 0, 0, 0, 0, 'depth_size', '0x0')])
def test_bad_depth_image_is_a_sentence(encoding, width, height, step, size, kind, says):
    with pytest.raises(FrameError, match=says) as caught:
        decode_depth(encoding, width, height, step, bytes(size))
    assert caught.value.kind == kind


def test_sizes_that_differ_are_a_sentence():
    with pytest.raises(FrameError, match='320x240.*640x480.*aligned') as caught:
        locate(scene([(1, 1, 9, 9)]), wall(size=(320, 240)), CAMERA)
    assert caught.value.kind == 'depth_mismatch'
    with pytest.raises(FrameError, match='1280x720.*640x480') as caught:
        locate(scene([(1, 1, 9, 9)]), wall(), CAMERA._replace(width=1280, height=720))
    assert caught.value.kind == 'camera_info_mismatch'


K = [500, 0, 319, 0, 510, 239, 0, 0, 1]
P = [480, 0, 310, 0, 0, 490, 230, 0, 0, 0, 1, 0]


@pytest.mark.parametrize('k, p, expected', [
    (K, P, (480, 490, 310, 230)), (K, [0.0] * 12, (500, 510, 319, 239)),
    (K, [np.nan] * 12, (500, 510, 319, 239))], ids=['rectified', 'raw', 'broken p'])
def test_calibration_is_that_of_the_rectified_image_where_given(k, p, expected):
    assert pinhole(k, p, 640, 480) == (*expected, 640, 480)


def test_uncalibrated_camera_is_a_sentence():
    with pytest.raises(FrameError, match='calibrate the camera') as caught:
        pinhole([0.0] * 9, [0.0] * 12, 640, 480)
    assert caught.value.kind == 'camera_info'
