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

"""The two reference classifiers run unattended and are scored alike."""

from collections import Counter
import json

from hoi_perception.networks.dense_detector import DenseDetector, DenseDetectorConfig
from hoi_trainer.baselines import run
from hoi_trainer.baselines.body_parts import parts_loss, spots
from hoi_trainer.baselines.geometry import geometry
from hoi_trainer.baselines.pair_crops import (
    box_cover,
    CROP,
    crop_features,
    FineFeatures,
    read_detector,
    SAMPLES,
)
from hoi_trainer.baselines.pairs import average_precision, pairs_of
from hoi_trainer.baselines.sources import CropSource
from hoi_trainer.synthetic import generate, load
from hoi_trainer.training.weights import write_weights
import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

SIZE = (64, 96)


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp('world')
    for split, count in (('train', 24), ('val', 12), ('test', 12)):
        generate(split, count, root / split, size=(160, 120))
    return root


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    torch.manual_seed(0)
    network = DenseDetector(DenseDetectorConfig(
        image_size=SIZE, widths=(8, 8, 8, 16, 16), depths=(1, 1, 1, 1), head_width=16, masks=4,
        top_k=8))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2.0)
    path = tmp_path_factory.mktemp('detector') / 'detector.safetensors'
    write_weights(network, network.config.to_mapping(), path)
    return path


@pytest.fixture
def crops(world):
    data = load(world / 'train')
    return CropSource(data, pairs_of(data), SIZE, (0.5,) * 3, (0.25,) * 3, 'cpu', images=5,
                      negatives=2, epoch_images=12)


@pytest.mark.parametrize('scores, positive, expected', [
    ([3, 2, 1], [1, 0, 0], 1.0),
    ([3, 2, 1], [0, 1, 0], 0.5),
    ([3, 2, 1], [1, 0, 1], (1 + 2 / 3) / 2),
    ([1, 1], [1, 0], 0.5),
])
def test_average_precision(scores, positive, expected):
    assert average_precision(np.array(scores, float), np.array(positive, bool)) == pytest.approx(
        expected)


def test_geometry_is_finite_and_bounded(world):
    pairs = pairs_of(load(world / 'train'))
    numbers = geometry(pairs).numpy()
    assert numbers.shape == (len(pairs), 36) and np.isfinite(numbers).all()
    assert abs(numbers).max() <= 10


def test_all_pairs_of_people_are_enumerated(world):
    data = load(world / 'test')
    pairs = pairs_of(data)
    assert len(pairs) == sum(len(scene.pairs) for scene in data.scenes)
    assert pairs.targets.sum() == sum(len(scene.triplets) for scene in data.scenes)


def test_crops_and_their_gradients_are_those_of_roi_align():
    torch.manual_seed(0)
    features = torch.randn(3, 5, 16, 24, requires_grad=True)
    counts = [2, 0, 3]
    low = torch.rand(5, 2) * torch.tensor([13.0, 7.0]) - 0.4  # reaches a little outside
    boxes = torch.cat([low, low + 2 + torch.rand(5, 2) * torch.tensor([9.0, 7.0])], 1)
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    wanted = roi_align(features, torch.cat([owner[:, None].float(), boxes], 1), CROP,
                       sampling_ratio=SAMPLES, aligned=True)
    weights = torch.randn_like(wanted)
    gradient, = torch.autograd.grad((wanted * weights).sum(), features)
    found = crop_features(features, counts, boxes)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.autograd.grad((found * weights).sum(), features)[0],
                               gradient, rtol=1e-4, atol=1e-5)


def test_a_view_is_covered_where_the_boxes_are():
    view = torch.tensor([[10.0, 20.0, 10.0 + 2 * CROP, 20.0 + 4 * CROP]])
    boxes = torch.tensor([[[10.0, 20.0, 16.0, 32.0], [-50.0, 0.0, 500.0, 500.0]]])
    cover = box_cover(boxes, view)
    expected = torch.zeros(CROP, CROP)
    expected[:3, :3] = 1
    assert torch.equal(cover[0, 0], expected) and cover[0, 1].all()


