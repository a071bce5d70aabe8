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

"""The command line as a user types it: exit codes, sentences, files."""

import json
import subprocess
import sys

from bundles import tiny_bundle
from hoi_perception import cli
import numpy as np
from PIL import Image
import pytest
from random_models import save_clip, save_detector
import typer


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / 'frame.png'
    pixels = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def _run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        cli.main([str(a) for a in arguments])
    out = capsys.readouterr()
    return left.value.code, out.out, out.err


def test_detect_prints_triplets_and_writes_overlay_and_json(capsys, bundle, picture, tmp_path):
    out = tmp_path / 'out'
    code, text, _ = _run(capsys, 'detect', picture, '--bundle', bundle, '--out', out)
    assert code == 0 and 'person' in text
    assert Image.open(out / 'frame_overlay.jpg').size == (160, 120)
    scene = json.loads((out / 'detections.json').read_text())['frame.png']
    assert len(scene['triplets']) and scene['instances'][0]['box'][2] <= 160


def test_detect_reads_a_directory_and_speaks_json(capsys, bundle, picture):
    picture.with_name('b.jpg').write_bytes(b'')
    Image.open(picture).convert('L').save(picture.with_name('b.jpg'))
    code, text, _ = _run(capsys, 'detect', picture.parent, '--bundle', bundle, '--json',
                         '--verbs', 'meet: person', '--threshold', '0')
    frames = [json.loads(line) for line in text.splitlines()]
    assert code == 0 and [f['frame'] for f in frames] == ['b.jpg', 'frame.png']
    assert {t['verb'] for f in frames for t in f['triplets']} == {'meet'}
    assert frames[0]['prompt_version'] == 2


@pytest.mark.parametrize(('arguments', 'words'), [
    (['detect', 'nowhere.jpg'], 'does not exist'),
    (['detect', '{empty}'], 'holds no image'),
    (['detect', '{broken}'], 'cannot be read as an image'),
    (['detect', '{picture}', '--bundle', '{empty}'], 'not a model bundle'),
    (['detect', '{picture}', '--bundle', '{bundle}', '--verbs', ''], None),
    (['detect', '{picture}', '--bundle', '{bundle}', '--verbs', 'a', '--verbs', 'a'], 'twice'),
    (['detect', '{picture}', '--bundle', '{bundle}', '--threshold', '7'], 'triplet_threshold'),
    (['detect', '{picture}', '--bundle', '{bundle}', '--head', 'x'], 'head'),
    (['detect', '{picture}', '--nonsense'], 'nonsense'),
    (['bundle', 'inspect', '{empty}'], 'not a model bundle'),
    (['bundle', 'verify', '{empty}'], 'not a model bundle'),
    (['bundle', 'build', '{empty}', '--detector', '{empty}', '--detector-size', 'big'],
     'HEIGHTxWIDTH'),
    (['bundle', 'build', '{empty}/b', '--detector', '{empty}'], 'configuration')])
def test_bad_input_ends_with_code_two_and_a_sentence(
        arguments, words, capsys, bundle, picture, tmp_path):
    empty, broken = tmp_path / 'empty', tmp_path / 'broken.jpg'
    empty.mkdir()
    broken.write_bytes(b'\xff\xd8\xff no picture')
    filled = [a.format(empty=empty, broken=broken, picture=picture, bundle=bundle)
              for a in arguments]
    code, _, error = _run(capsys, *filled)
    if words is None:  # [''] means the bundle's own verbs
        assert code == 0
    else:
        assert code == 2 and words in error and 'Traceback' not in error


def test_a_built_bundle_can_be_inspected_verified_and_used(capsys, picture, tmp_path):
    detector = save_detector('DetrForObjectDetection', tmp_path / 'detector')
    config, weights = save_clip(tmp_path / 'clip')
    target = tmp_path / 'bundle'
    code, text, _ = _run(capsys, 'bundle', 'build', target, '--detector', detector, '--clip',
                         config, '--clip-weights', weights, '--detector-size', '64x96')
    assert code == 0 and '3 objects' in text
    code, text, _ = _run(capsys, 'bundle', 'inspect', target)
    assert code == 0 and 'DetrForObjectDetection, 96 x 64' in text
    assert _run(capsys, 'bundle', 'verify', target)[0] == 0
    assert _run(capsys, 'detect', picture, '--bundle', target)[0] == 0


def test_help_does_not_load_networks():
    code = ("import sys; from hoi_perception.cli import app; "
            "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'rclpy')))")
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == 0


def _commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, 'commands'):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize('path, command', [
    pytest.param(path, command, id=' '.join(path))
    for path, command in _commands(typer.main.get_command(cli.app))])
def test_help_shows_all_of_every_option(capsys, path, command):
    code, shown, _ = _run(capsys, *path, '--help')
    assert code == 0
    for option in command.params:
        words = (getattr(option, 'help', '') or '').split()
        assert ''.join(words) in ''.join(shown.split()), option.name
