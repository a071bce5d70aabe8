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

"""Labels of images, oversampling, losses, starts of the classifier, and backbones."""

import json
from pathlib import Path

from bundles import tiny_bundle
from hoi_perception.core.errors import HoiError
from hoi_perception.evaluation.datasets.hico_names import hico_names
from hoi_perception.evaluation.hico_classification import few_shot
from hoi_perception.networks.clip import encode_text
from hoi_trainer.datasets import synthetic_names
from hoi_trainer.image_classification.backbones import (
    BackboneConfig,
    clip_at_size,
    ClipVit,
    open_backbone,
)
from hoi_trainer.image_classification.labels import open_labelled, read_hico_labels
from hoi_trainer.image_classification.losses import bce, focal, lse_sign, weighted_bce
from hoi_trainer.image_classification.sampling import oversampled
from hoi_trainer.image_classification.starts import class_phrases, own_gamma, start_rows
import numpy as np
import pytest
from shared_data import require_shared
import torch
from torch.nn.functional import interpolate, normalize


@pytest.fixture(name='bundle', scope='module')
def _bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')


@pytest.fixture(name='clip', scope='module')
def _clip(bundle):
    return open_backbone(BackboneConfig(), bundle)


@pytest.fixture(name='hico', scope='module')
def _hico():
    path = require_shared('data/annotations/hicodet/anno_hico_classification.mat')
    return {split: read_hico_labels(path, split) for split in ('train', 'test')}


@pytest.mark.parametrize(('split', 'images', 'counts'), [
    ('train', 38118, {1: 70373, 0: 35238, -1: 245627, -2: 22519562}),
    ('test', 9658, {1: 20268, 0: 7872, -1: 61912, -2: 5704748})])
def test_hicos_own_labels_have_the_known_counts(hico, split, images, counts):
    found = hico[split]
    assert found.labels.shape == (images, 600) == (len(found.dataset), 600)
    values, number = np.unique(found.labels, return_counts=True)
    assert dict(zip(values.tolist(), number.tolist())) == counts
    assert found.dataset.records[0].image == f'HICO_{split}2015_00000001.jpg'


def test_hicos_few_shot_classes_are_as_many_as_published(hico):
    assert [len(few_shot(hico['train'].labels, most)) for most in (1, 5, 10)] == [49, 125, 162]


def test_every_image_of_hico_shows_something_and_every_class_is_shown(hico):
    for found in hico.values():
        assert (found.labels == 1).any(1).all() and (found.labels == 1).any(0).all()


def test_a_positive_class_lies_beside_labels_of_its_own_object(hico):
    things = hico_names().combinations[:, 1]
    labels = hico['test'].labels[:300]
    for row in labels:
        assert set(things[np.abs(row) == 1]) >= set(things[row == 1])
        assert (row[np.isin(things, things[row == 1])] != -2).all()


@pytest.mark.parametrize(('content', 'split', 'words'), [
    (b'no matlab file', 'train', 'cannot be read'), (None, 'val', 'choose train or test')])
def test_what_is_no_list_of_labels_is_named(content, split, words, tmp_path):
    path = tmp_path / 'anno.mat'
    if content:
        path.write_bytes(content)
    with pytest.raises(HoiError, match=words):
        read_hico_labels(path, split)


def test_scenes_label_objects_that_are_there_without_an_interaction(scenes):
    found = open_labelled(scenes / 'train', 10)
    names, records = found.dataset.names, found.dataset.records
    raw = [json.loads(line) for line in (scenes / 'train/scenes.jsonl').open()]
    assert found.labels.shape == (10, len(names.combinations))
    for row, record, scene in zip(found.labels, records, raw):
        shown = set(zip(record.verbs.tolist(), record.objects.tolist()))
        for value, (verb, thing) in zip(row, names.combinations.tolist()):
            least = 2 if thing == names.human else 1
            there = scene['labels'].count(thing) >= least
            assert value == (1 if (verb, thing) in shown else -1 if there else -2)


