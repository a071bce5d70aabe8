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

"""Protocol `lain` against the results of LAIN's own evaluation."""

import json

from hoi_perception.evaluation.hico_det import evaluate, LAIN
from hoi_perception.evaluation.pairs import BoxPairs
from hoi_perception.evaluation.results import MapResult, Subsets
from hoi_perception.evaluation.streaming import HicoDetEvaluator
import numpy as np
import pytest
from shared_data import golden_case, golden_files, require_shared

FILES = golden_files('hico_eval/*.npz')


def _pairs(data, kind: str) -> BoxPairs:
    return BoxPairs(data[f'{kind}_box_h'], data[f'{kind}_box_o'], data[f'{kind}_hoi'],
                    data['det_score'] if kind == 'det' else None, data[f'{kind}_image'])


def _evaluate(data, unseen=None, split='') -> MapResult:
    return evaluate(LAIN, _pairs(data, 'det'), _pairs(data, 'gt'), len(data['ap']),
                    len(data['image_json_index']), positives=data['num_gt'],
                    subsets=Subsets(np.flatnonzero(data['rare']), unseen, split))


@pytest.mark.parametrize('path', FILES)
def test_average_precision_equals_the_official_evaluation(path):
    data = np.load(golden_case(path))
    result = _evaluate(data)
    np.testing.assert_allclose(result.ap, data['ap'], rtol=0, atol=1e-12)
    # Without ground truth the official code divides 0 by 0 to 0; here recall is NaN.
    np.testing.assert_allclose(np.nan_to_num(result.recall), data['max_rec'], rtol=0, atol=1e-12)


@pytest.mark.parametrize('path', FILES)
def test_means_equal_the_official_ones(path):
    data = np.load(golden_case(path))
    means = json.loads(path.with_suffix('.json').read_text())
    result = _evaluate(data)
    for name in ('full', 'rare', 'non_rare'):
        assert getattr(result, name) == pytest.approx(means[name], abs=1e-12)
    unseen = json.loads(require_shared('data/lists/hico_lists.json').read_text())['unseen']
    for split in (name for name in unseen if f'{name}.unseen' in means):
        result = _evaluate(data, np.array(unseen[split]), split)
        assert result.unseen == pytest.approx(means[f'{split}.unseen'], abs=1e-12)
        assert result.seen == pytest.approx(means[f'{split}.seen'], abs=1e-12)


@pytest.mark.parametrize('path', FILES)
def test_one_image_at_a_time_gives_the_same(path):
    data = np.load(golden_case(path))
    detections, truth = _pairs(data, 'det'), _pairs(data, 'gt')
    evaluator = HicoDetEvaluator(LAIN, len(data['ap']))
    for image in range(len(data['image_json_index'])):
        evaluator.add(detections.take(detections.images == image),
                      truth.take(truth.images == image))
    expected = evaluate(LAIN, detections, truth, len(data['ap']), len(evaluator))
    np.testing.assert_array_equal(evaluator.result().ap, expected.ap)
