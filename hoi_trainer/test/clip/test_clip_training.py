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

"""Tests of contrastive training: captions, views, loss, learning and evaluation."""

from hoi_trainer.clip.data import (
    ClipData,
    hull,
    into_window,
    padded_parts,
    pair_windows,
    patch_content,
    patch_parts,
    SceneStore,
    seen_share,
)
from hoi_trainer.clip.evaluate import average_precision, clip_metrics, rank_metrics
from hoi_trainer.clip.module import (
    build_model,
    contrastive_loss,
    region_features,
    tokenise,
    visual_tokens,
)
from hoi_trainer.clip.pairs import caption_set, pair_table, verb_prompts
from hoi_trainer.detector.data import padded_labels
from hoi_trainer.synthetic import generate, load, NO_INTERACTION, VERBS
from hoi_trainer.synthetic.people import PARTS
from hoi_trainer.training.images import ImageStore
import numpy as np
import pytest
import torch
from torch.nn import functional

CONFIG = {
    'embed_dim': 32,
    'vision_cfg': {'image_size': 64, 'layers': 2, 'width': 32, 'head_width': 16, 'patch_size': 8},
    'text_cfg': {'context_length': 16, 'vocab_size': 49408, 'width': 16, 'heads': 2, 'layers': 1}}


@pytest.fixture(name='data', scope='module')
def _data(tmp_path_factory):
    directory = tmp_path_factory.mktemp('scenes')
    generate('train', 24, directory, 1)
    return load(directory)


@pytest.fixture(name='views')
def _views(data):
    views = ClipData('unused', 'unused', batch_size=12, image_size=64, patch_size=8)
    views.captions = caption_set(data.scenes)
    table = pair_table(data.scenes, views.captions, 480, 360)
    pixels = SceneStore(ImageStore(data.images, 'cpu', False),
                        ImageStore(data.instance_maps, 'cpu', False),
                        torch.from_numpy(padded_labels(data.scenes)),
                        padded_parts(data.scenes))
    views.add_split('train', pixels, table, 'cpu')
    return views


def test_pairs_carry_the_captions_of_the_world(data, views):
    texts, caption = views.captions.texts, views.stores['train'][2]
    for scene, row in zip(data.scenes, caption):
        expected = sorted(text for _, _, text in scene.pairs)
        assert sorted(texts[i] for i in row.tolist() if i >= 0) == expected


def test_a_caption_holds_for_itself_and_for_each_of_its_verbs(views):
    captions, truth = views.captions.captions, views.captions.truth
    for (verbs, label), row in zip(captions, truth):
        held = {captions[i] for i in np.nonzero(row)[0]}
        assert held == {(verbs, label)} | {((verb,), label) for verb in verbs}


def test_prompts_of_an_object_end_with_no_interaction(views):
    verbs, rows = verb_prompts(views.captions, 8)
    assert verbs[-1] == NO_INTERACTION and 'hold' in [VERBS[v] for v in verbs]
    assert views.captions.texts[rows[-1]] == 'a person and a cup'
    assert views.captions.texts[rows[verbs.index(VERBS.index('hold'))]] == 'a person holding a cup'


def test_windows_run_from_the_hull_to_the_whole_image():
    tight = hull(torch.tensor([[0.2, 0.3, 0.4, 0.5]]), torch.tensor([[0.3, 0.1, 0.6, 0.4]]))
    torch.testing.assert_close(tight, torch.tensor([[0.2, 0.1, 0.6, 0.5]]))
    torch.testing.assert_close(pair_windows(tight, torch.zeros(1, 1), 0.0), tight)
    torch.testing.assert_close(pair_windows(tight, torch.ones(1, 1)),
                               torch.tensor([[0.0, 0.0, 1.0, 1.0]]))


def test_boxes_follow_their_window_and_its_mirror():
    boxes = torch.tensor([[[0.5, 0.25, 0.75, 0.5]]])
    window = torch.tensor([[0.5, 0.0, 1.0, 1.0]])
    plain = into_window(boxes, window, torch.tensor([False]))
    torch.testing.assert_close(plain, torch.tensor([[[0.0, 0.25, 0.5, 0.5]]]))
    mirrored = into_window(boxes, window, torch.tensor([True]))
    torch.testing.assert_close(mirrored, torch.tensor([[[0.5, 0.25, 1.0, 0.5]]]))
    half = seen_share(torch.tensor([[-0.5, 0.0, 0.5, 1.0], [0.1, 0.1, 0.2, 0.2]]))
    torch.testing.assert_close(half, torch.tensor([0.5, 1.0]))


