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

"""Protocol `hico_official` against the MATLAB evaluator's results."""

import json

from hoi_perception.evaluation.hico_det import evaluate, HICO_OFFICIAL, known_object
from hoi_perception.evaluation.pairs import BoxPairs, edges_of_pixels
from hoi_perception.evaluation.results import DEFAULT, KNOWN_OBJECT, MapResult, Subsets
from hoi_perception.evaluation.streaming import HicoDetEvaluator
import numpy as np
import pytest
from shared_data import golden_case, golden_files, require_shared

SETTINGS = [('def', False), ('ko', True)]
FILES = golden_files('hico_official/*.npz')


def _pairs(data, kind: str, scores=None) -> BoxPairs:
    # Detections are counted from 0, ground truth from 1.
    shift = 1 if kind == 'det' else 0
    boxes = [edges_of_pixels(data[f'{kind}_box_{role}'] + shift) for role in 'ho']
    return BoxPairs(*boxes, data[f'{kind}_hoi'], scores, data[f'{kind}_image'])


def _known(data) -> np.ndarray:
    tables = json.loads(require_shared('methods/hico_tables.json').read_text())
    objects = np.array(tables['correspondence_hoi_obj_verb'])[:, 1]
    return known_object(data['image_label'], objects)


def _evaluate(data, known: bool, scores: str = 'det_score') -> MapResult:
    classes, images = data['image_label'].shape
    return evaluate(HICO_OFFICIAL, _pairs(data, 'det', data[scores]), _pairs(data, 'gt'), classes,
                    images, _known(data) if known else None,
                    subsets=Subsets(rare=np.flatnonzero(data['rare'])))


@pytest.mark.parametrize(('setting', 'known'), SETTINGS)
@pytest.mark.parametrize('path', FILES)
def test_average_precision_and_recall_equal_the_official_evaluator(path, setting, known):
    data = np.load(golden_case(path))
    result = _evaluate(data, known)
    np.testing.assert_allclose(result.ap, data[f'ap_{setting}'], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.recall, data[f'rec_{setting}'], rtol=0, atol=1e-12)


@pytest.mark.parametrize(('setting', 'known'), SETTINGS)
@pytest.mark.parametrize('path', FILES)
def test_tied_scores_keep_the_order_of_images(path, setting, known):
    data = np.load(golden_case(path))
    np.testing.assert_allclose(_evaluate(data, known, 'det_score_ties').ap,
                               data[f'ap_{setting}_ties'], rtol=0, atol=1e-12)


@pytest.mark.parametrize(('setting', 'known'), SETTINGS)
@pytest.mark.parametrize('path', FILES)
def test_means_equal_the_official_report(path, setting, known):
    result = _evaluate(np.load(golden_case(path)), known)
    means = json.loads(path.with_suffix('.json').read_text())
    for name in ('full', 'rare', 'non_rare'):
        assert getattr(result, name) == pytest.approx(means[f'{setting}_{name}'], abs=1e-12)


@pytest.mark.parametrize('path', FILES)
def test_one_image_at_a_time_gives_the_same(path):
    data = np.load(golden_case(path))
    known, truth = _known(data), _pairs(data, 'gt')
    # The stream keeps scores in single precision, where some might come to tie.
    detections = _pairs(data, 'det', data['det_score'].astype(np.float32))
    evaluator = HicoDetEvaluator(HICO_OFFICIAL, len(data['image_label']))
    for image in range(data['image_label'].shape[1]):
        evaluator.add(detections.take(detections.images == image),
                      truth.take(truth.images == image), known[image])
    for setting, where in ((DEFAULT, None), (KNOWN_OBJECT, known)):
        expected = evaluate(HICO_OFFICIAL, detections, truth, evaluator.classes, len(evaluator),
                            where)
        np.testing.assert_array_equal(evaluator.result(setting).ap, expected.ap)
