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

"""CL-HOI learns from words; annotation reaches no loss."""

from dataclasses import replace
import json

from hoi_perception.core.errors import HoiError
from hoi_perception.runtime.bundle import default_bundle_path
from hoi_trainer.cli import main
from hoi_trainer.datasets.records import HoiDataset
from hoi_trainer.teaching.data_module import TaughtData, training_batch
from hoi_trainer.teaching.module import ClHoiModule, LOSSES
from hoi_trainer.teaching.teachers import AnnotatedLabels, NoisyCaptioner, RecordFile
from hoi_trainer.training.weights import read_weights
import pytest
import torch

BUNDLE = str(default_bundle_path())
SMALL = {'heads': 2, 'content_layers': 1, 'translator': 16, 'translator_layers': 2,
         'context_queries': 4, 'bottleneck': 8, 'dropout': 0.0}
INDEX = torch.arange(12)


def _data(scenes, teacher, **changes):
    data = TaughtData(BUNDLE, str(scenes / 'train'), str(scenes / 'cache'), teacher, pairs=8,
                      words=14, **changes)
    data.setup('fit')
    return data


def _module(**changes):
    torch.manual_seed(0)
    module = ClHoiModule(BUNDLE, **{**SMALL, **changes})
    return module


def _losses(module, data):
    module.table = data.table(torch.device('cpu'))
    batch = training_batch(data, INDEX, module.rows)
    return module.taught_losses(batch, module.understand(batch.head.inputs))


def test_words_reach_the_loss_and_the_annotation_does_not(scenes, monkeypatch):
    """The same words with annotation turned upside down train the same; other words do not."""
    from hoi_trainer.teaching import data_module

    class Fixed:
        def __init__(self, records):
            self.records = records

        def label(self, dataset):
            return self.records

    data = _data(scenes, NoisyCaptioner(0, 0))
    words = NoisyCaptioner(0, 0).label(data.splits['train'].dataset)
    assert not data.splits['train'].pairs.verbs.any()
    module = _module()
    expected = _losses(module, data)
    assert set(expected) == set(LOSSES)
    assert all(value > 0 for value in expected.values()), expected
    assert not training_batch(data, INDEX, module.rows).head.labels.any()
    honest = data_module.open_dataset

    def scrambled(*arguments) -> HoiDataset:
        dataset = honest(*arguments)
        return replace(dataset, records=tuple(
            replace(record, verbs=(record.verbs + 3) % 15, human_boxes=record.human_boxes[::-1],
                    objects=record.objects[::-1]) for record in dataset.records))
    monkeypatch.setattr(data_module, 'open_dataset', scrambled)
    found = _losses(module, _data(scenes, Fixed(words)))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    other = _losses(module, _data(scenes, NoisyCaptioner(0, 0)))
    assert other['image_to_text'] != expected['image_to_text']


def test_boxes_of_the_annotation_label_pairs_exactly_and_words_roughly(scenes):
    exact, words = (_data(scenes, teacher) for teacher in (AnnotatedLabels(),
                                                           NoisyCaptioner(0, 0)))
    module = _module()
    by_boxes, by_words = (training_batch(data, INDEX, module.rows).labels
                          for data in (exact, words))
    assert set(by_boxes.unique().tolist()) == {0.0, 1.0}
    assert by_words.any() and ((by_words == 0) | (by_words >= 0.5)).all()


def test_every_loss_teaches_the_head_and_nothing_frozen(scenes):
    data, module = _data(scenes, NoisyCaptioner()), _module()
    sum(_losses(module, data).values()).backward()
    idle = [name for name, value in module.named_parameters() if value.grad is None]
    assert idle == []
    assert all(value.grad is None for value in module._frozen[0].parameters())
    assert not [name for name in module.state_dict() if not name.startswith('network.')]


def test_words_have_no_influence_on_what_is_evaluated(scenes):
    data, module = _data(scenes, NoisyCaptioner()), _module().eval()
    batch = training_batch(data, INDEX, module.rows)
    with torch.inference_mode():
        expected = module.logits(batch.head, module.rows)
        module.table = None
        data.text = data._table = None
        assert torch.equal(module.logits(batch.head, module.rows), expected)


@pytest.mark.parametrize('settings, words', [
    ({'losses': ['relation', 'magic']}, 'some of context'), ({'losses': []}, 'some of context'),
    ({'context': False}, 'needs the step context')])
def test_settings_that_do_not_fit_end_in_a_sentence(settings, words):
    with pytest.raises(HoiError, match=words):
        _module(**settings)


@pytest.mark.parametrize('chain', [
    {'spatial': False, 'visual': False, 'context': False}, {'visual': False, 'context': False},
    {'context': False}])
def test_parts_of_the_chain_train_with_the_losses_that_are_left(scenes, chain):
    losses = [name for name in LOSSES if name != 'context']
    module = _module(**chain, losses=losses)
    found = _losses(module, _data(scenes, NoisyCaptioner()))
    assert set(found) == set(losses) and all(value > 0 for value in found.values())


def test_footage_without_annotation_needs_a_file_of_words(scenes, tmp_path):
    (tmp_path / 'images').mkdir()
    for teacher, words in ((NoisyCaptioner(), 'no annotation'),
                           (RecordFile(str(tmp_path / 'none')), 'cannot be read')):
        data = TaughtData(BUNDLE, str(tmp_path / 'images'), str(tmp_path), teacher)
        with pytest.raises(HoiError, match=words):
            data.setup('fit')


def test_the_shipped_configuration_trains_and_writes_the_head_alone(write_config, tmp_path):
    path = write_config(tmp_path / 'run', 8)
    assert main(['fit', '-c', str(path)]) == 0
    config, state = read_weights(tmp_path / 'run/cl_hoi.safetensors')
    assert config['kind'] == 'cl_hoi' and config['config']['translator'] == 16
    assert not [name for name in state if 'resblocks' in name]
    curves = (tmp_path / 'run/curves.csv').read_text()
    assert all(f'train/{name}' in curves for name in LOSSES) and 'val/map' in curves


def test_another_teacher_is_one_option_away(write_config, tmp_path):
    path = write_config(tmp_path / 'run', 4)
    assert main(['fit', '-c', str(path), '--data.init_args.teacher',
                 'hoi_trainer.teaching.teachers.AnnotatedLabels',
                 '--trainer.limit_val_batches', '0']) == 0


def test_a_head_of_another_data_module_is_refused(write_config, tmp_path, capsys):
    import yaml
    path = write_config(tmp_path / 'run', 4)
    config = yaml.safe_load(path.read_text())
    config['data']['class_path'] = 'hoi_trainer.interaction.data_module.HeadData'
    for name in ('teacher', 'words'):
        del config['data']['init_args'][name]
    path.write_text(json.dumps(config))
    assert main(['fit', '-c', str(path)]) == 2
    assert 'learns from a teacher' in capsys.readouterr().err