def test_rare_classes_are_repeated_and_common_ones_are_not():
    shown = np.zeros((200, 4), bool)
    shown[:100, 0] = shown[100:110, 1] = shown[110, 2] = shown[0, 2] = True
    index = oversampled(shown)
    times = np.bincount(index, minlength=200)
    assert times[1:100].tolist() == [1] * 99      # 100 images: enough
    assert times[100:110].tolist() == [4] * 10    # 40 / 10
    assert times[0] == times[110] == 20           # the rarer class of the image decides
    assert times[111:].tolist() == [1] * 89       # images that show nothing
    assert all(index[:-1] <= index[1:])
    assert oversampled(shown[110:111], 40).tolist() == [0] * 40
    assert oversampled(shown, 0).tolist() == list(range(200))


def _logits(seed=0):
    dice = torch.Generator().manual_seed(seed)
    logits = 10 * torch.randn(4, 9, generator=dice)
    return logits, (torch.rand(4, 9, generator=dice) < 0.3).float()


def test_lse_sign_is_its_definition_and_its_gradient_a_softmax_over_violations():
    logits, shown = _logits()
    logits.requires_grad_(True)
    sign = 2 * shown - 1
    loss = lse_sign(logits, shown)
    torch.testing.assert_close(loss, (1 + (-sign * logits).exp().sum(1)).log())
    loss.sum().backward()
    weight = (-sign * logits).exp() / (1 + (-sign * logits).exp().sum(1, keepdim=True))
    torch.testing.assert_close(logits.grad, -sign * weight)
    assert (logits.grad.abs().sum(1) <= 1 + 1e-5).all()


def test_lse_sign_stays_finite_and_leaves_its_input_alone():
    logits = torch.tensor([[100.5, -100.5, 90.0]], dtype=torch.bfloat16)
    before = logits.clone()
    loss = lse_sign(logits, torch.tensor([[0.0, 1.0, 1.0]]))
    assert loss.dtype == torch.float32 and torch.equal(logits, before)
    assert float(loss) == pytest.approx(101.2, abs=0.6)


def test_weights_change_what_they_should():
    logits, shown = _logits(1)
    extra = weighted_bce(logits, shown) - bce(logits, shown)
    expected = 9 * (shown * torch.nn.functional.softplus(-logits)).sum(1)
    torch.testing.assert_close(extra, expected)
    easy = torch.full((1, 1), -9.0)
    assert focal(easy, torch.zeros(1, 1)) < 1e-6 < bce(easy, torch.zeros(1, 1))


@pytest.mark.parametrize('loss', [lse_sign, focal, bce, weighted_bce])
def test_only_labels_of_one_are_positive(loss):
    logits, shown = _logits(2)
    torch.testing.assert_close(loss(logits, torch.where(shown == 1, 1.0, 0.5)),
                               loss(logits, shown))


def test_the_backbone_is_clip_without_its_projection(bundle, clip):
    images = torch.rand(2, 3, 64, 64)
    backbone = clip.backbone.eval()
    visual, image = clip.clip.visual, bundle.spec.clip.preprocessing
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (image.mean, image.std))
    with torch.no_grad():
        expected = visual((images - mean) / std)
        torch.testing.assert_close(backbone(images) @ backbone.projection, expected, atol=1e-5,
                                   rtol=1e-4)
    assert backbone.width == 32 and backbone.image_size == 64


def test_positions_are_resized_bicubically_and_the_class_token_stays(bundle):
    state = bundle.tensors('clip.safetensors')
    large = clip_at_size(bundle.spec.clip.config, state, 96).visual.positional_embedding
    old = state['visual.positional_embedding']
    grid = old[1:].view(1, 4, 4, 32).permute(0, 3, 1, 2)
    expected = interpolate(grid, (6, 6), mode='bicubic').permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(large[0], old[0])
    torch.testing.assert_close(large[1:], expected)


def test_clips_resnet_and_a_network_of_timm_serve_too(bundle, tmp_path):
    config = {**bundle.spec.clip.config, 'vision_cfg': {
        'image_size': 64, 'layers': [1, 1, 1, 1], 'width': 8, 'head_width': 16}}
    path = tmp_path / 'resnet.json'
    path.write_text(json.dumps(config))
    resnet = open_backbone(BackboneConfig('open_clip', str(path)), bundle)
    network = open_backbone(BackboneConfig('timm', 'test_resnet', image_size=64), bundle)
    vit = open_backbone(BackboneConfig('timm', 'test_vit', image_size=96), bundle)
    assert resnet.clip is not None and network.clip is None is vit.clip
    for backbone, side, width in ((resnet.backbone, 64, 16), (network.backbone, 64, None),
                                  (vit.backbone, 96, None)):
        features = backbone.eval()(torch.rand(2, 3, side, side))
        assert features.shape == (2, backbone.width) and width in (None, backbone.width)
    phrases = ['a cup', 'a ball']
    rows = start_rows('clip', resnet, bundle, phrases, 0)
    torch.testing.assert_close(rows, encode_text(resnet.clip, phrases))


