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

"""V-COCO agent and role AP against the official evaluator's results."""

import json

from hoi_perception.evaluation.vcoco import evaluate, VcocoDetections, VcocoResult
from hoi_perception.evaluation.vcoco_truth import truth_from_json, VcocoTruth
import numpy as np
import pytest
from shared_data import golden_case, golden_files

FILES = golden_files('vcoco_eval/*.npz')
ARRAYS = [('image_ids', 'image_id'), ('images', 'gt_image'), ('boxes', 'gt_box'),
          ('labels', 'gt_actions'), ('role_rows', 'gt_role_row')]


def _truth_of_arrays(path) -> VcocoTruth:
    data, names = np.load(path), json.loads(path.with_suffix('.json').read_text())
    return VcocoTruth(tuple(names['actions']), tuple(tuple(r[1:]) for r in names['roles']),
                      person=data['gt_class'] == 1, **{ours: data[key] for ours, key in ARRAYS})


def _truth_of_files(path) -> VcocoTruth:
    coco, vcoco = (json.loads(path.with_name(f'{path.stem}_{part}.json').read_text())
                   for part in ('coco', 'vcoco'))
    ids = path.with_name(f'{path.stem}_ids.txt').read_text().split()
    return truth_from_json(coco, vcoco, [int(image) for image in ids])


def _evaluate(path, truth) -> VcocoResult:
    data = np.load(path)
    return evaluate(VcocoDetections.from_dense(
        data['det_image'], data['det_person_box'], data['det_agent_score'], data['det_role']),
        truth)


@pytest.mark.parametrize('path', FILES)
def test_original_files_become_the_official_ground_truth(path):
    data, truth = np.load(golden_case(path)), _truth_of_files(path)
    for ours, key in ARRAYS:
        np.testing.assert_array_equal(getattr(truth, ours), data[key], err_msg=ours)
    np.testing.assert_array_equal(truth.person, data['gt_class'] == 1)
    names = json.loads(path.with_suffix('.json').read_text())
    assert list(truth.actions) == names['actions']
    assert [['agent', *roles] for roles in truth.roles] == names['roles']


@pytest.mark.parametrize('truth', [_truth_of_arrays, _truth_of_files], ids=['arrays', 'files'])
@pytest.mark.parametrize('path', FILES)
def test_average_precision_equals_the_official_evaluator(path, truth):
    data = np.load(golden_case(path))
    result = _evaluate(path, truth(path))
    np.testing.assert_array_equal(result.positives, data['npos'])
    np.testing.assert_allclose(result.agent, data['agent_ap'], rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.role[0], data['role_ap_s1'], rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.role[1], data['role_ap_s2'], rtol=0, atol=1e-6)


@pytest.mark.parametrize('path', FILES)
def test_means_over_25_and_24_roles_equal_the_official_ones(path):
    result = _evaluate(golden_case(path), _truth_of_arrays(path))
    means = json.loads(path.with_suffix('.json').read_text())['means_percent']
    assert 100 * result.agent_mean == pytest.approx(means['agent_26'], abs=1e-4)
    for scenario in (1, 2):
        for point, name in ((True, '25'), (False, '24_without_point')):
            assert 100 * result.role_mean(scenario, point) == pytest.approx(
                means[f'role_s{scenario}_{name}'], abs=1e-4)
    assert (result.role_count(True), result.role_count()) == (25, 24)


@pytest.mark.parametrize('path', FILES)
def test_one_image_at_a_time_gives_the_same(path):
    data, truth = np.load(golden_case(path)), _truth_of_arrays(path)
    names = ('det_image', 'det_person_box', 'det_agent_score', 'det_role')
    parts = [VcocoDetections.from_dense(*(data[name][data['det_image'] == image]
                                          for name in names))
             for image in range(len(data['image_id']))]
    streamed = evaluate(VcocoDetections.concatenate(parts), truth)
    np.testing.assert_array_equal(streamed.agent, _evaluate(path, truth).agent)
    np.testing.assert_array_equal(streamed.role, _evaluate(path, truth).role)
