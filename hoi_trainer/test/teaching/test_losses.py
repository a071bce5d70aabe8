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

"""The losses against literal sums, soft labels by hand, and two processes against one."""

import json
import math
import os
from pathlib import Path
import subprocess
import sys

from hoi_perception.evaluation.datasets import names as names_module
from hoi_trainer.interaction.losses import focal_elements, prior_fused_focal_loss
from hoi_trainer.teaching.gathering import gathered
from hoi_trainer.teaching.losses import (
    Batch,
    best_match,
    context_loss,
    image_to_text_loss,
    relation_loss,
    soft_focal_elements,
    text_to_image_loss,
)
from hoi_trainer.teaching.soft_labels import boxed_labels, soft_labels
from hoi_trainer.teaching.text import PhraseTable, Taught
from hoi_trainer.teaching.verb_dictionary import VERBS
from hoi_trainer.teaching.words import gerund, normal_verb
import pytest
import torch
from torch import distributed, nn
from torch.nn.functional import binary_cross_entropy, normalize
from torch.nn.parallel import DistributedDataParallel

B, P, K, V, CLASSES, D, C, L = 4, 5, 3, 7, 3, 6, 4, 5
SCALE = torch.tensor(10.0)
NOTHING = float('nan')


def unit(*shape):
    return normalize(torch.randn(*shape), dim=-1)


@pytest.fixture(name='table')
def _table():
    torch.manual_seed(0)
    return PhraseTable(unit(V, CLASSES + 1, D), unit(CLASSES + 1, D), unit(4, D),
                       torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]]).bool(), SCALE)


@pytest.fixture(name='batch')
def _batch():
    """Images 0 and 3 share a verb and their caption; image 2 was not spoken of."""
    torch.manual_seed(1)
    mask = torch.rand(B, P) < 0.8
    mask[:, 0] = True
    verbs = torch.tensor([[0, 1, -1], [2, -1, -1], [-1, -1, -1], [0, 3, 3]])
    word_mask = torch.arange(L) < torch.tensor([[3], [5], [0], [3]])
    labels = torch.where(torch.rand(B, P, K) < 0.4, torch.rand(B, P, K), 0.0)
    labels = labels * (verbs >= 0)[:, None] * mask[..., None]
    words = unit(B, L, D)
    words[3] = words[0]
    return Batch(unit(B, P, D), torch.randn(B, C, D), mask, torch.rand(B, P) * mask,
                 torch.randint(0, CLASSES, (B, P)), labels, verbs,
                 torch.randint(0, CLASSES + 1, (B, K)),
                 torch.tensor([[4, 5], [5, 6], [4, 6], [6, 5]]), torch.tensor([0, 1, -1, 0]),
                 words, word_mask)


def nce(positive, others):
    return math.log(1 + sum(math.exp(other - positive) for other in others))


def test_the_best_of_few_is_a_maximum_and_of_many_a_softmax_mean():
    torch.manual_seed(0)
    few, many = torch.rand(3, 8), torch.rand(3, 9)
    assert torch.equal(best_match(few), few.amax(-1))
    mask = torch.arange(9) < 4
    weights = (many[:, :4] / 0.07).softmax(-1)
    torch.testing.assert_close(best_match(many, mask.expand(3, 9)),
                               (weights * many[:, :4]).sum(-1))


def test_the_context_loss_is_the_sum_written_out(batch):
    context = normalize(batch.context, dim=-1)

    def similarity(a, b):
        words = batch.words[b][batch.word_mask[b]]
        cosines = context[a] @ words.T
        return 10 * cosines.amax(1).mean().item(), 10 * cosines.amax(0).mean().item()
    total = 0.0
    for b in (0, 1, 3):
        # Image 3 repeats the caption of image 0: never its rival, and counted once.
        rivals = {0: [1], 1: [0], 3: [1]}[b], {0: [1], 1: [0, 3], 3: [1]}[b]
        total += nce(similarity(b, b)[0], [similarity(b, j)[0] for j in rivals[0]]) / 2
        total += nce(similarity(b, b)[1], [similarity(j, b)[1] for j in rivals[1]]) / 2
    assert context_loss(batch, SCALE).item() == pytest.approx(total / 3, rel=1e-5)


def test_the_image_to_text_loss_is_the_sum_written_out(batch, table):
    heard, total = {0, 1, 2, 3, 4, 5, 6}, 0.0
    for b in (0, 1, 3):
        mean = normalize(batch.features[b][batch.mask[b]].mean(0), dim=-1)
        said = [(int(v), int(o)) for v, o in zip(batch.verbs[b], batch.columns[b]) if v >= 0]
        own = {verb for verb, _ in said}

        def logit(verb, column):
            return 10 * float(mean @ table.phrases[verb, column])
        total += sum(nce(logit(v, o), [logit(u, o) for u in heard - own])
                     for v, o in said) / len(said)
    assert image_to_text_loss(batch, table, SCALE).item() == pytest.approx(total / 3, rel=1e-5)


