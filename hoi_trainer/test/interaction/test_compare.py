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

"""Verdicts, summaries and the grid of the comparison."""

from dataclasses import replace
import json
from pathlib import Path

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import default_bundle_path
from hoi_trainer.cli import main
from hoi_trainer.interaction.compare import compare, read_comparison
from hoi_trainer.interaction.directions import directions, summary, verdict
import pytest

SHIPPED = Path(__file__).resolve().parents[2] / 'configs/synthetic/heads.yaml'


@pytest.mark.parametrize('differences, expected', [
    ([0.02, 0.03, 0.025], 'reproduced'), ([-0.02, -0.03, -0.025], 'not'),
    ([0.02, -0.001, 0.03], 'undecided'), ([0.001, 0.03, 0.001], 'undecided'),
    ([0.5], 'undecided')])
def test_a_verdict_needs_every_seed_and_more_than_the_spread(differences, expected):
    assert verdict(differences)['verdict'] == expected


def _result(head, seed, full, unseen, split='synthetic_uv'):
    report = {'full': full, 'seen': full, 'unseen': unseen, 'harmonic': None}
    worse = {**report, 'full': full / 2}
    return {'cell': {'head': head, 'seed': seed, 'split': split},
            'reports': {'2.8': report, '1.0': worse}}


def test_claims_compare_heads_seed_by_seed():
    figures = {'lain_none': 0.1, 'lain_la': 0.15, 'lain_ia': 0.12, 'lain': 0.2}
    results = [_result(head, seed, full + 0.1 * seed, full + 0.1 * seed)
               for head, full in figures.items() for seed in (0, 1, 2)]
    results.append(_result('defr_training_free', 0, 0.1, 0.1))
    found = directions(results, '2.8')
    for claim, delta in (('locality_helps', 0.05), ('interaction_helps', 0.02),
                         ('both_are_best', 0.05), ('gain_is_super_additive', 0.03)):
        entry = found[f'{claim}/synthetic_uv/unseen']
        assert entry['verdict'] == 'reproduced' and entry['delta'] == pytest.approx(delta)
    assert found['trained_is_1.5_times_training_free/synthetic_uv']['ratios'] == [2, 3, 4]
    heads = summary(results, '2.8')
    assert heads['lain']['map_mean'] == pytest.approx(0.3) and len(heads['lain']['seeds']) == 3
    assert heads['defr_training_free']['map_std'] == 0


def test_the_shipped_grid_has_every_variant_on_every_split_and_seed():
    plan = read_comparison(SHIPPED)
    cells = plan.cells()
    assert len({cell.name for cell in cells}) == len(cells) == 5 * 9 + 3
    assert sum(plan.seconds(cell) for cell in cells) / plan.processes < 2 * 60 * 60
    assert all(plan.seconds(cell) < 600 for cell in cells)


def test_a_grid_runs_from_its_yaml_and_takes_over_what_is_done(scenes, tmp_path):
    shipped = read_comparison(SHIPPED)
    (tmp_path / 'data').mkdir()
    for split, source in (('train', 'train'), ('test', 'val')):
        (tmp_path / 'data' / split).symlink_to(scenes / source)
    plan = replace(
        shipped, bundle=str(default_bundle_path()), data=str(tmp_path / 'data'),
        cache=str(scenes / 'cache'), runs=str(tmp_path / 'runs'), training=str(
            SHIPPED.with_name('lain.yaml')), output=str(tmp_path / 'out.json'), seeds=(3,),
        splits=('full',), processes=1, batch_size=4,
        heads={'class_and_boxes': replace(shipped.heads['class_and_boxes'], samples=16)})
    content = json.loads(compare(plan).read_text())
    assert set(content['heads']) == {'class_and_boxes', 'defr_training_free'}
    assert len(content['heads']['class_and_boxes']['seeds']) == 1
    done = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob('result.json'))
    assert json.loads(compare(plan).read_text())['runs'] == content['runs']
    assert done == sorted(path.stat().st_mtime_ns for path in tmp_path.rglob('result.json'))


@pytest.mark.parametrize('text', ['heads: {}', 'heads: {a: {b: 1}}\nseeds: [0]'])
def test_a_grid_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / 'grid.yaml'
    path.write_text(text)
    with pytest.raises(HoiError, match='not a comparison'):
        read_comparison(path)
    assert main(['compare-heads', str(path)]) == main(['compare-heads', 'nowhere.yaml']) == 2
