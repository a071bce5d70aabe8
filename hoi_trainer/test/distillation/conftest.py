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

"""Scenes, a batch of them and the shipped YAML with small sizes, for the tests beside this."""

from pathlib import Path

from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_trainer.interaction.data import HeadSplit
from hoi_trainer.interaction.data_module import SLOTS
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.synthetic import generate
import pytest
import torch
import transformers
import yaml

SHIPPED = Path(__file__).resolve().parents[2] / 'configs/synthetic/rmlr.yaml'
SMALL = {'width': 16, 'heads': 2, 'ffn': 32, 'dropout': 0.0}


@pytest.fixture(name='scenes', scope='session')
def _scenes(tmp_path_factory):
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp('taught')
    generate('train', 12, directory / 'train', 1)
    generate('val', 4, directory / 'val', 1)
    return directory


@pytest.fixture(name='batch', scope='session')
def _batch(scenes):
    """Return what makes a batch of four training images for the prompt rows of a module."""
    bundle = Bundle.open(default_bundle_path())
    split = HeadSplit(bundle, open_dataset(scenes / 'train'), scenes / 'cache', SLOTS, 8,
                      training=True)
    index = torch.arange(4)
    return lambda rows: split.batch(index, split.normalise(split.pixels(index)), rows)


@pytest.fixture(name='write_config', scope='session')
def _write_config(scenes):
    """Return what writes the shipped configuration, with small sizes, into a directory."""
    def write(directory: Path, samples: int) -> Path:
        config = yaml.safe_load(SHIPPED.read_text())
        config['model']['init_args'].update(bundle=str(default_bundle_path()), **SMALL)
        config['data']['init_args'].update(
            bundle=str(default_bundle_path()), train=str(scenes / 'train'),
            val=str(scenes / 'val'), cache=str(scenes / 'cache'), batch_size=4, pairs=8)
        config['trainer'].update(default_root_dir=str(directory), log_every_n_steps=1,
                                 enable_progress_bar=False, enable_model_summary=False)
        config['budget'] = {'samples': samples}
        config['write']['path'] = str(directory / 'rmlr.safetensors')
        config['checkpoint'].update(dirpath=str(directory), every_n_train_steps=2)
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / 'rmlr.yaml'
        path.write_text(yaml.safe_dump(config))
        return path
    return write


@pytest.fixture(name='bert', scope='session')
def _bert(tmp_path_factory):
    """Save a tiny random BERT with a word tokenizer, as `save_pretrained` writes them."""
    directory = tmp_path_factory.mktemp('bert')
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'bicycle', 'carrying', 'cup',
             'holding', 'large', 'person', 'riding', 'umbrella', 'very']
    (directory / 'vocab.txt').write_text('\n'.join(words))
    transformers.BertTokenizerFast(vocab=str(directory / 'vocab.txt')).save_pretrained(directory)
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(
        vocab_size=len(words), hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32)).save_pretrained(directory)
    return directory
