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

"""A tiny vision LLM made from nothing, and the shipped YAML with small sizes."""

import pytest
import torch

SMALL = {'heads': 2, 'content_layers': 1, 'translator': 16, 'translator_layers': 2,
         'context_queries': 4, 'bottleneck': 8, 'dropout': 0.0}

TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} : {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}{% endfor %}"
    '{% endfor %}{% if add_generation_prompt %}assistant : {% endif %}')


@pytest.fixture(name='tiny_teacher', scope='session')
def _tiny_teacher(tmp_path_factory):
    """Return the directory of a LLaVA of random weights with its processor."""
    from tokenizers import models, pre_tokenizers, Tokenizer
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )
    words = ['<unk>', '<pad>', '<s>', '</s>', '<image>', *'riding holding a the bicycle cup man , '
             '. : user assistant What are persons doing in image ?'.split()]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, '<unk>'))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token='<unk>', pad_token='<pad>', bos_token='<s>',
        eos_token='</s>', additional_special_tokens=['<image>'])
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(LlavaConfig(
        vision_config=CLIPVisionConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                                       num_attention_heads=2, image_size=28, patch_size=14,
                                       projection_dim=16),
        text_config=LlamaConfig(vocab_size=len(words), hidden_size=16, intermediate_size=32,
                                num_hidden_layers=2, num_attention_heads=2,
                                num_key_value_heads=2, max_position_embeddings=512),
        image_token_index=4, vision_feature_layer=-1))
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={'shortest_edge': 28}, crop_size={'height': 28, 'width': 28}),
        fast, patch_size=14, vision_feature_select_strategy='default', image_token='<image>',
        num_additional_image_tokens=1, chat_template=TEMPLATE)
    directory = tmp_path_factory.mktemp('teacher') / 'tiny_llava'
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory


@pytest.fixture(name='write_config', scope='session')
def _write_config(small_config):
    """Return what writes the shipped configuration, with small sizes, into a directory."""
    return lambda directory, samples: small_config('cl_hoi', directory, samples, SMALL,
                                                   {'pairs': 8})