def test_the_features_are_those_of_the_detector(detector):
    network = read_detector(detector)
    images = torch.randn(2, 3, *SIZE)
    torch.testing.assert_close(FineFeatures(network)(images), network.dense(images).pixels)


def test_an_epoch_has_every_positive_pair_of_its_images_and_few_others(crops):
    batches = list(crops.epoch())
    assert [len(np.unique(crops.pairs.image[index])) for index in batches] == [5, 5, 2]
    index = torch.cat(batches).numpy()
    assert len(np.unique(index)) == len(index)
    acts = crops.pairs.targets.any(1)
    images = np.unique(crops.pairs.image[index])
    assert acts[index].sum() == acts[np.isin(crops.pairs.image, images)].sum()
    assert max(Counter(crops.pairs.image[index[~acts[index]]]).values()) == 2


def test_images_of_rare_combinations_are_drawn_more_often(crops):
    pairs = crops.pairs
    kinds = [set(zip(pairs.labels[rows][at].tolist(), verbs.tolist()))
             for rows in crops.of_image
             for at, verbs in [np.nonzero(pairs.targets[rows])]]
    counts = Counter(kind for found in kinds for kind in found)
    rarest = [min((counts[kind] for kind in found), default=0) for found in kinds]
    weights = crops.weights.numpy()
    assert (weights[np.array(rarest) == 0] == 0.5).all() and weights.max() <= 4
    common, rare = np.argmax(rarest), int(np.argmin(np.where(np.array(rarest), rarest, 99)))
    assert 1 <= weights[common] <= weights[rare]


def test_body_parts_are_asked_for_where_they_are_drawn(crops):
    inputs = crops.inputs(next(crops.in_order()), False)
    heat = spots(inputs.parts, 16, 24)
    for row, parts in zip(heat, inputs.parts):
        for x, y, kind in parts[parts[:, 2] >= 0].tolist():
            assert row[int(kind), int(y * 16), int(x * 24)] > 0.7
        assert row.flatten(1).amax(1)[[k for k in range(7) if k not in parts[:, 2]]].sum() == 0
    sure = torch.where(heat > 0.5, 9.0, -9.0)
    assert parts_loss(sure, inputs.parts) < parts_loss(torch.zeros_like(heat), inputs.parts)


def test_boxes_follow_their_flipped_images(crops):
    index = next(crops.in_order())
    plain = crops.inputs(index, False)
    torch.manual_seed(1)
    varied = crops.inputs(index, True)
    first = np.cumsum([0, *plain.counts[:-1]])
    mirrored = ~torch.isclose(plain.humans[first, 0], varied.humans[first, 0])
    assert 0 < mirrored.sum() < len(mirrored)
    for row, flip in enumerate(mirrored):
        image = varied.images[row].flatten()
        same, other = (torch.corrcoef(torch.stack([image, candidate.flatten()]))[0, 1]
                       for candidate in (plain.images[row], plain.images[row].flip(-1)))
        assert (other > same) == flip
    flips = mirrored.repeat_interleave(torch.tensor(plain.counts))
    for before, after in ((plain.humans, varied.humans), (plain.objects, varied.objects)):
        torch.testing.assert_close(after[~flips], before[~flips])
        torch.testing.assert_close(after[flips][:, [2, 1, 0, 3]],
                                   (before * torch.tensor([-1.0, 1, -1, 1])
                                    + torch.tensor([SIZE[1], 0.0, SIZE[1], 0]))[flips])


def test_both_baselines_train_and_report(world, detector, monkeypatch):
    monkeypatch.setattr(run, 'MLP_RATES', (1e-3,))
    report = run.run_baselines(world, detector, minutes=0.15)
    json.dumps(report)
    for name in ('geometry_mlp', 'pair_crops'):
        assert 0 < report[name]['map'] <= 1 and report[name]['steps'] > 0
        assert len(report[name]['ap']) == report['combinations']
    assert report['ratio'] == report['geometry_mlp']['map'] / report['pair_crops']['map']
