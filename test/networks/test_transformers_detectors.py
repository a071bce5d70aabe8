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

"""Adapters against the post-processing of transformers itself."""

from hoi_perception.networks.transformers_detectors import architecture_class, TransformersDetector
import pytest
from random_models import CONFIGS, random_detector
import torch
import transformers

PROCESSORS = {'DetrForObjectDetection': 'DetrImageProcessor',
              'RTDetrV2ForObjectDetection': 'RTDetrImageProcessor',
              'DFineForObjectDetection': 'RTDetrImageProcessor'}


def _reference(architecture, output):
    processor = getattr(transformers, PROCESSORS[architecture])()
    return processor.post_process_object_detection(output, threshold=0.0)[0]


@pytest.mark.parametrize('architecture', PROCESSORS)
def test_scores_boxes_and_labels_are_those_of_transformers(architecture):
    model, images = random_detector(architecture), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        found = TransformersDetector(model, top_k=12)(images)
        reference = _reference(architecture, model(images))
    order = reference['scores'].argsort(descending=True, stable=True)
    torch.testing.assert_close(found.scores[0], reference['scores'][order])
    # Random weights tie scores; compare as sets of (score, label, box).
    ours = torch.cat([found.scores[0][:, None], found.labels[0][:, None], found.boxes[0]], 1)
    theirs = torch.cat([reference['scores'][:, None], reference['labels'][:, None],
                        reference['boxes'].clamp(0, 1)], 1)
    assert torch.cdist(ours.double(), theirs.double()).min(1).values.max() < 1e-4


@pytest.mark.parametrize('architecture', CONFIGS)
def test_every_architecture_returns_sorted_fixed_shapes(architecture):
    detector = TransformersDetector(random_detector(architecture), top_k=5)
    with torch.no_grad():
        found = detector(torch.rand(2, 3, 64, 64))
    assert found.boxes.shape == (2, 5, 4)
    assert found.queries.shape == (2, 5, 16)
    assert (found.scores.diff(dim=1) <= 0).all()
    assert ((found.boxes >= 0) & (found.boxes <= 1)).all()
    assert ((found.labels >= 0) & (found.labels < 4)).all()


def test_mask_logits_are_those_of_the_segmenter():
    model, images = random_detector('RfDetrForInstanceSegmentation'), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        found, output = TransformersDetector(model, top_k=12)(images), model(images)
    logits = torch.einsum('bkm,bmhw->bkhw', found.coefficients, found.prototypes)
    index = output.logits.sigmoid().flatten(1).topk(12).indices // output.logits.shape[-1]
    torch.testing.assert_close(logits[0], output.pred_masks[0][index[0]])


@pytest.mark.parametrize('name', ['BertModel', '', 'NoSuchThing', 'AutoModel'])
def test_other_classes_are_refused(name):
    with pytest.raises(ValueError, match='it knows DetrForObjectDetection'):
        architecture_class(name)