def test_the_text_to_image_loss_is_the_sum_written_out(batch, table):
    def best(text, j):
        return 10 * (batch.features[j][batch.mask[j]] @ text).amax().item()
    positive, negative = [], []
    for b in (0, 1, 3):
        for verb, column in zip(batch.verbs[b].tolist(), batch.columns[b].tolist()):
            if verb >= 0:
                text = table.phrases[verb, column]
                rivals = [j for j in range(B) if j != b and verb not in batch.verbs[j].tolist()]
                positive.append(nce(best(text, b), [best(text, j) for j in rivals]))
        for verb in batch.negatives[b].tolist():
            found = best(table.phrases[verb, batch.columns[b, 0]], b)
            negative.append(-math.log(1 - 1 / (1 + math.exp(-found))))
    expected = sum(positive) / len(positive) + sum(negative) / len(negative)
    assert text_to_image_loss(batch, table, SCALE).item() == pytest.approx(expected, rel=1e-4)


def test_the_relation_loss_asks_every_pair_about_every_verb_heard(batch, table):
    logits, labels = torch.zeros(B, P, V), torch.zeros(B, P, V)
    for b in range(B):
        for p in range(P):
            for v in range(V):
                text = table.phrases[v, batch.classes[b, p]]
                logits[b, p, v] = 10 * batch.features[b, p] @ text
            for k, v in enumerate(batch.verbs[b].tolist()):
                if v >= 0:
                    labels[b, p, v] = max(labels[b, p, v], batch.labels[b, p, k])
    valid = batch.mask[..., None].expand_as(labels)
    score = (logits.sigmoid() * batch.prior[..., None]).clamp(1e-8)
    elements = (0.5 * ((labels - score).abs() + 1e-6) ** 0.2
                * binary_cross_entropy(score, labels, reduction='none'))
    expected = elements[valid].sum() / labels[valid].sum().clamp(min=1)
    torch.testing.assert_close(relation_loss(batch, table, SCALE), expected, rtol=1e-3, atol=1e-4)
    hard = batch._replace(labels=(batch.labels > 0).float())
    torch.testing.assert_close(
        relation_loss(hard, table, SCALE),
        prior_fused_focal_loss(logits, batch.prior[..., None], (labels > 0).float(), valid))


def test_the_soft_focal_loss_of_hard_labels_is_the_focal_loss_and_is_least_at_the_label():
    logits, hard = torch.randn(20), (torch.rand(20) < 0.5).float()
    torch.testing.assert_close(soft_focal_elements(logits, hard), focal_elements(logits, hard))
    grid = torch.linspace(-6, 6, 241)
    for label in (0.25, 0.5, 0.75):
        values = soft_focal_elements(grid, torch.full_like(grid, label))
        assert grid[values.argmin()].sigmoid().item() == pytest.approx(label, abs=0.02)


LOSSES = {'context': lambda batch, table: context_loss(batch, SCALE),
          'image': lambda batch, table: image_to_text_loss(batch, table, SCALE),
          'text': lambda batch, table: text_to_image_loss(batch, table, SCALE),
          'relation': lambda batch, table: relation_loss(batch, table, SCALE)}


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('case', ['nothing said', 'no pairs', 'no detections'])
def test_batches_without_words_or_pairs_are_finite(name, case, batch, table):
    if case == 'nothing said':
        batch = batch._replace(verbs=torch.full_like(batch.verbs, -1),
                               caption=torch.full_like(batch.caption, -1),
                               labels=torch.zeros_like(batch.labels))
    else:
        batch = batch._replace(mask=torch.zeros_like(batch.mask),
                               prior=torch.zeros_like(batch.prior))
    features = batch.features.clone().requires_grad_()
    loss = LOSSES[name](batch._replace(features=features), table) + 0 * features.sum()
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(features.grad).all()
    if case == 'nothing said' and name != 'relation':
        assert loss == 0


@pytest.mark.parametrize('name', LOSSES)
def test_steps_against_the_gradient_lower_each_loss(name, batch, table):
    features = nn.Parameter(batch.features.clone())
    context = nn.Parameter(batch.context.clone())
    optimizer = torch.optim.SGD([features, context], 0.2)
    values = []
    for _ in range(20):
        given = batch._replace(features=normalize(features, dim=-1), context=context)
        loss = LOSSES[name](given, table)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.9 * values[0]


def test_pairs_with_another_object_or_a_weaker_look_get_no_label(table):
    """Image 0: phrase 0 is seen in pair 1 of class 0; pair 0 is idle, pair 2 has class 1."""
    phrase, idle = table.phrases[0, 0], table.background[0]
    crops = torch.stack([idle, phrase, phrase, normalize(phrase + 0.05 * idle, dim=-1)])[None]
    taught = _taught([[0, -1]], [[0, 0]], [[0, 0]])
    mask = torch.tensor([[True] * 4])
    labels = soft_labels(crops, torch.tensor([[0, 0, 1, 0]]), mask, taught, table)
    assert labels.shape == (1, 4, 2) and not labels[..., 1].any()
    first, second, third, fourth = labels[0, :, 0].tolist()
    assert (first, second, third) == (0, 1, 0) and 0.5 <= fourth <= 1
    hidden = soft_labels(crops, torch.tensor([[0, 0, 1, 0]]), mask & torch.tensor([1, 0, 1, 1])
                         .bool(), taught, table)
    assert hidden[0, 1, 0] == 0 and hidden[0, 3, 0] == 1


