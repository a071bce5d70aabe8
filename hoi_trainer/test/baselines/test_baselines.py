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

import json

from hoi_trainer.baselines import run
from hoi_trainer.baselines.classifiers import geometry
from hoi_trainer.baselines.pairs import average_precision, pairs_of
from hoi_trainer.clip.module import build_model
from hoi_trainer.synthetic import generate, load
from hoi_trainer.training.weights import write_weights
import numpy as np
import pytest


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp('world')
    for split, count in (('train', 24), ('val', 12), ('test', 12)):
        generate(split, count, root / split, size=(160, 120))
    return root


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


def test_both_baselines_train_and_report(world, tmp_path, monkeypatch):
    config = {'embed_dim': 16,
              'vision_cfg': {'image_size': 32, 'layers': 2, 'width': 32, 'head_width': 16,
                             'patch_size': 16},
              'text_cfg': {'context_length': 16, 'vocab_size': 49408, 'width': 16, 'heads': 2,
                           'layers': 1}}
    write_weights(build_model(config), config, tmp_path / 'clip.safetensors')
    monkeypatch.setattr(run, 'MLP_RATES', (1e-3,))
    report = run.run_baselines(world, tmp_path / 'clip.safetensors', minutes=0.15)
    json.dumps(report)
    for name in ('geometry_mlp', 'crop_classifier'):
        assert 0 < report[name]['map'] <= 1 and report[name]['steps'] > 0
        assert len(report[name]['ap']) == report['combinations']
    assert report['ratio'] == report['geometry_mlp']['map'] / report['crop_classifier']['map']
