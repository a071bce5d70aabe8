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

"""
The paper's argument on a designed scene: people in one place whose actions differ in pixels only.

Everybody has the same box, the same object's box and the same detector query; a bright hand is on
the object or away from it. No token knows which before the image is looked at.
"""

from bundles import CLIP_CONFIG
from hoi_perception.networks.clip import build_clip, ClipTrunk
from hoi_perception.networks.lain import LainInputs
from hoi_perception.networks.rmlr import Rmlr, RmlrConfig
from hoi_trainer.distillation.captured import captured
from hoi_trainer.distillation.module import RmlrModule
from hoi_trainer.distillation.tokens import DETECTOR, TokenSimilarity
from hoi_trainer.interaction.data import HeadBatch
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

COUNT, QUERY = 8, 8
PERSON, THING = [8.0, 8, 40, 60], [32.0, 24, 56, 44]
HANDS = ((36, 28), (12, 44))
"""Left upper corner of the hand: on the object, and away from it."""
STEPS, SIZE = 80, 14


class Rows:
    verb_of_row = torch.tensor([0, 1])


def scene() -> HeadBatch:
    """Return images in which every other person touches the object."""
    torch.manual_seed(3)
    images = 0.1 * torch.randn(COUNT, 3, 64, 64)
    for image, (x, y) in zip(images, HANDS * (COUNT // 2)):
        image[:, y:y + SIZE, x:x + SIZE] += 3.0
    ones = torch.ones(COUNT, 1, dtype=torch.bool)
    queries = torch.randn(1, 2, QUERY).expand(COUNT, -1, -1)
    inputs = LainInputs(
        images, torch.tensor([PERSON, THING]).expand(COUNT, 2, 4), torch.ones(COUNT, 2),
        torch.zeros(COUNT, 2, dtype=torch.long), torch.ones(COUNT, 2, dtype=torch.bool), queries,
        torch.zeros(COUNT, 1, dtype=torch.long), torch.ones(COUNT, 1, dtype=torch.long), ones,
        torch.zeros(1, 16))
    labels = torch.eye(2).repeat(COUNT // 2, 1)[:, None]
    return HeadBatch(inputs, labels, labels > -1, torch.ones(COUNT, 1), torch.arange(COUNT))


def trained(looks: bool, batch: HeadBatch):
    """Return the similarities of tokens after training, and the logits."""
    torch.manual_seed(0)
    trunk = ClipTrunk(build_clip(CLIP_CONFIG).visual).requires_grad_(False).eval()
    head = Rmlr(trunk, RmlrConfig(width=16, query_dim=QUERY, heads=2, ffn=32, dropout=0.0,
                                  looks=looks))
    text, optimizer = torch.eye(2, 16), torch.optim.Adam(head.parameters(), lr=3e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = head.logit_scale.exp() * head(batch.inputs) @ text.T
        binary_cross_entropy_with_logits(logits, batch.labels).backward()
        optimizer.step()
    similarity = TokenSimilarity(Rows())
    with torch.inference_mode(), captured(head, RmlrModule.observed) as tokens:
        logits = head.logit_scale.exp() * head(batch.inputs) @ text.T
        similarity.add(batch, tokens)
    return similarity.report(), logits


@pytest.fixture(name='batch', scope='module')
def _batch():
    return scene()


def test_re_mining_takes_people_in_one_place_apart_by_what_they_do(batch):
    report, logits = trained(True, batch)
    different = {name: groups['different'].cosine for name, groups in report.items()}
    for name in (DETECTOR, 'pair'):  # the same token, whatever they do
        assert different[name] == pytest.approx(1.0, abs=1e-5)
    assert different['remined'] < different['pair'] - 0.1
    assert report['remined']['same'].cosine > different['remined'] + 0.1
    assert report['remined']['different'].count == (COUNT // 2) ** 2
    assert (logits.argmax(-1) == batch.labels.argmax(-1)).all()


def test_without_looking_at_the_image_re_mining_cannot_tell_them_apart(batch):
    report, _ = trained(False, batch)
    for group in ('different', 'same'):
        assert report['remined'][group].cosine == pytest.approx(1.0, abs=1e-5)