def test_a_batch_reads_the_drawn_pair_first_and_no_padding(views):
    torch.manual_seed(0)
    images, table, caption = views.stores['train']
    index = next(iter(views.train_dataloader()))
    batch = views.make(images, table, index, augment=True)
    assert batch.images.shape == (12, 3, 64, 64) and batch.regions.shape == (12, 5, 64)
    assert batch.regions[:, 0].all() and batch.regions.any(-1).all()
    drawn = torch.from_numpy(views.captions.truth)[caption.flatten()[index]]
    torch.testing.assert_close(batch.truth[:, 1], drawn)
    count = (caption[index // caption.shape[1]] >= 0).sum(1)
    assert ((batch.weight[:, 1:] > 0).sum(1) <= count).all()


def test_reading_every_patch_equals_the_image_tower():
    torch.manual_seed(0)
    model = build_model(CONFIG).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = model.encode_image(images, normalize=True)
        tokens = visual_tokens(model, images)
        got = region_features(model, tokens, torch.ones(2, 1, 64, dtype=torch.bool))[:, 0]
        order = torch.stack([torch.randperm(64) for _ in range(2)])
        shuffled = visual_tokens(model, images, order)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shuffled[:, 0], tokens[:, 0], rtol=1e-4, atol=1e-5)


def test_several_right_captions_share_the_target():
    truth = torch.tensor([[1.0, 1, 0], [0, 0, 1]])
    good = torch.tensor([[9.0, 9, -9], [-9, -9, 9]])
    weight = torch.ones(2)
    one_sided = torch.tensor([[18.0, 0, -9], [-9, -9, 9]])
    assert contrastive_loss(good, truth, weight) < contrastive_loss(one_sided, truth, weight)
    assert contrastive_loss(good, truth, weight) < contrastive_loss(-good, truth, weight)
    wrong = torch.cat((good, -good[:1]))
    masked = contrastive_loss(wrong, torch.cat((truth, truth[:1])), torch.tensor([1.0, 1, 0]))
    torch.testing.assert_close(masked, contrastive_loss(good, truth, weight))


@pytest.mark.parametrize('truth, expected', [
    ([1, 1, 0, 0], 1.0), ([0, 0, 1, 1], (1 / 3 + 2 / 4) / 2), ([0, 1, 0, 1], 0.5)])
def test_average_precision_of_known_rankings(truth, expected):
    score = np.array([0.9, 0.8, 0.3, 0.1])
    assert average_precision(score, np.array(truth, dtype=bool)) == pytest.approx(expected)


def test_perfect_logits_rank_perfectly(views):
    full = views.stores['train'][2].numpy()
    full = full[full >= 0]
    logits = 50 * views.captions.truth[full]
    metrics = rank_metrics(logits, full, views.captions)
    assert metrics['accuracy'] == 1.0 and metrics['map'] > 0.99


def test_a_tiny_model_learns_a_few_scenes_by_heart(data, views):
    torch.manual_seed(0)
    model = build_model(CONFIG)
    images, table, caption = views.stores['train']
    pairs = (caption.flatten() >= 0).nonzero()[:, 0]
    pairs = pairs[torch.randperm(len(pairs))[:40]]
    views.crop_share = 1.0
    batch = views.make(images, table, pairs, augment=False)
    tokens = tokenise(views.captions.texts, 16)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    losses = []
    for _ in range(100):
        seen = region_features(model, visual_tokens(model, batch.images), batch.regions)
        logits = (model.logit_scale.exp() * seen.flatten(0, 1)
                  @ functional.normalize(model.encode_text(tokens), dim=-1).T)
        loss = contrastive_loss(logits, batch.truth.flatten(0, 1), batch.weight.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    used = batch.weight.flatten() > 0
    best = batch.truth.flatten(0, 1).gather(1, logits.argmax(1, keepdim=True))[used]
    assert (best > 0).float().mean() > 0.6
    array = pair_table(data.scenes, views.captions, 480, 360)
    metrics = clip_metrics(model.eval(), data.images, array, views.captions)
    assert metrics['region_map'] > metrics['chance_map']


def test_patch_content_is_the_share_of_pixels_by_class():
    maps = torch.zeros(1, 4, 4, dtype=torch.uint8)
    maps[0, :2, :1] = 1
    maps[0, 2:, 2:] = 2
    shares = patch_content(maps, torch.tensor([[3, 0, -1]]), 2)
    assert shares.shape == (1, 4, 14)
    assert shares[0, 0, [0, 4]].tolist() == [0.5, 0.5]
    assert shares[0, 3, 1] == 1
    assert torch.allclose(shares.sum(-1), torch.ones(1, 4))


@pytest.mark.parametrize('window, flip, patch, part', [
    ((0.0, 0.0, 1.0, 1.0), False, 1, 'face left'),
    ((0.0, 0.0, 1.0, 1.0), True, 0, 'face right'),
    ((0.5, 0.0, 1.0, 0.5), False, 2, 'face left'),
    ((0.0, 0.5, 1.0, 1.0), False, None, None),
], ids=['whole image', 'mirrored', 'zoomed in', 'outside the window'])
def test_body_parts_are_found_in_the_patch_that_shows_them(window, flip, patch, part):
    parts = torch.tensor([[[0.7, 0.4, PARTS.index('face left')], [-1.0, -1, -1]]])
    found = patch_parts(parts, torch.tensor([window]), torch.tensor([flip]), 2)
    assert found.shape == (1, 4, len(PARTS))
    assert found.nonzero().tolist() == ([] if patch is None else [[0, patch, PARTS.index(part)]])
