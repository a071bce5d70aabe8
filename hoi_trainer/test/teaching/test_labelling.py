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

"""hoi-trainer label: nothing is lost, repeated or kept that cannot be learnt from."""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys

import cv2
from hoi_perception.core.errors import HoiError
from hoi_trainer.cli import main
from hoi_trainer.synthetic.bag import write_demo_bag
from hoi_trainer.teaching.journal import Journal
from hoi_trainer.teaching.labelling import label_images
from hoi_trainer.teaching.pictures import open_pictures
from hoi_trainer.teaching.records import CAUSES, read_records
from hoi_trainer.teaching.vision_llm import VisionLlm
import numpy as np
import pytest


class Scripted:
    """Answers from a list; the first number of pixel (0, 0) says which."""

    name = 'scripted'

    def __init__(self, captions, answers):
        self.captions, self.answers, self.asked = captions, answers, []

    def about_images(self, images, prompt):
        self.asked += [int(image[0, 0, 0]) for image in images]
        return [self.captions[int(image[0, 0, 0])] for image in images]

    def about_texts(self, texts, prompt):
        return [self.answers[text] for text in texts]


CAPTIONS = ['A man is riding a bicycle.', '', 'word ' * 20000, '一个男人骑着自行车',
            'Der Mann fährt mit dem Fahrrad auf der Straße', 'The man is here.',
            'A girl is holding a cup.', 'The sky is blue.']
ANSWERS = {CAPTIONS[0]: '*Riding, Bicycle.\n*Holding, handle bar', CAPTIONS[5]: 'Nothing at all.',
           CAPTIONS[6]: '1. hold, the cup', CAPTIONS[7]: 'x' * 100_000}
EXPECTED = ['', 'empty', 'too_long', 'other_language', 'other_language', 'not_parsable', '',
            'too_long']


@pytest.fixture(name='photos', scope='module')
def _photos(tmp_path_factory):
    directory = tmp_path_factory.mktemp('photos')
    for number in range(len(CAPTIONS)):
        cv2.imwrite(str(directory / f'{number}.png'), np.full((24, 32, 3), number, np.uint8))
    (directory / '9.jpg').write_bytes(b'no image')
    return directory


def _label(photos, out, batch_size=3):
    describer = Scripted(CAPTIONS, ANSWERS)
    return describer, label_images(open_pictures(photos), describer, out, batch_size)


def test_every_image_gives_one_record_and_every_dropped_one_its_cause(photos, tmp_path):
    _, labelled = _label(photos, tmp_path / 'labels.jsonl')
    header, records = read_records(labelled.path)
    assert header['source'] == 'scripted' and len(header['prompts']) == 2
    assert [record.dropped for record in records] == [*EXPECTED, 'unreadable_image']
    assert [(each.verb, each.object) for each in records[0].interactions] == [
        ('ride', 'bicycle'), ('hold', 'handle bar')]
    assert labelled.path.stat().st_size < 5000, 'what is too long is not kept'
    counts = labelled.summary
    assert counts['labelled'] == 2 and counts['interactions'] == 3
    assert counts['labelled'] + sum(counts['dropped'].values()) == counts['images'] == 9
    assert set(counts['dropped']) == set(CAUSES)


@pytest.mark.parametrize('cut', [0, 1, 40, 230, 300, 700, -1])
def test_a_file_cut_at_any_byte_is_continued_to_the_same_file(photos, tmp_path, cut):
    out = tmp_path / 'labels.jsonl'
    _label(photos, out)
    whole = out.read_bytes()
    out.write_bytes(whole[:cut])
    complete = max(whole[:cut].count(b'\n') - 1, 0)
    describer, _ = _label(photos, out)
    assert out.read_bytes() == whole
    assert describer.asked == list(range(complete, len(CAPTIONS))), 'nothing is asked twice'


def test_a_whole_file_is_left_alone(photos, tmp_path):
    _label(photos, tmp_path / 'labels.jsonl')
    describer, labelled = _label(photos, tmp_path / 'labels.jsonl')
    assert describer.asked == [] and labelled.summary['images'] == 9


@pytest.mark.parametrize('content, words', [
    ('{"format": "other"}\n', 'other settings'), ('no json\n', 'other settings'),
    ('HEADER{"image": 1}\n', 'line 2'), ('HEADER[]\n', 'no record'), ('HEADER{\n', 'no JSON')])
def test_a_file_of_something_else_is_refused_and_left_as_it_is(photos, tmp_path, content, words):
    out = tmp_path / 'labels.jsonl'
    _label(photos, out)
    header = out.read_text().splitlines(True)[0]
    out.write_text(content.replace('HEADER', header))
    before = out.read_bytes()
    with pytest.raises(HoiError, match=words):
        _label(photos, out)
    assert out.read_bytes() == before