def test_an_object_that_no_box_has_leaves_the_pair_that_stands_out(table):
    phrase = table.phrases[0, CLASSES]
    crops = torch.stack([phrase, table.background[0], -phrase])[None]
    taught = _taught([[0]], [[CLASSES]], [[3]])
    labels = soft_labels(crops, torch.tensor([[0, 1, 2]]), torch.ones(1, 3).bool(), taught, table)
    assert labels[0, :, 0].tolist() == [1, 0, 0]
    alike = soft_labels(phrase.expand(1, 3, D), torch.tensor([[0, 1, 2]]),
                        torch.ones(1, 3).bool(), taught, table)
    assert not alike.any(), 'no pair stands out'


def test_labels_carry_the_confidence_of_the_teacher_and_boxes_take_their_place(table):
    phrase = table.phrases[0, 0]
    crops = torch.stack([table.background[0], phrase])[None]
    classes, mask = torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2).bool()
    taught = _taught([[0]], [[0]], [[0]], confidence=0.5)
    assert soft_labels(crops, classes, mask, taught, table)[0, :, 0].tolist() == [0, 0.5]
    humans = torch.tensor([[[0., 0, 10, 10], [20, 0, 30, 10]]])
    things = humans + 5
    assert not boxed_labels(humans, things, mask, taught).any()
    placed = taught._replace(humans=humans[:, :1] + 1, objects=things[:, :1])
    assert boxed_labels(humans, things, mask, placed)[0, :, 0].tolist() == [0.5, 0]
    assert not soft_labels(crops, classes, mask, placed, table).any()


def _taught(verbs, columns, things, confidence=1.0):
    verbs = torch.tensor(verbs)
    boxes = torch.full((*verbs.shape, 4), NOTHING)
    return Taught(verbs, torch.tensor(columns), torch.tensor(things),
                  torch.full(verbs.shape, confidence), boxes, boxes, verbs, verbs, verbs, verbs)


def test_no_verb_of_the_dictionary_is_one_of_hico_det_or_v_coco():
    known = set()
    for name in ('hico_det_names.json', 'vcoco_names.json'):
        found = json.loads((Path(names_module.__file__).parent / name).read_text())
        known |= {normal_verb(phrase).split()[0] for phrase in found['phrases'] if phrase != 'and'}
    assert not known & set(VERBS) and len(VERBS) == len(set(VERBS))
    assert all(normal_verb(gerund(verb)) == verb == normal_verb(verb) for verb in VERBS)


class Student(nn.Module):
    """Weights between the inputs and the losses, so that gradients can be compared."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.features, self.context = nn.Linear(D, D), nn.Linear(D, D)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, batch, table):
        whole = gathered(batch._replace(
            features=normalize(self.features(batch.features), dim=-1),
            context=self.context(batch.context)))
        scale = self.scale.exp()
        return (context_loss(whole, scale) + image_to_text_loss(whole, table, scale)
                + text_to_image_loss(whole, table, scale) + relation_loss(whole, table, scale))


def process(rank, directory):
    """Compute loss and gradients of half of the images; see the test below."""
    batch, table = torch.load(f'{directory}/given.pt', weights_only=False)
    batch, table = Batch(*batch), PhraseTable(*table)
    distributed.init_process_group('gloo', init_method=f'file://{directory}/meeting', rank=rank,
                                   world_size=2)
    torch.set_num_threads(1)
    part = Batch(*(values[2 * rank:2 * rank + 2] for values in batch))
    student = DistributedDataParallel(Student())
    loss = student(part, table)
    loss.backward()
    torch.save((loss.item(), [value.grad for value in student.parameters()]),
               f'{directory}/{rank}.pt')
    distributed.destroy_process_group()


RUN = """
import runpy, sys
runpy.run_path(sys.argv[1])['process'](int(sys.argv[2]), sys.argv[3])
"""


def test_two_processes_get_the_loss_and_the_gradients_of_one(batch, table, tmp_path):
    torch.save((tuple(batch), tuple(table)), tmp_path / 'given.pt')
    runs = [subprocess.Popen([sys.executable, '-c', RUN, __file__, str(rank), str(tmp_path)],
                             env={**os.environ, 'OMP_NUM_THREADS': '1'}) for rank in (0, 1)]
    assert [run.wait() for run in runs] == [0, 0]
    student = Student()
    expected = student(batch, table)
    expected.backward()
    for rank in (0, 1):
        loss, gradients = torch.load(tmp_path / f'{rank}.pt', weights_only=True)
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        for found, (name, value) in zip(gradients, student.named_parameters()):
            torch.testing.assert_close(found, value.grad, atol=1e-5, rtol=1e-4, msg=name)
