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

"""The recipe of docs/label_your_robot.md on a synthetic bag, with words that nobody annotated."""

from dataclasses import replace
import json

import cv2
from hoi_perception.cli import main as hoi
from hoi_perception.replay.bag_reader import BagReader
from hoi_perception.runtime.bundle import Bundle, default_bundle_path
from hoi_trainer.cli import main
from hoi_trainer.datasets.records import HoiDataset, HoiRecord
from hoi_trainer.datasets.synthetic import synthetic_names
from hoi_trainer.synthetic.bag import write_demo_bag
from hoi_trainer.teaching.parsing import CAPTION_PROMPT, PARSE_PROMPT
from hoi_trainer.teaching.pictures import open_pictures
from hoi_trainer.teaching.records import FORMAT, VERSION
from hoi_trainer.teaching.teachers import NoisyCaptioner
import numpy as np
import pytest
import yaml

OWN_WORDS = {
    'hold': 'grasp', 'touch': 'poke', 'lift': 'hoist', 'point at': 'gesture at',
    'look at': 'stare at', 'wave at': 'greet', 'push': 'shove', 'pull': 'tug', 'kick': 'boot',
    'throw': 'toss', 'drink from': 'sip from', 'ride': 'cruise on', 'sit on': 'perch on',
    'stand on': 'balance on', 'hug': 'cuddle'}
"""What the teacher says in place of the verbs of the scenes."""


@pytest.fixture(name='bag', scope='module')
def _bag(tmp_path_factory):
    return write_demo_bag(tmp_path_factory.mktemp('robot') / 'bag', 4.0, 3.0, 1, (320, 240))


def _seen(bag) -> HoiDataset:
    """Return what the synthetic captioner sees: the frames of a bag with their true pairs."""
    records = []
    with BagReader(bag) as reader:
        truth, frames = reader.ground_truth(), list(reader.frames())
        for name, frame in zip(open_pictures(bag).names, frames):
            message = truth[frame.key]
            boxes = np.array([[i.x1, i.y1, i.x2, i.y2] for i in message.instances], np.float32)
            labels = np.array([i.label for i in message.instances], np.int64)
            human, thing, verb = (np.array([getattr(t, part) for t in message.triplets], np.int64)
                                  for part in ('human', 'object', 'verb'))
            records.append(HoiRecord(name, message.width, message.height, boxes[human],
                                     boxes[thing], labels[thing], verb))
    return HoiDataset(synthetic_names(), tuple(records))


@pytest.fixture(name='labels', scope='module')
def _labels(bag, tmp_path_factory):
    """Write the captioner's words as `hoi-trainer label` would."""
    lines = [json.dumps({'format': FORMAT, 'version': VERSION, 'source': 'captioner',
                         'prompts': [CAPTION_PROMPT, PARSE_PROMPT]})]
    for record in NoisyCaptioner(0.1, 0.1).label(_seen(bag)):
        said = tuple(replace(each, verb=OWN_WORDS[each.verb])
                     for each in record.interactions)
        lines.append(replace(record, interactions=said).to_json())
    path = tmp_path_factory.mktemp('labels') / 'labels.jsonl'
    path.write_text('\n'.join(lines) + '\n')
    return path


def test_from_a_bag_and_words_to_detections_of_verbs_nobody_annotated(
        bag, labels, write_config, tmp_path, capsys):
    path = write_config(tmp_path / 'run', 8)
    config = yaml.safe_load(path.read_text())
    data = config['data']['init_args']
    data.update(train=str(bag), cache=str(tmp_path / 'cache'), teacher={
        'class_path': 'hoi_trainer.teaching.teachers.RecordFile',
        'init_args': {'path': str(labels)}})
    del data['val']
    path.write_text(yaml.safe_dump(config))
    assert main(['fit', '-c', str(path)]) == 0
    weights, out = tmp_path / 'run/cl_hoi.safetensors', tmp_path / 'my_robot'
    assert main(['export-taught', str(default_bundle_path()), str(weights), str(labels),
                 str(out), '--least', '1']) == 0
    verbs = {verb.name: verb for verb in Bundle.open(out).spec.vocabulary.verbs}
    known = {verb.name.replace('_', ' ') for verb in
             Bundle.open(default_bundle_path()).spec.vocabulary.verbs}
    assert verbs and set(verbs) <= set(OWN_WORDS.values()) and not set(verbs) & known
    pictures = open_pictures(bag)
    cv2.imwrite(str(tmp_path / 'frame.png'),
                cv2.cvtColor(pictures.images.read(pictures.names[0]), cv2.COLOR_RGB2BGR))
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        hoi(['detect', str(tmp_path / 'frame.png'), '--bundle', str(out), '--threshold', '0',
             '--engine', 'eager', '--json'])
    assert not end.value.code
    said = capsys.readouterr().out
    assert any(verb in said for verb in verbs)


@pytest.mark.parametrize('given, words', [
    ({'least': 10 ** 6}, 'no verb that was said 1000000 times'),
    ({'weights': 'lain'}, "holds 'lain'")])
def test_a_bundle_without_verbs_or_of_another_head_ends_in_a_sentence(given, words, labels,
                                                                      tmp_path, capsys):
    from hoi_perception.networks.cl_hoi import ClHoi, ClHoiConfig
    from hoi_perception.runtime.loading import load_clip
    from hoi_trainer.training.weights import write_weights
    import torch
    _, trunk = load_clip(Bundle.open(default_bundle_path()), torch.device('cpu'))
    config = ClHoiConfig(heads=2, translator=8, bottleneck=4)
    write_weights(ClHoi(trunk, config), {'kind': given.get('weights', 'cl_hoi'),
                                         'config': config.to_mapping()}, tmp_path / 'w')
    assert main(['export-taught', str(default_bundle_path()), str(tmp_path / 'w'), str(labels),
                 str(tmp_path / 'out'), '--least', str(given.get('least', 1))]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / 'out').exists()
