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

"""The grid of DEFR: what it holds, what it says, and that it goes on where it stopped."""

from dataclasses import replace
import json
from pathlib import Path

from hoi_perception.core.errors import HoiError
from hoi_trainer.cli import main
from hoi_trainer.image_classification.cell import run_cell
from hoi_trainer.image_classification.claims import CLAIMS, NO_BETTER, summary, verdicts
from hoi_trainer.image_classification.compare import compare, read_comparison, Variant
from hoi_trainer.training.grid import write_result
import pytest

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/synthetic'
GRID = CONFIGS / 'defr_grid.yaml'


def test_the_shipped_grid_covers_every_claim_within_its_time():
    plan = read_comparison(GRID)
    cells = plan.cells()
    assert len({cell.name for cell in cells}) == len(cells) == 3 * len(plan.variants)
    assert all(set(variants) <= set(plan.variants)
               for variants, _ in [*CLAIMS.values(), *NO_BETTER.values()])
    assert all(plan.seconds(cell) < 20 * 60 for cell in cells)
    assert sum(plan.seconds(cell) for cell in cells) / plan.processes < 2.5 * 60 * 60
    noise = [set(plan.variants[name].noise) for name in ('lse_sign', 'lain', 'training_free')]
    assert noise[0] == noise[1] == noise[2] and noise[0]


def _run(variant, seed, full, few, triplets=None, noise=None):
    return {'cell': {'variant': variant, 'seed': seed},
            'classification': {'full': full, 'few@5': few, 'protocol': 'x', 'per_class': []},
            'readouts': {name: {'triplet_map': value, 'exponents': [1.0, 2.0]}
                         for name, value in (triplets or {'mask-1': 0.1}).items()},
            'noise': noise or {}}


def _results():
    runs = []
    for seed in range(3):
        more = 0.01 * seed
        runs += [
            _run('lse_sign', seed, 0.60 + more, 0.50 + more,
                 {'mask-1': 0.2 + more, 'mask-2': 0.19 + more, 'mask-3': 0.3 + more,
                  'ave-pool': 0.1}, {'0.1': 0.18 + 0.9 * more}),
            _run('bce', seed, 0.57 + more, 0.48 + more), _run('random', seed, 0.4, 0.1),
            _run('shuffled', seed, 0.4 - 0.1 * (seed - 1), 0.1),
            _run('lain', seed, 0.0, 0.0, {'mask-1': 0.3}, {'0.1': 0.15})]
    return runs


def test_verdicts_are_taken_seed_by_seed():
    found = verdicts(_results())
    words = {name: entry['verdict'] for name, entry in found.items()}
    assert words['lse_sign_beats_bce'] == 'reproduced'
    assert found['lse_sign_beats_bce']['delta'] == pytest.approx(0.03)
    assert words['lse_sign_gains_more_in_the_tail'] == 'not'
    assert words['text_rows_gain_more_in_the_tail'] == 'reproduced'
    assert words['shuffled_rows_are_no_better_than_random'] == 'reproduced'  # undecided is enough
    assert words['mask_1_beats_ave_pool'] == 'reproduced'
    assert words['mask_2_is_no_better_than_mask_1'] == 'reproduced'
    assert words['mask_3_is_no_better_than_mask_1'] == 'not'
    claim = found['defr_keeps_more_than_lain_at_box_noise_0.1']
    assert claim['verdict'] == 'reproduced' and claim['delta'] == pytest.approx(0.4)
    assert not {'gamma_of_the_clip_beats_5_times', 'weighted_bce_beats_focal'} & set(found)


def test_a_summary_has_mean_and_spread_of_everything():
    entry = summary(_results())['lse_sign']
    assert entry['classification']['full'] == {
        'mean': 0.61, 'std': 0.01, 'seeds': [0.6, 0.61, 0.62]}
    assert entry['readouts']['mask-1']['mean'] == pytest.approx(0.21)
    assert entry['readouts']['mask-1']['exponents'] == [[1.0, 2.0]] * 3
    assert set(entry['noise']) == {'0.1'}


def test_a_grid_runs_from_its_yaml_and_keeps_the_results_of_others(scenes, shipped, tmp_path):
    output = tmp_path / 'out.json'
    output.write_text(json.dumps({'heads': {'lain': 1}, 'defr': 'old'}))
    plan = replace(
        read_comparison(GRID), bundle=str(shipped.path), data=str(scenes), seeds=(3,),
        cache=str(scenes / 'cache'), runs=str(tmp_path / 'runs'), output=str(output),
        training=str(CONFIGS / 'defr.yaml'), samples=8, limit=8, batch_size=4, processes=1,
        variants={'lse_sign': Variant(readouts=('ave-pool',), noise=(0.1,),
                                      thresholds=(0.0, 0.5)),
                  'training_free': Variant(reference='training_free')})
    first = plan.cells()[0]
    directory = tmp_path / 'runs' / shipped.model_id / first.name
    directory.mkdir(parents=True)
    write_result(directory, run_cell(first, directory))
    content = json.loads(compare(plan).read_text())
    assert content['heads'] == {'lain': 1}
    heads = content['defr']['heads']
    assert set(heads) == {'lse_sign', 'training_free'}
    assert set(heads['lse_sign']['readouts']) == {'mask-1', 'ave-pool'}
    gate = content['defr']['runs'][0]['gate']['curve'][0]
    assert set(gate) >= {'spared', 'lost_pairs', 'map_defr', 'map_lain'}
    assert content['defr']['runs'][0] == json.loads((directory / 'result.json').read_text())
    done = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob('result.json'))
    assert len(done) == 2
    assert json.loads(compare(plan).read_text())['defr']['runs'] == content['defr']['runs']
    assert done == sorted(path.stat().st_mtime_ns for path in tmp_path.rglob('result.json'))


@pytest.mark.parametrize('text', [
    'variants: {}', 'nothing', 'variants: {a: {reference: best}}\nseeds: [0]',
    'variants: {a: {reference: lain, settings: {loss: bce}}}\nseeds: [0]'])
def test_a_grid_that_is_none_is_refused(text, tmp_path):
    path = tmp_path / 'grid.yaml'
    path.write_text(text)
    with pytest.raises(HoiError, match='not a comparison'):
        read_comparison(path)
    assert main(['compare-defr', str(path)]) == main(['compare-defr', 'nowhere.yaml']) == 2
