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

"""Training from the shipped YAML: what is written, the same curve twice, two processes."""

import json
import os
import subprocess
import sys

from bundles import OBJECTS, tiny_bundle, tiny_spec
from hoi_perception.runtime.bundle import default_bundle_path, VerbSpec, VocabularySpec
from hoi_trainer.cli import main
from hoi_trainer.datasets import vcoco_names
import pytest
from shared_data import require_shared
import torch
import yaml


def _curve(directory):
    return (directory / 'curves.csv').read_text()


def test_a_seed_gives_the_same_curve_twice_and_another_seed_another(write_config, tmp_path):
    for name, seed in (('first', 0), ('second', 0), ('other', 1)):
        path = write_config(tmp_path / name, 16)
        assert main(['fit', '-c', str(path), '--seed_everything', str(seed),
                     '--data.init_args.seed', str(seed)]) == 0
    first = tmp_path / 'first'
    assert _curve(first) == _curve(tmp_path / 'second') != _curve(tmp_path / 'other')
    assert (first / 'curves.png').stat().st_size > 1000
    assert list(first.glob('csv/version_0/metrics.csv'))
    assert list(first.glob('tensorboard/version_0/events.*'))


def test_two_processes_train_one_head(write_config, tmp_path):
    path = write_config(tmp_path, 16)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    subprocess.run([sys.executable, '-m', 'hoi_trainer.cli', 'fit', '-c', str(path),
                    '--trainer.devices', '2', '--trainer.strategy', 'ddp',
                    '--budget.minutes', '60'], env=environment, check=True,
                   stdout=subprocess.DEVNULL)
    state = torch.load(tmp_path / 'last.ckpt', weights_only=False)
    assert state['global_step'] == 2 and 'val/map' in _curve(tmp_path)
    assert not [name for name in state['state_dict'] if 'visual' in name]


@pytest.mark.parametrize('setting, value, part', [
    ('zero_shot', 'rf_uc', 'for 600 HOI classes'), ('zero_shot', 'nonsense', 'unknown'),
    ('train', __file__, 'give their directory'),
    ('train', 'nowhere', 'hoi-trainer synth')])
def test_data_that_cannot_be_trained_on_end_in_a_sentence(write_config, tmp_path, capsys, setting,
                                                          value, part):
    path = write_config(tmp_path, 16)
    assert main(['fit', '-c', str(path), f'--data.init_args.{setting}', value]) == 2
    assert part in capsys.readouterr().err


def _photo_bundle(directory):
    """Return a bundle with random weights whose vocabulary is V-COCO's."""
    names = vcoco_names()
    verbs = tuple(VerbSpec(name=verb, phrase=phrase)
                  for verb, phrase in zip(names.verbs, names.phrases))
    config = tiny_spec().detector
    return tiny_bundle(
        directory, detector=config.model_copy(update={'classes': OBJECTS}),
        vocabulary=VocabularySpec(objects=names.objects, verbs=verbs)).path


def test_a_head_trains_on_photos_with_the_annotations_of_vcoco(write_config, tmp_path):
    photos = require_shared('data/photos/vcoco')
    raw = json.loads(require_shared(
        'data/annotations/vcoco/instances_vcoco_test.json').read_text())
    here = [i for i, record in enumerate(raw['annotations'])
            if (photos / record['file_name']).is_file()]
    for key in ('annotations', 'images'):
        raw[key] = [raw[key][i] for i in here]
    annotation = tmp_path / 'instances_vcoco_photos.json'
    annotation.write_text(json.dumps(raw))
    bundle = _photo_bundle(tmp_path / 'bundle')
    path = write_config(tmp_path / 'run', 8)
    config = yaml.safe_load(path.read_text())
    config['model']['init_args']['bundle'] = str(bundle)
    config['data']['init_args'].update(
        bundle=str(bundle), train=str(annotation), val=str(annotation), images=str(photos),
        cache=str(tmp_path / 'cache'))
    path.write_text(yaml.safe_dump(config))
    assert main(['fit', '-c', str(path)]) == 0
    assert 'val/map' in _curve(tmp_path / 'run')


def test_a_head_goes_into_the_bundle_as_its_default(write_config, tmp_path):
    from hoi_trainer.interaction.export import read_head
    path = write_config(tmp_path, 4)
    assert main(['fit', '-c', str(path)]) == 0
    spec, state = read_head(tmp_path / 'lain.safetensors')
    assert spec.kind == 'lain' and spec.activation == 'sigmoid' and spec.config['adapter_dim'] == 8
    assert default_bundle_path() and all(torch.isfinite(value).all() for value in state.values())
