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

"""`hoi-trainer export` is `hoi engine build`, with the same exit codes."""

from bundles import tiny_bundle
from hoi_perception.runtime.bundle import Buckets
from hoi_trainer.cli import main
import pytest


@pytest.mark.parametrize(('arguments', 'code', 'words'), [
    (['--backend', 'eager'], 0, 'runs with eager: it was asked for'),
    (['--backend', 'tensorrt', '--precision', 'fp16'], 1, 'needs an NVIDIA GPU'),
    (['--backend', 'onnx'], 2, 'choose auto or one of'), (['--batch', '0'], 2, 'batch')])
def test_exit_codes_are_those_of_the_build(arguments, code, words, tmp_path, capsys):
    bundle = tiny_bundle(tmp_path / 'tiny', buckets=Buckets(
        instances=(30,), pairs=(16,), rows=(32,)))
    assert main(['export', str(bundle.path), '--device', 'cpu', *arguments]) == code
    said = capsys.readouterr()
    assert words in said.out + said.err and 'Traceback' not in said.err


def test_what_is_no_bundle_is_exit_code_2(tmp_path, capsys):
    assert main(['export', str(tmp_path)]) == 2
    assert 'not a model bundle' in capsys.readouterr().err
