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

"""Training from the shipped YAML: it repeats, resumes, and refuses what does not fit."""

from pathlib import Path

from hoi_perception.core.errors import HoiError
from hoi_trainer.cli import main
from hoi_trainer.image_classification.data_module import (
    augmented,
    changed_light,
    random_crops,
)
from hoi_trainer.image_classification.evaluate import classification_report
from hoi_trainer.image_classification.module import ImageClassifierModule
from hoi_trainer.image_classification.network import read_classifier
from hoi_trainer.training.weights import read_weights, update_config
import numpy as np
import pytest
import torch
import yaml

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/synthetic'


@pytest.fixture(name='write_config')
def _write_config(scenes, shipped):
    """Return what writes the shipped configuration, with small sizes, into a directory."""
    def write(directory, **trainer):
        config = yaml.safe_load((CONFIGS / 'defr.yaml').read_text())
        config['model']['init_args']['bundle'] = str(shipped.path)
        config['data']['init_args'].update(
            bundle=str(shipped.path), train=str(scenes / 'train'), val=str(scenes / 'val'),
            cache=str(scenes / 'cache'), batch_size=4)
        config['trainer'].update(default_root_dir=str(directory), log_every_n_steps=1,
                                 enable_progress_bar=False, enable_model_summary=False, **trainer)
        config['budget'] = {'samples': 24}
        config['write']['path'] = str(directory / 'defr.safetensors')
        config['checkpoint'].update(dirpath=str(directory), every_n_train_steps=1)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / 'defr.yaml'
        path.write_text(yaml.safe_dump(config))
        return path
    return write


def test_a_run_that_was_stopped_ends_where_an_uninterrupted_one_ends(write_config, tmp_path,
                                                                     shipped):
    assert main(['fit', '-c', str(write_config(tmp_path / 'whole'))]) == 0
    first = write_config(tmp_path / 'parts', max_steps=2)
    assert main(['fit', '-c', str(first)]) == 0
    step = torch.load(tmp_path / 'parts/last.ckpt', weights_only=False)['global_step']
    assert step == 2
    assert main(['fit', '-c', str(write_config(tmp_path / 'parts'))]) == 0
    files = [tmp_path / name / 'defr.safetensors' for name in ('whole', 'parts')]
    (config, whole), (other, parts) = map(read_weights, files)
    assert config == other and config['exponents'] == [1.0, 1.0]
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name
    trained = read_classifier(files[0], shipped)
    start = shipped.tensors('clip.safetensors')
    tower = trained.network.backbone.trunk.visual.state_dict()
    assert not torch.equal(tower['conv1.weight'], start['visual.conv1.weight'])
    assert torch.equal(tower['proj'], start['visual.proj'])
    update_config(files[0], exponents=[2.0, 0.5])
    again = read_classifier(files[0], shipped)
    assert again.exponents == (2.0, 0.5) and again.phrases == trained.phrases
    curves = (tmp_path / 'whole/curves.csv').read_text()
    assert 'val/map' in curves and 'train/loss' in curves


@pytest.mark.parametrize(('arguments', 'words'), [
    ({'loss': 'hinge'}, 'choose lse_sign'), ({'names': 'coco'}, 'choose synthetic'),
    ({'start': 'word2vec'}, 'choose clip')])
def test_settings_that_do_not_exist_are_named(arguments, words, shipped):
    with pytest.raises(HoiError, match=words):
        ImageClassifierModule(str(shipped.path), **arguments)


def test_classes_of_another_data_set_are_refused(write_config, tmp_path, capsys):
    path = write_config(tmp_path)
    assert main(['fit', '-c', str(path), '--model.init_args.names', 'hico']) == 2
    assert '84 HOI classes, the classifier 600' in capsys.readouterr().err


def test_crops_are_as_large_and_as_wide_as_they_should_be():
    torch.manual_seed(0)
    windows = random_crops(4000)
    size = windows[:, 2:] - windows[:, :2]
    assert (windows >= 0).all() and (windows <= 1).all()
    area, shape = size.prod(1), size[:, 0] / size[:, 1]
    assert 0.6 < area.min() < 0.72 and 0.97 < area.max() <= 1  # cut where a side would exceed 1
    assert 0.69 < shape.min() < 0.75 and 1.2 < shape.max() < 1.31


def test_pictures_are_mirrored_cropped_and_lit_within_bounds():
    torch.manual_seed(0)
    ramp = torch.arange(64, dtype=torch.uint8).mul(4).expand(200, 3, 64, 64)
    made = augmented(ramp, 0.4)
    assert made.shape == ramp.shape and made.min() >= 0 and made.max() <= 1
    rising = (made[:, 0, 32, -1] > made[:, 0, 32, 0]).float().mean()
    assert 0.35 < rising < 0.65
    grey = torch.full((500, 3, 2, 2), 0.5)
    light = changed_light(grey, 0.4)[:, 0, 0, 0]
    assert 0.29 < light.min() < 0.33 and 0.67 < light.max() < 0.71
    torch.testing.assert_close(changed_light(grey, 0.0), grey)


def test_pictures_of_another_size_than_the_backbones_are_refused(write_config, tmp_path, capsys):
    path = write_config(tmp_path)
    assert main(['fit', '-c', str(path), '--data.init_args.image_size', '96']) == 2
    assert '96 pixels a side' in capsys.readouterr().err


def test_a_report_names_subsets_by_the_images_that_were_trained_on():
    rng = np.random.default_rng(0)
    train = np.full((30, 4), -2)
    train[:1, 0] = train[:4, 1] = train[:9, 2] = train[:, 3] = 1
    labels = rng.choice([1, -1, -2], (50, 4))
    logits = rng.normal(size=(50, 4)) + 3 * (labels == 1)
    report = classification_report(logits, labels, train)
    ap = report['per_class']
    assert report['full'] == pytest.approx(np.mean(ap), abs=1e-4)
    assert [report[f'few@{k}_classes'] for k in (1, 5, 10)] == [1, 2, 3]
    assert report['few@5'] == pytest.approx(np.mean(ap[:2]), abs=1e-4)
    assert report['known_object'] >= report['full'] - 1e-9
