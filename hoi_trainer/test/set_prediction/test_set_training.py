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

"""Seg2HOI trains from the shipped configuration, writes its head, and is measured."""

import json
from pathlib import Path

from hoi_perception.networks.seg2hoi_instances import resolve
from hoi_perception.networks.seg_trunk import SegTrunk
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_perception.runtime.detect_stage import DetectStage
from hoi_perception.runtime.pipeline import HoiPipeline
from hoi_trainer.cli import main
from hoi_trainer.interaction.export import read_head
from hoi_trainer.interaction.sources import open_dataset
from hoi_trainer.set_prediction.compare import directions, summary
from hoi_trainer.set_prediction.data import SetSplit, verb_targets
from hoi_trainer.set_prediction.evaluate import instance_triplets
from hoi_trainer.set_prediction.module import Seg2HoiModule
from hoi_trainer.set_prediction.targets import pair_targets
from hoi_trainer.set_prediction.trunk_cache import placements_of
import numpy as np
import pytest
import torch
import yaml

GRID = Path(__file__).resolve().parents[2] / 'configs/synthetic/seg2hoi_grid.yaml'
SMALL = {'layers': 2, 'width': 16, 'heads': 2, 'ffn': 16,
         'points': {'points': 32, 'oversample': 3, 'uncertain': 0.75}}


@pytest.fixture(name='split', scope='module')
def _split(scenes):
    return SetSplit(Bundle.open(default_bundle_path()), open_dataset(scenes / 'train'),
                    scenes / 'cache')


@pytest.fixture(name='write_config', scope='session')
def _write_config(small_config):
    """Return what writes the shipped configuration, with small sizes, into a directory."""
    return lambda directory: small_config('seg2hoi', directory, 8, SMALL, {}, every=1)


@pytest.fixture(name='trained', scope='module')
def _trained(write_config, tmp_path_factory):
    """Return the directory of a short run of the shipped configuration with small sizes."""
    directory = tmp_path_factory.mktemp('run')
    assert main(['fit', '-c', str(write_config(directory))]) == 0
    return directory


def _curve(directory):
    return (directory / 'curves.csv').read_text()


def test_a_run_logs_terms_and_metrics_and_a_seed_repeats_it(write_config, trained, tmp_path):
    assert main(['fit', '-c', str(write_config(tmp_path))]) == 0
    curve = _curve(trained)
    assert curve == _curve(tmp_path)
    assert all(name in curve for name in ('train/union_dice', 'val/map', 'val/map_boxes',
                                          'val/union_iou'))


