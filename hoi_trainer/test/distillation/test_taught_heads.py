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

"""Heads taught by text: training from the shipped YAML, and what is left of text afterwards."""

import csv

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_perception.runtime.heads import HEADS as RUNTIME_HEADS
from hoi_perception.runtime.loading import load_clip
from hoi_perception.runtime.pair_batch import PairBatch
from hoi_trainer.cli import main
from hoi_trainer.distillation.captured import captured
from hoi_trainer.distillation.cell import measure_tokens, plain
from hoi_trainer.distillation.module import RmlrModule, TaughtLainModule, Teaching
from hoi_trainer.distillation.phrases import Phrases
from hoi_trainer.interaction.export import read_head
from hoi_trainer.interaction.rows import prompt_rows
from hoi_trainer.interaction.scores import network_scores, trained_network
from hoi_trainer.training.weights import read_weights
import pytest
import torch

BUNDLE = str(default_bundle_path())
RMLR = {'width': 16, 'heads': 2, 'ffn': 32, 'dropout': 0.0}
LAIN = {'adapter_dim': 8, 'hidden': 16, 'context_queries': 2, 'dropout': False}
HEADS = {'rmlr': (RmlrModule, RMLR), 'lain': (TaughtLainModule, LAIN)}


def _module(head='rmlr', **teaching):
    kind, settings = HEADS[head]
    torch.manual_seed(0)
    module = kind(BUNDLE, teaching=Teaching(**teaching), **settings)
    module._rise = lambda: 1.0  # as after the warm-up; there is no trainer here
    module.log_dict = lambda values: None
    return module


def _losses(module, batch):
    """Return the head's logits and its loss from text on a batch."""
    with captured(module.network, module.observed) as tokens:
        logits = module.logits(batch, module.training_rows)
    return logits, module.text_loss(batch, tokens, torch.tensor(100.0))


@pytest.mark.parametrize('head', HEADS)
def test_text_teaches_every_weight_of_the_head_and_nothing_else(head, batch):
    module = _module(head)
    logits, loss = _losses(module.train(), batch(module.rows))
    (loss + 0.0 * logits.sum()).backward()
    assert loss > 0
    taught = {name for name, value in module.named_parameters()
              if value.grad is not None and value.grad.abs().sum() > 0}
    assert 'distillation.heads.0.weight' in taught and len(taught) > 10
    assert not any(part.requires_grad for part in module.table)
    assert all(value.grad is None for value in module._frozen[0].parameters())
    assert not [name for name in module.state_dict() if name.startswith(('table', '_frozen'))]


@pytest.mark.parametrize('head', HEADS)
def test_text_has_no_influence_on_what_is_evaluated(head, batch):
    module = _module(head).eval()
    given = batch(module.rows)
    with torch.inference_mode():
        expected = module.logits(given, module.rows)
        module.table = Phrases(*(torch.rand_like(part) if part.is_floating_point()
                                 else part.flip(0) for part in module.table))
        for value in module.distillation.parameters():
            value.mul_(-3)
        assert torch.equal(module.logits(given, module.rows), expected)
        module.distillation = module.table = None
        assert torch.equal(module.logits(given, module.rows), expected)
        without = _module(head, level='none').eval()
        assert torch.equal(without.logits(given, without.rows), expected)


def test_text_losses_are_cut_to_a_part_of_the_focal_loss_and_rise_from_nothing(batch):
    module = _module()
    given = batch(module.rows)
    with captured(module.network, module.observed) as tokens:
        module.logits(given, module.rows)

    def loss(focal):
        torch.manual_seed(0)
        return module.text_loss(given, tokens, torch.tensor(focal)).item()
    whole = loss(1e3)
    assert loss(whole) == pytest.approx(0.5 * whole) and loss(2.1 * whole) == whole
    module._rise = lambda: 0.25
    assert loss(1e3) == pytest.approx(0.25 * whole)


def test_weights_of_zero_leave_the_loss_and_the_gradients_of_the_head_alone(batch):
    """Unit check 1 of the specification, beside the baseline written out in test_rmlr.py."""
    module = _module(sentence_weight=0.0, word_weight=0.0)
    logits, loss = _losses(module, batch(module.rows))
    assert loss == 0
    loss.backward()
    assert not [name for name, value in module.named_parameters()
                if value.grad is not None and value.grad.any()]


