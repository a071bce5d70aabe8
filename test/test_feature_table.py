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

"""The table of features says nothing that no test stands for."""

import ast
from functools import cache
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROMISED = {*range(1, 10), *range(11, 37), *range(38, 41), *range(42, 47), 53, 54, 59}
ROW = re.compile(r'\| (\d+) \| (.+?) \| (yes|partly|no) \| (.*?) \| (.*?) \|')
ROWS = [match.groups() for match in map(ROW.fullmatch, (
    ROOT / 'docs' / 'features.md').read_text().splitlines()) if match]


@cache
def names_in(path):
    """Return the names of the test functions of a file."""
    return {node.name for node in ast.parse((ROOT / path).read_text()).body
            if isinstance(node, ast.FunctionDef)}


def test_there_is_one_row_for_each_feature():
    assert [int(number) for number, *_ in ROWS] == list(range(1, 68))


@pytest.mark.parametrize('number, answer, how, tests', [
    pytest.param(int(number), answer, how, tests, id=number)
    for number, _, answer, how, tests in ROWS])
def test_every_answer_names_tests_that_are_there(number, answer, how, tests):
    named = re.findall(r'`([^`]+)::(test_\w+)`', tests)
    assert tests.count('::') == len(named)
    assert named or answer != 'yes'
    assert how or answer != 'partly', 'say what is missing'
    assert answer == 'yes' or number not in PROMISED
    for path, name in named:
        assert name in names_in(path), f'{path} has no {name}'