def test_an_interrupted_run_goes_on_to_the_same_end(write_config, trained, tmp_path):
    path = str(write_config(tmp_path))
    assert main(['fit', '-c', path, '--trainer.max_steps', '1']) == 0
    (tmp_path / 'seg2hoi.safetensors').unlink()
    assert torch.load(tmp_path / 'last.ckpt', weights_only=False)['global_step'] == 1
    assert main(['fit', '-c', path]) == 0
    first, second = (read_head(run / 'seg2hoi.safetensors')[1] for run in (trained, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_trunk_is_in_no_checkpoint_and_learns_nothing(scenes, trained, split):
    bundle = Bundle.open(default_bundle_path())
    network = DetectStage(bundle, torch.device('cpu')).network
    assert isinstance(network, SegTrunk) and not network.training
    assert not any(p.requires_grad for p in network.parameters())
    names = torch.load(trained / 'last.ckpt', weights_only=False)['state_dict']
    assert names and all(name.startswith('network.') for name in names)
    module = Seg2HoiModule(str(default_bundle_path()), layers=1, width=16, heads=2, ffn=16)
    batch = split.batch(torch.arange(2), torch.device('cpu'))
    before = [value.clone() for value in network.state_dict().values()]
    module.train()
    chosen, layers = module(batch)
    sum(part.sum() for part in layers[-1]).backward()
    assert not batch.inputs.pixels.requires_grad
    assert all(torch.equal(*pair) for pair in zip(before, network.state_dict().values()))


def test_the_detectors_scores_weigh_a_pair_by_their_exponents(split):
    module = Seg2HoiModule(str(default_bundle_path()), layers=1, width=16, heads=2, ffn=16).eval()
    batch = split.batch(torch.arange(12), torch.device('cpu'))
    with torch.no_grad():
        chosen, (last,) = module(batch)
    human = module.network.config.human
    plain = instance_triplets(batch, chosen, last, human)
    weighed = instance_triplets(batch, chosen, last, human, (2.0, 0.5))
    pairs = resolve(batch.inputs, chosen, last, human)
    scores = batch.inputs.scores
    expected = plain.prior * scores.gather(1, pairs.human) ** 2 * scores.gather(
        1, pairs.object).sqrt()
    assert (plain.prior > 0).any()
    torch.testing.assert_close(weighed.prior, expected)


@pytest.mark.parametrize('changes', [{'relation': False}, {'masks': False}, {'image': False},
                                     {'text': 'random'}])
def test_ablations_are_settings(split, changes):
    module = Seg2HoiModule(str(default_bundle_path()), layers=1, width=16, heads=2, ffn=16,
                           **changes)
    batch, rows = split.batch(torch.arange(3), torch.device('cpu')), module.training_rows
    module.train()
    chosen, layers = module(batch)
    terms = module.criterion(
        batch.inputs, chosen, layers,
        [module.network.verb_logits(part.features, rows.embeddings) for part in layers],
        batch.targets, verb_targets(batch.targets, rows), batch.masks)
    assert ('union' in terms) == module.criterion.masks
    sum(terms.values()).backward()
    usual = Seg2HoiModule(str(default_bundle_path()), layers=1, width=16, heads=2, ffn=16)
    assert torch.equal(rows.embeddings, usual.rows.embeddings) == ('text' not in changes)
    assert module.network_config['config']['relation'] == changes.get('relation', True)


def test_most_annotated_pairs_have_masks_that_fit_their_boxes(split):
    mask, flags = split.targets.mask, torch.from_numpy(np.array(split.trunk.flags))
    assert (flags[..., 0] & mask).sum() > 0.7 * mask.sum()
    batch = split.batch(torch.arange(10), torch.device('cpu'))
    union = batch.masks.union
    assert (union.any((-1, -2)) == batch.masks.valid_union).all()
    assert not (batch.masks.intersection & ~union).sum() > 0.5 * batch.masks.intersection.sum()
    assert batch.inputs.mask.sum(1).min() > 1 and batch.inputs.boxes.max() <= 1.01


def test_pairs_held_back_keep_their_row_and_are_masked(split):
    bundle, dataset = Bundle.open(default_bundle_path()), split.dataset
    unseen = np.arange(0, len(dataset.names.combinations), 2)
    seen = pair_targets(dataset, bundle, placements_of(dataset, bundle), unseen)
    assert seen.mask.shape == split.targets.mask.shape
    assert 0 < seen.mask.sum() < split.targets.mask.sum()
    assert torch.equal(seen.humans, split.targets.humans) and not (
        seen.verbs & ~split.targets.verbs).any()


def test_the_head_goes_into_a_bundle_and_its_quadruplets_are_measured(scenes, trained, tmp_path,
                                                                      capsys):
    source = default_bundle_path()
    assert main(['export-synthetic', str(source / 'detector.safetensors'),
                 str(source / 'clip.safetensors'), str(tmp_path / 'bundle'), '--head',
                 f'seg2hoi={trained / "seg2hoi.safetensors"}']) == 0
    spec = Bundle.open(tmp_path / 'bundle').spec.heads['seg2hoi']
    assert spec.kind == 'seg2hoi' and spec.activation == 'sigmoid'
    assert HoiPipeline(tmp_path / 'bundle', 'cpu').head == 'seg2hoi'
    for head in ('seg2hoi', 'defr'):
        assert main(['evaluate', 'quadruplets', str(tmp_path / 'bundle'), str(scenes / 'val'),
                     '--head', head, '--output', str(tmp_path / 'figures.json')]) == 0
        figures = json.loads((tmp_path / 'figures.json').read_text())
        assert figures['head'] == head and figures['pairs'] > 3
        assert all(0 <= figures[name] <= 1 for name in ('box_map', 'mask_map', 'union_map'))
    assert figures['union_iou'] > 0.6 and figures['pairs_found'] > 0  # from instance masks


def test_the_audit_counts_compares_and_draws(scenes, split, tmp_path, capsys):
    assert main(['data', 'masks', str(default_bundle_path()), str(scenes / 'train'),
                 str(tmp_path / 'audit'), '--cache', str(scenes / 'cache')]) == 0
    report = json.loads((tmp_path / 'audit/masks.json').read_text())
    assert report['pairs'] == int(split.targets.mask.sum()) and report['valid_union'] > 0.7
    assert report['box_iou'] > 0.7 and report['union_iou_with_exact_masks'] > 0.7
    assert len(list((tmp_path / 'audit').glob('*.jpg'))) == len(report['pictures']) > 3
    assert 'contact_band' in (tmp_path / 'audit/masks.md').read_text()


def test_a_grid_trains_tests_keeps_what_is_done_and_says_what_follows(
        write_config, scenes, tmp_path, capsys):
    training = write_config(tmp_path / 'plain')
    grid = yaml.safe_load(GRID.read_text())
    grid.update(bundle=str(default_bundle_path()), data=str(scenes), cache=str(scenes / 'cache'),
                runs=str(tmp_path / 'runs'), training=str(training), seeds=[0], samples=8,
                batch_size=4, quadruplets=2, processes=1, output=str(tmp_path / 'heads.json'))
    grid['variants'] = {name: {**entry, 'splits': entry['splits'][:1]}
                        for name, entry in grid['variants'].items() if name == 'seg2hoi'}
    path = tmp_path / 'grid.yaml'
    path.write_text(yaml.safe_dump(grid))
    (tmp_path / 'heads.json').write_text('{"heads": 1}')
    assert main(['compare-seg2hoi', str(path)]) == 0
    content = json.loads((tmp_path / 'heads.json').read_text())
    assert content['heads'] == 1 and len(content['seg2hoi']['runs']) == 1
    assert set(content['seg2hoi']['directions']) == {'union_iou_at_least_0.75'}
    figures = content['seg2hoi']['heads']['seg2hoi']['full']
    assert {'instances_full', 'boxes_full', 'mask_map', 'union_iou'} <= set(figures)
    capsys.readouterr()
    assert main(['compare-seg2hoi', str(path)]) == 0
    assert '0 to do' in capsys.readouterr().out
    path.write_text('seeds: 3')
    assert main(['compare-seg2hoi', str(path)]) == 2


def _run(variant, split, seed, full, unseen=None, union=None):
    report = {'full': full, 'seen': None, 'unseen': unseen}
    return {'cell': {'variant': variant, 'split': split, 'seed': seed},
            'reports': {'instances': report, 'boxes': report}, 'union_iou_pseudo': 0.8,
            **({} if union is None else {'quadruplets': {'union_iou': union, 'scenes': 9}})}


def test_verdicts_compare_seed_by_seed():
    results = [_run('seg2hoi', 'full', seed, 0.2 + 0.01 * seed, union=0.8) for seed in range(3)]
    results += [_run('no_relation', 'full', seed, 0.1 + 0.01 * seed) for seed in range(3)]
    results += [_run('no_masks', 'full', seed, 0.3, union=0.1) for seed in range(2)]
    results += [_run(name, 'synthetic_uv', seed, 0.2, 0.02 * seed)
                for name in ('seg2hoi', 'random_text') for seed in range(3)]
    found = directions(results)
    assert found['counterpart_attention_helps']['verdict'] == 'reproduced'
    assert found['mask_losses_help']['verdict'] == 'not'
    assert len(found['mask_losses_help']['by_seed']) == 2
    assert found['text_helps_unseen_verbs']['verdict'] == 'undecided'
    assert found['union_iou_at_least_0.75']['delta'] == pytest.approx(0.05)
    assert summary(results)['seg2hoi']['full']['instances_full']['mean'] == pytest.approx(0.21)


def test_a_bundle_without_masks_and_data_without_pairs_end_in_a_sentence(scenes, tmp_path,
                                                                         capsys):
    assert main(['data', 'masks', str(default_bundle_path()), str(tmp_path), str(tmp_path),
                 '--cache', str(scenes / 'cache')]) == 2
    assert 'hoi-trainer synth' in capsys.readouterr().err

