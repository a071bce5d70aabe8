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

"""What a public forge reads names things that are there."""

from pathlib import Path
import re
import subprocess
import sys

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / '.github/workflows/ci.yml'


def test_the_workflow_says_that_it_was_not_run_and_covers_every_distribution():
    text = WORKFLOW.read_text()
    assert text.startswith('# Not run')
    jobs = yaml.safe_load(text)['jobs']
    assert jobs['ros']['strategy']['matrix']['distro'] == ['humble', 'jazzy', 'lyrical']
    pythons = jobs['wheels']['strategy']['matrix']['python']
    assert all((ROOT / f'constraints/py{name.replace(".", "")}.txt').is_file() for name in pythons)


@pytest.mark.parametrize('path', ['.github/workflows/ci.yml', '.pre-commit-config.yaml',
                                  'CONTRIBUTING.md', '.github/pull_request_template.md'])
def test_every_make_target_that_is_named_exists(path):
    targets = set(re.findall(r'^(\w+):', (ROOT / 'Makefile').read_text(), re.M))
    named = set(re.findall(r'^\s*(?:- run: |entry: |- \[ \] `)?make (?:--\S+ )?(\w+)',
                           (ROOT / path).read_text(), re.M))
    assert named <= targets


def test_hooks_call_what_the_checkout_has():
    listed = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
    hooks = [hook for repo in listed for hook in repo['hooks']]
    for hook in hooks:
        for word in hook['entry'].split():
            if word.endswith('.py'):
                assert (ROOT / word).is_file(), word
        assert hook['entry'].startswith(('.venv/bin/', 'make ')) and hook['language'] == 'system'


@pytest.mark.parametrize('path', sorted((ROOT / '.github/ISSUE_TEMPLATE').glob('*.yml')),
                         ids=lambda path: path.stem)
def test_issue_forms_ask_something(path):
    form = yaml.safe_load(path.read_text())
    if path.stem == 'config':
        assert form == {'blank_issues_enabled': False}
        return
    assert form['name'] and form['description']
    fields = [part for part in form['body'] if part['type'] != 'markdown']
    assert any(part.get('validations', {}).get('required') for part in fields)
    assert len({part['id'] for part in fields}) == len(fields)
    assert all(part['attributes']['label'] for part in fields)


@pytest.mark.parametrize(('code', 'rule'), [
    ('def area(box):\n    return box\n', 'D103'),
    ('class Box:\n    pass\n', 'D101'),
    ('class Box:\n    """A box."""\n\n    def area(self):\n        return 0\n', 'D102'),
    ('def area(box):\n    """Return it."""\n    return box\n', '')])
def test_the_lint_asks_for_a_docstring_of_every_public_name(code, rule):
    licence = (ROOT / 'setup.py').read_text().split('\n\n"""')[0]
    done = subprocess.run(
        [sys.executable, '-m', 'ruff', 'check', '--output-format', 'concise', '--stdin-filename',
         str(ROOT / 'hoi_perception/core/new.py'), '-'], cwd=ROOT, text=True,
        input=f'{licence}\n\n"""A module."""\n\n\n{code}', capture_output=True, check=False)
    if 'No module named ruff' in done.stderr:
        pytest.skip('ruff is not installed')
    assert done.returncode == bool(rule), done.stdout
    names = {'D101': 'class', 'D102': 'method', 'D103': 'function', '': ''}
    assert (f'undocumented-public-{names[rule]}' in done.stdout
            or f' {rule} ' in done.stdout) == bool(rule), done.stdout


def test_types_of_core_evaluation_and_runtime_are_checked_strictly():
    text = (ROOT / 'pyproject.toml').read_text()
    types = text[text.index('[tool.mypy]'):].split('\n[[')[0]
    assert 'strict = true' in types
    for part in ('core', 'evaluation', 'runtime'):
        assert f'"hoi_perception/{part}"' in types
