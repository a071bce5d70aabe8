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

"""Pairs read from an image classifier: read-outs, exponents, box noise, the gate, the head."""

from hoi_perception.core.errors import BundleError, HoiError
from hoi_perception.runtime.bundle import Bundle, write_bundle
from hoi_perception.runtime.pipeline import HoiPipeline, PipelineOptions
from hoi_perception.runtime.verify import verify_heads
from hoi_trainer.cli import main
from hoi_trainer.export_synthetic import export_synthetic
from hoi_trainer.image_classification.export import defr_head
from hoi_trainer.image_classification.gate import gate_report
from hoi_trainer.image_classification.network import read_classifier
from hoi_trainer.image_classification.readouts import masked_blocks, mean_pooled, readout
from hoi_trainer.image_classification.transfer import (
    fit_exponents,
    noisy,
    open_pairs,
    pair_scores,
    triplet_reports,
    with_noise,
)
from hoi_trainer.training.weights import update_config
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize


@pytest.fixture(name='trained', scope='module')
def _trained(weights, shipped):
    return read_classifier(weights, shipped)


@pytest.fixture(name='pairs', scope='module')
def _pairs(scenes, shipped):
    return open_pairs(shipped, scenes / 'test', scenes / 'cache')


@pytest.fixture(name='batch', scope='module')
def _batch(pairs):
    split, rows = pairs
    index = torch.arange(3)
    return split.batch(index, split.normalise(split.pixels(index)), rows)


@pytest.fixture(name='seen', scope='module')
def _seen(trained):
    """Return images, regions of three pairs (the last one is padding), and the trunk."""
    torch.manual_seed(3)
    trunk = trained.network.backbone.trunk
    region = torch.rand(2, 3, trunk.grid[0] * trunk.grid[1]) < 0.3
    region[:, 2] = False
    return torch.randn(2, 3, 192, 192), region, trunk


@pytest.mark.parametrize('count', [1, 2, 3])
@torch.no_grad()
def test_mask_n_equals_running_the_last_n_blocks_once_per_pair(count, seen):
    images, region, trunk = seen
    found = readout(f'mask-{count}')(trunk, images, region)
    blocks = trunk.visual.transformer.resblocks
    for image in range(2):
        for pair in range(2):
            x = trunk.visual._embeds(images[image:image + 1])
            mask = torch.zeros(x.shape[1], x.shape[1])
            mask[0, 1:][~region[image, pair]] = -torch.inf
            for i, block in enumerate(blocks):
                x = block(x, attn_mask=mask if i >= len(blocks) - count else None)
            torch.testing.assert_close(found[image, pair], x[0, 0], atol=2e-5, rtol=1e-4)
    assert torch.isfinite(found).all()


@torch.no_grad()
def test_ave_pool_takes_the_mean_of_the_values_without_the_class_token(seen):
    images, region, trunk = seen
    found = readout('ave-pool')(trunk, images, region)
    block, width = trunk.last_block, trunk.width
    tokens = trunk.tokens_before_last(images)
    value = torch.nn.functional.linear(
        block.ln_1(tokens), block.attn.in_proj_weight, block.attn.in_proj_bias)[..., 2 * width:]
    mean = value[0, 1:][region[0, 1]].mean(0)
    x = tokens[0, 0] + block.attn.out_proj(mean)
    torch.testing.assert_close(found[0, 1], x + block.mlp(block.ln_2(x)), atol=2e-5, rtol=1e-4)
    changed = tokens.clone()
    outside = torch.nonzero(~region[0, 1]).flatten() + 1
    changed[0, outside] = torch.randn(len(outside), width)
    torch.testing.assert_close(mean_pooled(block, changed, region)[0, 1], found[0, 1], atol=2e-5,
                               rtol=1e-4)
    assert torch.isfinite(found).all()


@torch.no_grad()
def test_patches_outside_reach_the_token_through_inner_blocks_only(seen):
    """With one masked block nothing outside counts; with two, patches still mix before it."""
    _, region, trunk = seen
    blocks = list(trunk.visual.transformer.resblocks[-2:])
    tokens = torch.randn(1, 1 + region.shape[-1], trunk.width)
    changed = tokens.clone()
    outside = torch.nonzero(~region[0, 0]).flatten() + 1
    changed[0, outside] = torch.randn(len(outside), trunk.width)
    one, two = ([masked_blocks(blocks[-n:], x, region[0, :1]) for x in (tokens, changed)]
                for n in (1, 2))
    torch.testing.assert_close(one[0], one[1])
    assert not torch.allclose(two[0], two[1], atol=1e-3)


