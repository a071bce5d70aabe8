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

"""Phrases of a vocabulary from CLIP and from a BERT-type encoder in a local directory."""

from bundles import CLIP_CONFIG, tiny_spec
from hoi_perception.core.errors import HoiError
from hoi_perception.networks.clip import build_clip, encode_text
from hoi_perception.runtime.bundle import Bundle, VerbSpec, VocabularySpec
from hoi_trainer.distillation.phrases import (
    clip_phrases,
    NOBODY,
    row_phrases,
    text_ids,
    transformers_phrases,
)
import pytest
import torch

TEXTS = ['a person riding a bicycle', 'a person holding a cup', 'a person riding a bicycle',
         'a person carrying a very large umbrella']


def test_every_prompt_row_has_a_lower_case_phrase(tmp_path):
    verbs = (VerbSpec(name='ride', phrase='riding', objects=('bicycle',)),
             VerbSpec(name='watch', phrase='watching TV near', objects=('umbrella', 'person')),
             VerbSpec(name='no_interaction', objects=('bicycle',)))
    spec = tiny_spec(vocabulary=VocabularySpec(objects=('person', 'bicycle', 'umbrella'),
                                               verbs=verbs))
    assert row_phrases(Bundle(tmp_path, spec)) == [
        'a person riding a bicycle', 'a person watching tv near a person',
        'a person watching tv near an umbrella', 'a person and a bicycle']


def test_equal_texts_have_one_number():
    assert text_ids(TEXTS).tolist() == [0, 1, 0, 3]


@pytest.mark.parametrize('custom', [False, True])
def test_clip_gives_its_sentence_and_the_words_between_start_and_end(custom):
    torch.manual_seed(0)
    clip = build_clip({**CLIP_CONFIG, 'custom_text': custom})
    found = clip_phrases(clip, TEXTS, 6)
    torch.testing.assert_close(found.sentences, encode_text(clip, TEXTS))
    assert found.words.shape == (4, 6, 16) and found.word_mask.sum(1).tolist() == [5, 5, 5, 6]
    torch.testing.assert_close(found.words.norm(dim=-1), torch.ones(4, 6))
    torch.testing.assert_close(found.words[0], found.words[2])
    # The tower is causal: 'a person' is the same whatever follows, 'riding' is not 'holding'.
    torch.testing.assert_close(found.words[0, :2], found.words[1, :2])
    assert not torch.allclose(found.words[0, 2], found.words[1, 2])


def test_a_bert_of_a_directory_gives_words_without_special_tokens(bert):
    found = transformers_phrases(bert, TEXTS, 6)
    assert found.sentences.shape == (4, 24) and found.words.shape == (4, 6, 24)
    assert found.word_mask.sum(1).tolist() == [5, 5, 5, 6] and NOBODY not in found.text
    torch.testing.assert_close(found.words[found.word_mask].norm(dim=-1),
                               torch.ones(int(found.word_mask.sum())))
    torch.testing.assert_close(found.sentences[0], found.sentences[2])
    assert not found.sentences.requires_grad and not found.words.requires_grad
    whole = transformers_phrases(bert, TEXTS[3:], 7)
    assert whole.words.shape == (1, 7, 24)
    torch.testing.assert_close(whole.words[0, :6], found.words[3], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('make', [False, True])
def test_a_directory_without_a_text_encoder_ends_in_a_sentence(tmp_path, make):
    directory = tmp_path / 'empty'
    if make:
        directory.mkdir()
    with pytest.raises(HoiError, match='text encoder'):
        transformers_phrases(directory, TEXTS, 6)
