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

"""Tests of detector batches."""

from hoi_trainer.detector.data import DetectorData, targets_of
from hoi_trainer.training.images import cut, cut_map, window_affine
import numpy as np
import torch


def scene():
    """Return an image whose instances are flat rectangles of known place and colour."""
    image = np.full((1, 120, 160, 3), 30, dtype=np.uint8)
    maps = np.zeros((1, 120, 160), dtype=np.uint8)
    for number, (x1, y1, x2, y2) in enumerate([(16, 24, 48, 72), (80, 60, 144, 108)], 1):
        image[0, y1:y2, x1:x2] = 100 * number
        maps[0, y1:y2, x1:x2] = number
    labels = torch.tensor([[3, 5, -1, -1]])
    return torch.from_numpy(image), torch.from_numpy(maps), labels


def test_targets_are_the_visible_extents_of_the_map():
    _, maps, labels = scene()
    targets = targets_of(maps, labels)
    assert targets.boxes[0, :2].tolist() == [[16, 24, 48, 72], [80, 60, 144, 108]]
    assert targets.valid.tolist() == [[True, True, False, False]]
    assert targets.labels[0, :2].tolist() == [3, 5]
    assert targets.masks[0, 0].sum() * 16 == 32 * 48
    assert set(targets.semantic.unique().tolist()) == {0, 4, 6}
    assert (targets.semantic == 4).sum() * 16 == 32 * 48


def test_slivers_are_left_out():
    _, maps, labels = scene()
    maps[maps == 2] = 0
    maps[0, 100, 100:104] = 2
    targets = targets_of(maps, labels)
    assert targets.valid.tolist() == [[True, False, False, False]]
    assert targets.boxes[0, 1].tolist() == [0, 0, 0, 0]


def test_image_and_targets_move_together_under_augmentation():
    torch.manual_seed(0)
    pixels, maps, labels = scene()
    windows = torch.tensor([[0.1, 0.05, 0.95, 0.9]])
    theta = window_affine(windows, torch.tensor([True]))
    image = cut(pixels, theta, (96, 128))
    targets = targets_of(cut_map(maps, theta, (96, 128)), labels)
    for number in (0, 1):
        x1, y1, x2, y2 = targets.boxes[0, number].int().tolist()
        inside = image[0, 0, y1 + 1:y2 - 1, x1 + 1:x2 - 1]
        assert (inside - 100 * (number + 1) / 255).abs().max() < 0.02
        assert image[0, 0, y1 + 3, x1 - 3] < 0.2 and image[0, 0, y1 - 3, x1 + 3] < 0.2
    # Mirrored: the left rectangle is now on the right.
    assert targets.boxes[0, 0, 0] > targets.boxes[0, 1, 0]


def test_a_window_beyond_the_image_is_grey_and_holds_nothing():
    pixels, maps, labels = scene()
    theta = window_affine(torch.tensor([[1.5, 1.5, 2.0, 2.0]]), torch.tensor([False]))
    assert (cut(pixels, theta, (32, 32)) - 0.5).abs().max() < 1 / 255
    assert not targets_of(cut_map(maps, theta, (32, 32)), labels).valid.any()


def test_without_augmentation_the_batch_is_the_stretched_image():
    pixels, maps, labels = scene()
    data = DetectorData('unused', 'unused', image_size=(96, 128))
    batch = data.make(pixels, maps, labels, augment=False)
    assert batch.images.shape == (1, 3, 96, 128)
    expected = torch.tensor([[16, 24, 48, 72], [80, 60, 144, 108]]) * 0.8
    assert (batch.targets.boxes[0, :2] - expected).abs().max() <= 1
