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

"""Scenes, and the shipped configurations made small, for the tests of all heads."""

from pathlib import Path
from typing import Any, Mapping

from hoi_perception.runtime.bundle import default_bundle_path
from hoi_trainer.synthetic import generate
import pytest
import torch
import yaml

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/synthetic'


@pytest.fixture(name='scenes', scope='session')
def _scenes(tmp_path_factory):
    """Return a directory with a few scenes of each split; what is computed of them is kept."""
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp('scenes')
    for split, count in (('train', 12), ('val', 6), ('test', 6)):
        generate(split, count, directory / split, 1)
    return directory


@pytest.fixture(name='small_config', scope='session')
def _small_config(scenes):
    """
    Return what writes a shipped configuration, for a short run on a few scenes, into a directory.

    head: its name, which the weights then have. model, data: arguments that make it small.
    """
    def write(head: str, directory: Path, samples: int, model: Mapping[str, Any],
              data: Mapping[str, Any], every: int = 2) -> Path:
        bundle = str(default_bundle_path())
        config = yaml.safe_load((CONFIGS / f'{head}.yaml').read_text())
        config['model']['init_args'].update(bundle=bundle, **model)
        config['data']['init_args'].update(
            bundle=bundle, train=str(scenes / 'train'), val=str(scenes / 'val'),
            cache=str(scenes / 'cache'), batch_size=4, **data)
        config['trainer'].update(default_root_dir=str(directory), log_every_n_steps=1,
                                 enable_progress_bar=False, enable_model_summary=False)
        config['budget'] = {'samples': samples}
        config['write']['path'] = str(directory / f'{head}.safetensors')
        config['checkpoint'].update(dirpath=str(directory), every_n_train_steps=every)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f'{head}.yaml'
        path.write_text(yaml.safe_dump(config))
        return path
    return write
