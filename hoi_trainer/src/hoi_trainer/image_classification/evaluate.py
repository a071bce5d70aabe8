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

"""Image-level figures of a trained classifier: all classes, few-shot ones, known object."""

from pathlib import Path
from typing import Any, Dict, Optional

from hoi_perception.evaluation.hico_classification import evaluate_labels, few_shot
from hoi_perception.runtime.bundle import Bundle
from hoi_trainer.image_classification.data_module import ImageSplit
from hoi_trainer.image_classification.labels import open_labelled
from hoi_trainer.image_classification.network import ImageClassifier, read_classifier
import numpy as np
import torch

FEW = (1, 5, 10)
"""Training images that a class of each few-shot subset has at most, as HICO's are named."""


@torch.inference_mode()
def image_logits(network: ImageClassifier, split: ImageSplit, batch_size: int = 64) -> np.ndarray:
    """Return the (N, C) float32 logits of a whole split."""
    index = torch.arange(len(split.labels))
    return torch.cat([network(split.rows(part).float() / 255)
                      for part in index.split(batch_size)]).numpy()


def classification_report(logits: np.ndarray, labels: np.ndarray, train_labels: np.ndarray,
                          few: tuple = FEW) -> Dict[str, Any]:
    """
    Return mAP over all, known-object and few-shot classes, and AP per class.

    train_labels: of the images that were trained on; few-shot subsets are counted there.
    """
    found = evaluate_labels(logits, labels)
    known = evaluate_labels(logits, labels, known_object=True)
    report: Dict[str, Any] = {
        'protocol': found.protocol, 'images': found.images,
        'classes': int((found.positives > 0).sum()), 'full': found.mean(),
        'known_object': known.mean()}
    for most in few:
        chosen = few_shot(train_labels, most)
        report[f'few@{most}'] = found.mean(chosen)
        report[f'few@{most}_classes'] = int((found.positives[chosen] > 0).sum())
    report['per_class'] = np.where(found.positives > 0, found.ap, np.nan).round(5).tolist()
    return report


def evaluate_classifier(weights: Path, bundle: Path, test: Path, train: Path, cache: Path,
                        limit: Optional[int] = None,
                        images: Optional[Path] = None) -> Dict[str, Any]:
    """
    Return the report of what `hoi-trainer fit` wrote, without the list per class.

    train: for the few-shot subsets; limit: images of it that were used.
    """
    opened = Bundle.open(bundle)
    trained = read_classifier(weights, opened)
    split = ImageSplit(opened, open_labelled(test, None, images, 'test'), cache,
                       trained.backbone.image_size)
    seen = open_labelled(train, limit, images, 'train').labels
    report = classification_report(image_logits(trained.network, split), split.labels, seen)
    del report['per_class']
    return report