@pytest.mark.parametrize('name', ['mask-0', 'mask', 'max-pool', 'mask-1x'])
def test_an_unknown_read_out_is_named(name):
    with pytest.raises(HoiError, match='choose mask-1'):
        readout(name)


def test_more_masked_blocks_than_there_are_is_refused(seen):
    images, region, trunk = seen
    with pytest.raises(HoiError, match='has 6'):
        readout('mask-7')(trunk, images, region)


def test_scores_are_probabilities_of_the_bundles_prompt_rows(trained, shipped, batch, pairs):
    probabilities = pair_scores(trained, shipped)(batch)
    assert probabilities.shape == batch.valid.shape
    rows = normalize(trained.network.backbone.projection @ pairs[1].embeddings.T, dim=0)
    whole = torch.zeros_like(batch.inputs.boxes)
    whole[..., 2:] = 192
    inputs = batch.inputs._replace(boxes=whole)
    with torch.no_grad():
        features = trained.network.backbone.features(batch.inputs.images)
    expected = (trained.network.classifier.log_scale.exp() * normalize(features, dim=-1)
                @ rows).sigmoid()
    found = pair_scores(trained, shipped)(batch._replace(inputs=inputs))
    used = batch.inputs.pair_mask
    torch.testing.assert_close(found[used], expected[:, None].expand_as(found)[used], atol=2e-3,
                               rtol=0)


def test_a_classifier_that_lacks_a_phrase_of_the_bundle_is_refused(trained, shipped):
    fewer = trained._replace(phrases=('a cat', *trained.phrases[1:]))
    with pytest.raises(HoiError, match='was not trained with'):
        pair_scores(fewer, shipped)


def test_noise_moves_edges_in_proportion_to_the_side():
    torch.manual_seed(0)
    boxes = torch.tensor([[10.0, 20.0, 30.0, 120.0]]).expand(20000, 4)
    dice = torch.Generator().manual_seed(1)
    moved = noisy(boxes, 0.1, dice) - boxes
    torch.testing.assert_close(moved.std(0), torch.tensor([2.0, 10.0, 2.0, 10.0]), rtol=0.05,
                               atol=0)
    wild = noisy(boxes, 2.0, dice)
    assert (wild[:, 2:] >= wild[:, :2]).all()
    assert torch.equal(noisy(torch.zeros(2, 3, 4), 0.5, dice), torch.zeros(2, 3, 4))
    same = noisy(boxes[:5].view(1, 5, 4), 0.0, dice)
    torch.testing.assert_close(same, boxes[:5].view(1, 5, 4))