@pytest.mark.parametrize('config', [
    BackboneConfig('no_such'), BackboneConfig('timm', 'no_such_network'),
    BackboneConfig('timm', 'test_vit', weights='nowhere.safetensors'),
    BackboneConfig('open_clip', 'no_such_model')])
def test_what_is_no_backbone_is_named(config, bundle):
    with pytest.raises(HoiError, match='no|not'):
        open_backbone(config, bundle)


def test_phrases_are_worded_as_the_bundle_words_its_prompts(bundle):
    names = synthetic_names()
    phrases = class_phrases(names, bundle)
    assert len(set(phrases)) == len(names.combinations)
    assert 'a photo of a person sitting on a chair' in phrases
    assert 'a photo of a person holding an umbrella' in phrases
    nothing = [p for p in class_phrases(hico_names(), bundle) if 'a person and' in p]
    assert len(nothing) == 80


def test_text_rows_are_folded_through_the_projection_and_controls_are_not_text(bundle, clip):
    phrases = ['a photo of a cup', 'a dog', 'a photo of a ball', 'a chair']
    text = encode_text(clip.clip, phrases)
    rows = start_rows('clip', clip, bundle, phrases, 0)
    torch.testing.assert_close(rows, text @ clip.backbone.projection.T)
    dealt = start_rows('shuffled', clip, bundle, phrases, 0)
    assert {tuple(r) for r in dealt.tolist()} == {tuple(r) for r in rows.tolist()}
    assert not torch.equal(dealt, rows)
    drawn = [start_rows('random', clip, bundle, phrases, seed) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert float(start_rows('random', clip, bundle, ['x'] * 500, 0).std()) == pytest.approx(
        clip.backbone.width ** -0.5, rel=0.02)


def _tiny_bert(directory: Path, width: int) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizer
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'person', 'riding', 'cup']
    vocabulary = directory / 'vocab.txt'
    vocabulary.write_text('\n'.join(words))
    BertTokenizer(str(vocabulary)).save_pretrained(directory)
    BertModel(BertConfig(vocab_size=len(words), hidden_size=width, num_hidden_layers=1,
                         num_attention_heads=2, intermediate_size=16)).save_pretrained(directory)
    return directory


def test_gamma_is_the_temperature_of_the_backbones_clip_or_that_of_the_paper(bundle):
    opened = open_backbone(BackboneConfig(), bundle)
    temperature = float(bundle.tensors('clip.safetensors')['logit_scale'].exp())
    assert own_gamma(opened) == pytest.approx(temperature) and temperature != pytest.approx(100.48)
    other = open_backbone(BackboneConfig('timm', 'test_resnet', image_size=64), bundle)
    assert other.clip is None and own_gamma(other) == pytest.approx(100.48, abs=0.01)


def test_rows_may_come_from_a_local_bert_of_the_same_width(bundle, clip, tmp_path):
    torch.manual_seed(0)
    phrases = ['a person riding', 'a cup']
    rows = start_rows('bert', clip, bundle, phrases, 0, str(_tiny_bert(tmp_path, 32)))
    assert rows.shape == (2, 32)
    torch.testing.assert_close(rows, normalize(rows, dim=-1))
    assert not torch.allclose(rows[0], rows[1])


def test_text_of_another_width_is_refused_as_is_an_unknown_start(bundle, clip, tmp_path):
    with pytest.raises(HoiError, match='length 16'):
        start_rows('bert', clip, bundle, ['a'], 0, str(_tiny_bert(tmp_path, 16)))
    with pytest.raises(HoiError, match='local directory'):
        start_rows('bert', clip, bundle, ['a'], 0, 'bert-base-uncased')
    with pytest.raises(HoiError, match='choose clip'):
        start_rows('word2vec', clip, bundle, ['a'], 0)


def test_it_is_a_vision_transformer_of_clip(clip):
    assert isinstance(clip.backbone, ClipVit)
    assert not clip.backbone.trunk.proj.requires_grad
