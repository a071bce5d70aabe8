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

"""The HICO-DET protocol against the official evaluator's results."""

import json

from hoi_perception.evaluation.triplet_map import BoxPairs, TripletMap
import numpy as np
import pytest
from shared_data import golden_case, golden_files, require_shared


def _object_of_hoi() -> np.ndarray:
    tables = json.loads(require_shared('methods/hico_tables.json').read_text())
    return np.array(tables['correspondence_hoi_obj_verb'])[:, 1]


@pytest.mark.parametrize('ties', [False, True], ids=['distinct scores', 'tied scores'])
@pytest.mark.parametrize('path', golden_files('hico_official/*.npz'))
def test_average_precision_equals_the_official_evaluator(path, ties):
    data = np.load(golden_case(path))
    suffix = '_ties' if ties else ''
    scores = data[f'det_score{suffix}']
    label, groups = data['image_label'], _object_of_hoi()
    evaluation = TripletMap(600, inclusive=True)
    for image in range(label.shape[1]):
        det, gt = data['det_image'] == image, data['gt_image'] == image
        present = np.unique(groups[label[:, image] == 1])
        evaluation.add(
            BoxPairs(data['det_box_h'][det] + 1, data['det_box_o'][det] + 1,
                     data['det_hoi'][det].astype(int), scores[det]),
            BoxPairs(data['gt_box_h'][gt], data['gt_box_o'][gt], data['gt_hoi'][gt].astype(int),
                     np.zeros(gt.sum())),
            known=np.isin(groups, present))
    default, known = evaluation.results(), evaluation.results(known_object=True)
    np.testing.assert_allclose(default.ap, data[f'ap_def{suffix}'], atol=1e-12)
    np.testing.assert_allclose(known.ap, data[f'ap_ko{suffix}'], atol=1e-12)
    if not ties:
        np.testing.assert_allclose(default.recall, data['rec_def'], atol=1e-12)