def test_noise_changes_scores_and_repeats_with_its_seed(trained, shipped, batch):
    score = pair_scores(trained, shipped)
    first, second, other = (with_noise(score, 0.3, seed)(batch) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.allclose(first, other) and not torch.allclose(first, score(batch))


def test_the_best_exponents_are_chosen(trained, shipped, pairs):
    split, rows = pairs
    score, values = pair_scores(trained, shipped), (0.5, 3.0)
    reports = triplet_reports(score, split, shipped, rows,
                              [(a, b) for a in values for b in values])
    best = fit_exponents(score, split, shipped, rows, values)
    assert reports[best].full == max(report.full for report in reports.values())
    assert {report.protocol for report in reports.values()} == {'hico_official'}


def test_a_gate_spares_frames_by_their_best_class(trained, shipped, pairs):
    split, rows = pairs
    logits = np.full((6, 84), -20.0, np.float32)
    logits[:3, 5] = 20.0
    score = pair_scores(trained, shipped)
    report = gate_report(logits, {'defr': (score, (1.0, 1.0))}, split, shipped, rows,
                         (0.0, 0.5, 1.1))
    none, half, everything = report['curve']
    full = triplet_reports(score, split, shipped, rows, [(1.0, 1.0)])[(1.0, 1.0)].full
    assert none['spared'] == none['lost_pairs'] == 0 and none['map_defr'] == pytest.approx(full)
    counts = [len(record.verbs) for record in split.dataset.records]
    assert half['spared'] == 0.5
    assert half['lost_pairs'] == pytest.approx(sum(counts[3:]) / sum(counts))
    assert everything['spared'] == everything['lost_pairs'] == 1 and everything['map_defr'] == 0
    assert report['empty_images'] == pytest.approx(np.mean([c == 0 for c in counts]))


@pytest.fixture(name='tuned', scope='module')
def _tuned(weights, shipped, tmp_path_factory):
    """Return the shipped bundle with the classifier as its only head."""
    spec, states = defr_head(weights, shipped.spec.vocabulary, shipped.spec.clip.config)
    tensors = {name: shipped.tensors(name) for name in ('detector.safetensors',
                                                        'clip.safetensors')}
    tensors.update({f'heads/defr{end}': state for end, state in states.items()})
    described = shipped.spec.model_copy(update={'heads': {'defr': spec}, 'files': {}})
    return write_bundle(tmp_path_factory.mktemp('tuned') / 'tuned', described, tensors)


def test_as_a_head_it_scores_pairs_as_the_trainer_does(tuned, trained, shipped, batch):
    assert sum((tuned.path / name).stat().st_size for name in tuned.spec.files
               if name.startswith('heads/')) < 3e6
    pipeline = HoiPipeline(tuned, 'cpu', options=PipelineOptions(masks=False))
    inputs, prompts = batch.inputs, pipeline.prompts.current
    assert prompts.approximate == ()
    head = pipeline._interact.head
    human, thing = (inputs.boxes.gather(1, index[..., None].expand(-1, -1, 4))
                    for index in (inputs.human, inputs.object))
    with torch.no_grad():
        features = head.network(head.trunk.tokens_before_last(inputs.images), human, thing)
        logits = tuned.spec.heads['defr'].temperature * features @ prompts.embeddings.T
    expected = pair_scores(trained, shipped)(batch)
    found = logits.sigmoid()[..., :expected.shape[-1]]
    used = inputs.pair_mask
    torch.testing.assert_close(found[used], expected[used], atol=0.02, rtol=0)
    scene = pipeline(np.array(np.random.default_rng(0).integers(
        0, 255, (360, 480, 3), dtype=np.uint8)))
    assert scene.model_id.endswith('/defr')


def test_it_is_exported_beside_the_training_free_read_out(weights, shipped, tmp_path):
    update_config(weights, exponents=[3.0, 0.5])
    path = export_synthetic(shipped.path / 'detector.safetensors',
                            shipped.path / 'clip.safetensors', tmp_path / 'made', {},
                            {'defr': weights})
    update_config(weights, exponents=[1.0, 1.0])
    made = Bundle.open(path)
    assert list(made.spec.heads) == ['defr', 'defr_training_free']
    head = made.spec.heads['defr']
    assert (head.kind, head.human_exponent, head.object_exponent) == ('defr', 3.0, 0.5)
    assert head.temperature == pytest.approx(100.48, rel=1e-3)
    assert 'fine-tuned on the labels' in (path / 'CARD.md').read_text()
    assert sum(file.stat().st_size for file in path.rglob('*') if file.is_file()) < 20e6
    assert verify_heads(made) == ('defr', 'defr_training_free')


@pytest.mark.parametrize(('change', 'words'), [
    ({'vocabulary': 'juggle'}, 'not trained with'), ({'size': 96}, 'one size')])
def test_a_classifier_of_another_bundle_is_no_head(change, words, weights, shipped):
    vocabulary, config = shipped.spec.vocabulary, shipped.spec.clip.config
    if 'vocabulary' in change:
        verb = vocabulary.verbs[0].model_copy(update={'name': 'juggle', 'phrase': 'juggling'})
        vocabulary = vocabulary.model_copy(update={'verbs': (verb, *vocabulary.verbs[1:])})
    else:
        state = weights.read_bytes()
        weights = weights.with_name('other.safetensors')
        weights.write_bytes(state.replace(b'\\"image_size\\": null', b'\\"image_size\\":   96'))
    with pytest.raises(BundleError, match=words):
        defr_head(weights, vocabulary, config)


def test_exponents_are_fitted_kept_and_used_by_the_commands(weights, shipped, scenes, tmp_path,
                                                            capsys):
    file = tmp_path / 'defr.safetensors'
    file.write_bytes(weights.read_bytes())
    bundle, cache = str(shipped.path), ['--cache', str(scenes / 'cache')]
    assert main(['fit-exponents', str(file), bundle, str(scenes / 'val'), *cache]) == 0
    fitted = read_classifier(file, shipped).exponents
    assert f'human {fitted[0]:g}, object {fitted[1]:g}' in capsys.readouterr().out
    assert main(['evaluate', 'defr', str(file), bundle, str(scenes), *cache,
                 '--output', str(tmp_path / 'out.json')]) == 0
    out = capsys.readouterr().out
    assert '"readout": "mask-1"' in out and '"image_few@5"' in out
    lain = shipped.path / 'heads/lain.safetensors'
    assert main(['evaluate', 'defr', str(lain), bundle, str(scenes), *cache]) == 2
    assert main(['evaluate', 'defr', str(file), bundle, str(scenes), *cache, '--readout',
                 'best']) == 2