@pytest.mark.parametrize('level, heads', [('none', 0), ('sentence', 2), ('word', 2), ('both', 2)])
def test_levels_switch_the_losses(level, heads, batch):
    module = _module(level=level)
    if not heads:
        assert module.distillation is None
        return
    assert len(module.distillation.heads) == heads
    assert (module.distillation.sentence, module.distillation.word) == (
        level in ('sentence', 'both'), level in ('word', 'both'))
    assert _losses(module, batch(module.rows))[1] > 0


def test_a_bert_teaches_as_clip_does(bert, batch):
    module = _module(text=str(bert))
    assert module.distillation.heads[0].out_features == 24
    logits, loss = _losses(module, batch(module.rows))
    assert loss > 0 and logits.shape[-1] == len(module.rows.embeddings)
    loss.backward()
    assert module.network.pair.layers[0].weight.grad.abs().sum() > 0


def test_images_without_annotated_pairs_add_nothing(batch):
    module = _module()
    given = batch(module.rows)
    given = given._replace(labels=torch.zeros_like(given.labels))
    logits, loss = _losses(module, given)
    assert loss == 0 and torch.isfinite(logits).all()


@pytest.mark.parametrize('change, words', [
    ({'level': 'letter'}, 'one of none, sentence, word, both'), ({'phrases': 0}, 'at least one'),
    ({'temperature': 0.0}, 'above 0'), ({'text': 'nowhere'}, 'is no directory')])
def test_what_cannot_be_taught_ends_in_a_sentence(change, words):
    with pytest.raises(HoiError, match=words):
        _module(**change)


def _curves(directory):
    with open(directory / 'curves.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row['value']) for row in rows if row['metric'] == name]
            for name in {row['metric'] for row in rows}}


@pytest.fixture(name='trained', scope='module')
def _trained(write_config, tmp_path_factory):
    path = write_config(tmp_path_factory.mktemp('run'), 12)
    assert main(['fit', '-c', str(path)]) == 0
    return path.parent


def test_a_run_logs_what_text_asks_and_how_alike_people_are_and_writes_the_head_alone(trained):
    curves = _curves(trained)
    assert {'train/sentence', 'train/word', 'train/cosine_detector', 'train/cosine_pair',
            'train/cosine_remined', 'train/cosine_reasoned', 'val/map'} <= set(curves)
    assert len(curves['train/word']) == len(curves['train/cosine_remined']) == 3
    assert all(value > 0 for value in curves['train/word'])
    config, state = read_weights(trained / 'rmlr.safetensors')
    assert config['kind'] == 'rmlr' and config['config']['width'] == 16
    assert not [name for name in state if 'distillation' in name or 'resblocks' in name]


def test_tokens_of_a_trained_head_are_compared_over_a_split(trained, scenes):
    report = plain(measure_tokens(trained / 'rmlr.safetensors', Bundle.open(BUNDLE),
                                  scenes / 'val', scenes / 'cache'))
    assert set(report) == {'detector', 'pair', 'remined', 'reasoned'}
    assert {group for groups in report.values() for group in groups} == {'different', 'same'}
    counts = {name: groups['different']['count'] for name, groups in report.items()}
    assert len(set(counts.values())) == 1


def test_the_written_head_is_that_of_a_bundle(trained, batch):
    spec, state = read_head(trained / 'rmlr.safetensors')
    assert (spec.kind, spec.text, spec.activation) == ('rmlr', 'clip', 'sigmoid')
    assert spec.temperature == pytest.approx(float(state['logit_scale'].exp()), rel=1e-3)
    bundle = Bundle.open(BUNDLE)
    clip, trunk = load_clip(bundle, torch.device('cpu'))
    rows = prompt_rows(clip, bundle)
    head = RUNTIME_HEADS['rmlr'](trunk, dict(spec.config)).eval()
    head.network.load_state_dict({name: value.float() for name, value in state.items()})
    given = batch(rows)
    pairs = PairBatch(*given.inputs[1:9])
    with torch.inference_mode():
        scores = (spec.temperature * head(given.inputs.images, pairs, given.inputs[-1])
                  @ rows.embeddings.T).sigmoid()
        expected = network_scores(trained_network(trained / 'rmlr.safetensors', trunk), rows,
                                  given)
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-3)
