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

"""Similarity of tokens by hand, and what RmLR's grid makes of runs."""

from dataclasses import replace
import json
import math
from pathlib import Path

from hoi_perception.runtime.bundle import default_bundle_path
from hoi_trainer.cli import main
from hoi_trainer.distillation.claims import BETTER, BOTH, TOKENS, verdicts
from hoi_trainer.distillation.compare import compare
from hoi_trainer.distillation.tokens import DETECTOR, TokenSimilarity
from hoi_trainer.interaction.compare import read_comparison
import pytest
import torch

GRID = Path(__file__).resolve().parents[2] / 'configs/synthetic/rmlr_grid.yaml'


def test_only_people_of_other_images_in_one_place_are_compared(batch):
    """Four images: two people in one place do different things, two the same, others nothing."""
    class Rows:
        verb_of_row = torch.tensor([0, 1, 1])
    whole = torch.tensor([[0., 0, 10, 10], [40, 40, 60, 60]])
    given = batch_of(boxes=whole.expand(4, 2, 4), human=torch.tensor([[0, 1]] * 4))
    labels = torch.zeros(4, 2, 3)
    labels[0, 0, 0] = labels[1, 0, 1] = labels[2, 0, 2] = labels[3, 1, 0] = 1
    given = given._replace(labels=labels)
    tokens = torch.zeros(4, 2, 2)
    tokens[0, 0], tokens[1, 0], tokens[2, 0] = torch.tensor([[1., 0], [0, 2], [0, 3]])
    similarity = TokenSimilarity(Rows())
    similarity.add(given, {'x': tokens})
    report = similarity.report()
    assert set(report) == {DETECTOR, 'x'}
    different, same = report['x']['different'], report['x']['same']
    assert (different.cosine, different.count) == (0.0, 2)
    assert different.distance == pytest.approx((math.sqrt(5) + math.sqrt(10)) / 2)
    assert same == (1.0, pytest.approx(1.0), 1)


def batch_of(boxes, human):
    """Return a batch of which only what `TokenSimilarity` reads is there."""
    from hoi_perception.networks.lain import LainInputs
    from hoi_trainer.interaction.data import HeadBatch
    count = len(boxes)
    nothing = torch.zeros(count)
    inputs = LainInputs(nothing, boxes, nothing, nothing, nothing, torch.rand(count, 2, 5), human,
                        human, torch.ones_like(human, dtype=torch.bool), nothing)
    return HeadBatch(inputs, nothing, nothing, nothing, torch.arange(count))


def test_nobody_in_one_place_gives_no_number():
    class Rows:
        verb_of_row = torch.tensor([0])
    given = batch_of(torch.tensor([[[0., 0, 5, 5]], [[50, 50, 60, 60]]]), torch.zeros(2, 1).long())
    similarity = TokenSimilarity(Rows())
    assert similarity.report() == {}
    similarity.add(given._replace(labels=torch.ones(2, 1, 1)), {})
    found = similarity.report()[DETECTOR]['same']
    assert found.count == 0 and math.isnan(found.cosine)


def _result(head, seed, full):
    report = {'full': full, 'seen': None, 'unseen': None, 'harmonic': None}
    groups = {name: {'different': {'cosine': value, 'distance': 1.0, 'count': 9},
                     'same': {'cosine': value + gap, 'distance': 1.0, 'count': 9}}
              for name, value, gap in (('detector', 0.9, 0.0), ('pair', 0.8, 0.02),
                                       ('remined', 0.5 + 0.01 * seed, 0.1))}
    return {'cell': {'head': head, 'seed': seed, 'split': 'full'}, 'reports': {'1.0': report},
            'tokens': groups}


def test_every_hypothesis_gets_a_verdict():
    order = ['rmlr_base', 'rmlr_no_ire', 'rmlr_none', 'rmlr_blind', 'rmlr_sentence', 'rmlr_word',
             BOTH, 'lain', 'lain_text']
    results = [_result(head, seed, 0.1 + 0.01 * number + 0.1 * seed)
               for number, head in enumerate(order) for seed in (0, 1, 2)]
    found = verdicts(results, '1.0')
    assert set(found) == {f'{claim}/full/full' for claim in BETTER} | {
        f'{claim}/full' for claim in TOKENS}
    assert {entry['verdict'] for entry in found.values()} == {'reproduced'}
    assert found['re_mining_helps/full/full']['delta'] == pytest.approx(0.05)
    assert found['re_mining_takes_different_actions_apart/full']['delta'] == pytest.approx(0.39)
    assert found['equal_actions_stay_closer/full']['delta'] == pytest.approx(0.1)


def test_the_shipped_grid_names_every_head_of_the_claims_and_fits_ten_minutes_a_run():
    plan = read_comparison(GRID)
    named = {head for pair in BETTER.values() for head in pair}
    assert set(plan.heads) == named and plan.seeds == (0, 1, 2)
    assert all(plan.seconds(cell) < 600 for cell in plan.cells())


def test_a_grid_runs_from_its_yaml_and_leaves_other_results_alone(scenes, tmp_path):
    (tmp_path / 'data').mkdir()
    for split, source in (('train', 'train'), ('test', 'val')):
        (tmp_path / 'data' / split).symlink_to(scenes / source)
    shipped, output = read_comparison(GRID), tmp_path / 'out.json'
    output.write_text('{"heads": {"other": 1}}')
    head = shipped.heads['lain_text']
    heads = {'lain_text': replace(head, samples=4, settings={**head.settings, 'adapter_dim': 8})}
    plan = replace(
        shipped, bundle=str(default_bundle_path()), data=str(tmp_path / 'data'),
        cache=str(scenes / 'cache'), runs=str(tmp_path / 'runs'), output=str(output),
        training=str(GRID.with_name('rmlr.yaml')), seeds=(3,), splits=('full',), processes=1,
        batch_size=4, heads=heads)
    content = json.loads(compare(plan).read_text())
    assert content['heads'] == {'other': 1}
    assert set(content['rmlr']['heads']) == {'lain_text'}
    run, = content['rmlr']['runs']
    assert run['cell']['seed'] == 3 and set(run['tokens']) == {'detector', 'features'}
    done = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob('result.json'))
    assert json.loads(compare(plan).read_text()) == content
    assert done == sorted(path.stat().st_mtime_ns for path in tmp_path.rglob('result.json'))


def test_a_grid_that_is_not_there_ends_in_a_sentence():
    assert main(['compare-rmlr', 'nowhere.yaml']) == 2
