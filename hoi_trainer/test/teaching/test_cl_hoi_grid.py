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

"""The grid of CL-HOI: every hypothesis has its runs and its verdict."""

from dataclasses import replace
import json
from pathlib import Path

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_trainer.cli import main
from hoi_trainer.datasets.synthetic import load_synthetic
from hoi_trainer.interaction.data_module import SLOTS
from hoi_trainer.teaching.claims import BETTER, UNTRAINED, verdicts
from hoi_trainer.teaching.compare import compare, read_comparison, Student
from hoi_trainer.teaching.data_module import open_taught_split
import pytest
import torch

GRID = Path(__file__).resolve().parents[2] / 'configs/synthetic/cl_hoi_grid.yaml'
SMALL = {'heads': 2, 'content_layers': 1, 'translator': 16, 'translator_layers': 2,
         'context_queries': 4, 'bottleneck': 8}


def test_the_shipped_grid_has_every_student_of_the_claims_and_fits_ten_minutes_a_run():
    plan = read_comparison(GRID)
    assert set(plan.students) == {head for pair in BETTER.values() for head in pair} | {UNTRAINED}
    assert plan.seeds == (0, 1, 2) and len(plan.cells()) == 3 * len(plan.students)
    assert all(plan.seconds(cell) < 600 for cell in plan.cells())
    spoken = [cell.teacher['class_path'] for cell in plan.cells()
              if cell.head != 'cl_hoi_supervised']
    assert set(spoken) == {'hoi_trainer.teaching.teachers.NoisyCaptioner'}, 'words only'


def _result(head, seed, full):
    return {'cell': {'head': head, 'seed': seed, 'split': 'full'},
            'reports': {'1.0': {'full': full, 'seen': None, 'unseen': None, 'harmonic': None}}}


def test_every_hypothesis_gets_a_verdict():
    order = ['cl_hoi_untrained', 'cl_hoi_base', 'cl_hoi_spatial', 'cl_hoi_visual',
             'cl_hoi_relation', 'cl_hoi_relation_context', 'cl_hoi_relation_image',
             'cl_hoi_relation_text', 'cl_hoi_noisy', 'cl_hoi_noisy_exact_boxes', 'cl_hoi',
             'cl_hoi_clean', 'cl_hoi_supervised']
    results = [_result(head, seed, 0.02 + 0.01 * number + 0.001 * seed)
               for number, head in enumerate(order) for seed in (0, 1, 2)]
    found = verdicts(results, '1.0')
    assert set(found) == {*BETTER, 'label_free_is_2_times_untrained',
                          'a_better_teacher_helps_more_than_a_better_detector'}
    assert {entry['verdict'] for entry in found.values()} == {'reproduced'}
    assert found['spatial_cognition_adds']['delta'] == pytest.approx(0.01)
    assert found['label_free_is_2_times_untrained']['ratios'][0] == pytest.approx(6.0)
    assert found['a_better_teacher_helps_more_than_a_better_detector'][
        'delta'] == pytest.approx(0.02)


def test_exact_boxes_correct_what_was_found_and_remove_the_rest(scenes):
    bundle, dataset = Bundle.open(default_bundle_path()), load_synthetic(scenes / 'val')
    cache = scenes / 'cache'
    found = open_taught_split(bundle, dataset, cache, SLOTS, 16)
    exact = open_taught_split(bundle, dataset, cache, SLOTS, 16, scenes / 'val')
    scenes_true = [json.loads(line) for line in (scenes / 'val/scenes.jsonl').open()]
    assert exact.mask.any() and not (exact.mask & ~found.mask).any()
    for image, true in enumerate(scenes_true):
        boxes = exact.detections.boxes[image][exact.detections.mask[image]].tolist()
        assert all(box in [list(map(float, b)) for b in true['boxes']] for box in boxes)
        assert len({tuple(box) for box in boxes}) == len(boxes)
    assert set(exact.scores.unique().tolist()) <= {0.0, 1.0}
    same = torch.from_numpy(found.detections.boxes == exact.detections.boxes).all(-1)
    torch.testing.assert_close(exact.boxes[same], found.boxes[same])


def test_a_grid_runs_from_its_yaml_and_leaves_other_results_alone(scenes, tmp_path):
    (tmp_path / 'data').mkdir()
    for split, source in (('train', 'train'), ('test', 'val')):
        (tmp_path / 'data' / split).symlink_to(scenes / source)
    shipped, output = read_comparison(GRID), tmp_path / 'out.json'
    output.write_text('{"heads": {"other": 1}}')
    students = {name: replace(shipped.students[name], settings={
        **shipped.students[name].settings, **SMALL})
        for name in ('cl_hoi_noisy_exact_boxes',)}
    plan = replace(
        shipped, bundle=str(default_bundle_path()), data=str(tmp_path / 'data'),
        cache=str(scenes / 'cache'), runs=str(tmp_path / 'runs'), output=str(output),
        training=str(GRID.with_name('cl_hoi.yaml')), seeds=(3,), processes=1, limit=0, samples=4,
        batch_size=4, students=students)
    content = json.loads(compare(plan).read_text())
    assert content['heads'] == {'other': 1}
    assert set(content['cl_hoi']['heads']) == set(students)
    assert {run['cell']['seed'] for run in content['cl_hoi']['runs']} == {3}
    done = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob('result.json'))
    assert json.loads(compare(plan).read_text()) == content
    assert done == sorted(path.stat().st_mtime_ns for path in tmp_path.rglob('result.json'))


def test_a_grid_that_is_none_ends_in_a_sentence(tmp_path):
    assert main(['compare-cl-hoi', 'nowhere.yaml']) == 2
    (tmp_path / 'x.yaml').write_text('students: 3')
    with pytest.raises(HoiError, match='is not a comparison of CL-HOI'):
        read_comparison(tmp_path / 'x.yaml')
    assert Student().samples is None
