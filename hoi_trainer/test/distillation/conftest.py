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

"""A batch of scenes, the shipped YAML with small sizes and a tiny BERT, for the tests beside."""

from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_trainer.interaction.data import HeadSplit
from hoi_trainer.interaction.data_module import SLOTS
from hoi_trainer.interaction.sources import open_dataset
import pytest
import torch
import transformers

SMALL = {'width': 16, 'heads': 2, 'ffn': 32, 'dropout': 0.0}


@pytest.fixture(name='batch', scope='session')
def _batch(scenes):
    """Return what makes a batch of four training images for the prompt rows of a module."""
    bundle = Bundle.open(default_bundle_path())
    split = HeadSplit(bundle, open_dataset(scenes / 'train'), scenes / 'cache', SLOTS, 8,
                      training=True)
    index = torch.arange(4)
    return lambda rows: split.batch(index, split.normalise(split.pixels(index)), rows)


@pytest.fixture(name='write_config', scope='session')
def _write_config(small_config):
    """Return what writes the shipped configuration, with small sizes, into a directory."""
    return lambda directory, samples: small_config('rmlr', directory, samples, SMALL, {'pairs': 8})


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
