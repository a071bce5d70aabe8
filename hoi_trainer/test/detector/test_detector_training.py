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

"""The detector learns, is measured by COCO's protocol, and training resumes."""

import json

from hoi_perception.networks.dense_detector import DenseDetector, DenseDetectorConfig
from hoi_trainer.cli import main
from hoi_trainer.detector.data import DetectorData, padded_labels
from hoi_trainer.detector.evaluate import average_precision, coco_truth, detector_metrics
from hoi_trainer.detector.module import DetectorModule
from hoi_trainer.synthetic import generate, load
from hoi_trainer.training.weights import read_weights
import pytest
import torch
import yaml

STEPS = 30
SMALL = DenseDetectorConfig(
    image_size=(192, 256), widths=(8, 16, 32, 48, 48), depths=(1, 1, 1, 1), head_width=48,
    head_depth=1, masks=8, top_k=32)


@pytest.fixture(name='scenes', scope='module')
def _scenes(tmp_path_factory):
    directory = tmp_path_factory.mktemp('scenes')
    generate('train', 8, directory / 'train', 1)
    generate('val', 4, directory / 'val', 1)
    return directory


def test_training_on_two_scenes_halves_the_loss_and_finds_something(scenes):
    torch.manual_seed(0)
    data = load(scenes / 'train')
    few = data.images[:2], data.instance_maps[:2], data.scenes[:2]
    maker = DetectorData('unused', 'unused', image_size=SMALL.image_size)
    batch = maker.make(torch.from_numpy(few[0].copy()), torch.from_numpy(few[1].copy()),
                       torch.from_numpy(padded_labels(few[2])), augment=False)
    module = DetectorModule(SMALL)
    module.log_dict = lambda *_, **__: None
    optimizer = torch.optim.AdamW(module.parameters(), 4e-3)
    losses = []
    for step in range(STEPS):
        loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert detector_metrics(module.network.eval(), *few)['detections'] > 0


def test_the_truth_itself_scores_full_average_precision(scenes):
    data = load(scenes / 'val')
    truth = coco_truth(data.instance_maps, data.scenes, 13)
    results = [{**annotation, 'score': 0.9} for annotation in truth.dataset['annotations']]
    for kind in ('bbox', 'segm'):
        metrics = average_precision(truth, results, kind, 'x')
        assert metrics['x_ap'] == metrics['x_ap50'] == 1.0
        half = average_precision(truth, results[::2], kind, 'x')
        assert 0.2 < half['x_ap50'] < 0.9


def test_fit_stops_at_its_budget_resumes_and_its_weights_evaluate(scenes, tmp_path):
    config = {
        'model': {'class_path': 'hoi_trainer.detector.module.DetectorModule',
                  'init_args': {'network': SMALL.to_mapping()}},
        'data': {'class_path': 'hoi_trainer.detector.data.DetectorData', 'init_args': {
            'train': str(scenes / 'train'), 'val': str(scenes / 'val'), 'batch_size': 4,
            'image_size': [192, 256], 'on_device': True}},
        'trainer': {'max_epochs': -1, 'logger': False, 'enable_progress_bar': False,
                    'accelerator': 'cpu', 'default_root_dir': str(tmp_path)},
        'average': {'decay': 0.9}, 'budget': {'samples': 16},
        'write': {'path': str(tmp_path / 'detector.safetensors')},
        'checkpoint': {'dirpath': str(tmp_path), 'filename': 'last', 'every_n_train_steps': 1,
                       'enable_version_counter': False}}
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(config))
    assert main(['fit', '--config', str(path)]) == 0
    first = torch.load(tmp_path / 'last.ckpt', weights_only=False)
    assert first['global_step'] == 4
    assert main(['fit', '--config', str(path), '--budget.samples', '28', '--ckpt_path',
                 str(tmp_path / 'last.ckpt'), '--weights_only', 'false']) == 0
    second = torch.load(tmp_path / 'last.ckpt', weights_only=False)
    assert second['global_step'] == 7
    written, state = read_weights(tmp_path / 'detector.safetensors')
    network = DenseDetector(DenseDetectorConfig.from_mapping(written))
    network.load_state_dict(state)
    averaged = second['state_dict']['network.classify.weight']
    torch.testing.assert_close(state['classify.weight'], averaged, rtol=1e-3, atol=1e-4)
    output = tmp_path / 'metrics.json'
    assert main(['evaluate', 'detector', str(tmp_path / 'detector.safetensors'),
                 str(scenes / 'val'), '--output', str(output)]) == 0
    assert json.loads(output.read_text())['scenes'] == 4


@pytest.mark.parametrize('arguments', [
    ['evaluate', 'detector', 'missing.safetensors', 'missing'],
    ['synth', 'nonsense', '1', 'somewhere'], ['synth', 'train', '0', 'somewhere'],
    ['fit', '--config', 'missing.yaml']])
def test_bad_input_ends_with_exit_code_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