def test_records_of_other_images_are_not_mixed_with_these(photos, tmp_path):
    out = tmp_path / 'labels.jsonl'
    _label(photos, out)
    (tmp_path / 'fewer').mkdir()
    (tmp_path / 'fewer/0.png').write_bytes((photos / '0.png').read_bytes())
    with pytest.raises(HoiError, match='not among the 1'):
        _label(tmp_path / 'fewer', out)


def test_two_processes_do_not_write_one_file(tmp_path):
    with Journal(tmp_path / 'x', {'a': 1}), pytest.raises(HoiError, match='another process'):
        Journal(tmp_path / 'x', {'a': 1})


def test_a_real_model_answers_the_same_alone_and_in_batches(tiny_teacher):
    model = VisionLlm(str(tiny_teacher), new_tokens=6)
    images = [np.random.default_rng(i).integers(0, 255, (40, 50, 3), np.uint8) for i in range(3)]
    together = model.about_images(images, 'What are persons doing in the image ?')
    alone = [model.about_images([image], 'What are persons doing in the image ?')[0]
             for image in images]
    assert together == alone and all(isinstance(text, str) for text in together)
    texts = ['a man riding a bicycle', 'the cup']
    assert model.about_texts(texts, 'What ?') == [
        model.about_texts([text], 'What ?')[0] for text in texts]


@pytest.mark.parametrize('source', ['photos', 'bag'])
def test_the_command_labels_images_and_bags_with_a_real_model(source, photos, tiny_teacher,
                                                              tmp_path, capsys):
    images, count = photos, 9
    if source == 'bag':
        images, count = write_demo_bag(tmp_path / 'bag', 1.0, 4.0, 1, (160, 120)), 2
    arguments = ['label', str(images), '--teacher', str(tiny_teacher), '--out',
                 str(tmp_path / 'labels.jsonl')] + ['--every', '2'] * (source == 'bag')
    assert main(arguments) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts['images'] == count == counts['labelled'] + sum(counts['dropped'].values())
    _, records = read_records(tmp_path / 'labels.jsonl')
    if source == 'bag':
        assert all(record.image.isdigit() for record in records)
        assert open_pictures(images).images.read(records[1].image).shape == (120, 160, 3)


SLOW = """
import sys, time
from pathlib import Path
from hoi_trainer.teaching.labelling import label_images
from hoi_trainer.teaching.pictures import open_pictures
class Slow:
    name = 'slow'
    def about_images(self, images, prompt):
        time.sleep(0.05)
        return ['A man is riding a bicycle.'] * len(images)
    def about_texts(self, texts, prompt):
        return ['ride, bicycle'] * len(texts)
label_images(open_pictures(Path(sys.argv[1])), Slow(), Path(sys.argv[2]), 1,
             lambda done, count: print(done, flush=True))
"""


def test_a_killed_run_loses_and_repeats_nothing(photos, tmp_path):
    out = tmp_path / 'labels.jsonl'
    command = [sys.executable, '-c', SLOW, str(photos), str(out)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                           env={**os.environ, 'OMP_NUM_THREADS': '1'})
    said = [int(run.stdout.readline()) for _ in range(3)]
    run.send_signal(signal.SIGKILL)
    said += [int(line) for line in run.stdout]
    run.wait()
    kept = len(read_records(out)[1])
    assert kept >= said[-1], 'what was reported is on the disk'
    rest = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [int(line) for line in rest.stdout.split()] == list(range(kept + 1, 10))
    names = [record.image for record in read_records(out)[1]]
    assert names == sorted(set(names)) and len(names) == 9


@pytest.mark.parametrize('arguments, words', [
    (['nowhere', '--teacher', 'x'], 'does not exist'),
    (['EMPTY', '--teacher', 'x'], 'holds no images'),
    (['PHOTOS', '--teacher', 'EMPTY'], 'no image-text-to-text model'),
    (['PHOTOS/9.jpg', '--teacher', 'x'], 'not a rosbag2')])
def test_bad_input_ends_in_one_sentence_and_exit_code_2(arguments, words, photos, tmp_path,
                                                        capsys):
    (tmp_path / 'empty').mkdir()
    given = [text.replace('EMPTY', str(tmp_path / 'empty')).replace('PHOTOS', str(photos))
             for text in arguments]
    assert main(['label', *given, '--out', str(tmp_path / 'out')]) == 2
    error = capsys.readouterr().err
    assert words in error and 'Traceback' not in error
    assert not Path(tmp_path / 'out').exists()
