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

"""The documentation builds without a warning and says what the code says."""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
import os
from pathlib import Path
import re
import shlex
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'
PAGES = sorted([*(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'SECURITY.md')),
                *DOCS.rglob('*.md')])
EXAMPLES = sorted((ROOT / 'test' / 'examples').glob('test_*.py'))


@pytest.mark.skipif(find_spec('mkdocs') is None or find_spec('material') is None,
                    reason="mkdocs is not installed: pip install '.[docs]'")
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(tmp_path)],
        cwd=ROOT, text=True, capture_output=True, check=False,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'})
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / 'extending' / 'head.html').read_text()
    assert 'WholeImageHead' in page and '--8&lt;--' not in page
    for page in tmp_path.rglob('*.html'):
        assert not re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="https?:[^"]+"',
                              page.read_text()), page


def _reference():
    spec = spec_from_file_location('make_reference', ROOT / 'scripts' / 'make_reference.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('name', ['docs/reference/cli.md', 'docs/reference/bundle.md',
                                  'docs/parameters.md'])
def test_reference_pages_are_those_of_the_code(name):
    pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')
    pytest.importorskip('hoi_trainer', reason='the trainer is not installed')
    page = _reference().PAGES[ROOT / name]
    assert (ROOT / name).read_text(encoding='utf-8') == page(), f'{name} is old: make reference'


def test_every_message_and_service_is_shown():
    shown = re.findall(r'--8<-- "(hoi_msgs/\S+)"', (DOCS / 'reference/messages.md').read_text())
    there = [path.relative_to(ROOT).as_posix() for path in ROOT.glob('hoi_msgs/*/*.[ms][sr][gv]')]
    assert sorted(shown) == sorted(there)


def test_the_topics_page_names_every_topic_of_a_camera():
    source = (ROOT / 'hoi_perception/ros/cameras.py').read_text()
    text = (DOCS / 'reference/topics.md').read_text()
    topics = re.findall(r"publisher\(\w+, '(\w+)'", source)
    assert len(topics) >= 5
    assert [topic for topic in topics if f'`{topic}`' not in text] == []


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_every_region_of_an_example_is_shown(path):
    regions = re.findall(r'# --8<-- \[start:(\w+)\]', path.read_text())
    shown = ''.join(page.read_text() for page in (DOCS / 'extending').glob('*.md'))
    assert regions
    for region in regions:
        assert f'--8<-- "test/examples/{path.name}:{region}"' in shown


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_pages_lead_to_files(page):
    text = re.sub(r'```.*?```', '', page.read_text(), flags=re.S)
    for target in re.findall(r'\]\(([^)#\s]+)', text):
        assert target.startswith('https://') or (page.parent / target).exists(), target


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_lists_look_the_same_on_the_site_as_on_a_forge(page):
    """Python-Markdown wants four spaces before an inner list and none before a code block."""
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.S | re.M)
    assert re.findall(r'^ {1,3}(?:[-*] |\d+\. |```).*', text, re.M) == []


def _command_lines(page):
    """Yield the words of every `hoi` and `hoi-trainer` line in the code blocks of a page."""
    for block in re.findall(r'```[^\n]*\n(.*?)```', page.read_text(), re.S):
        for line in block.replace('\\\n', ' ').splitlines():
            if match := re.match(r'\s*(?:\.venv/bin/)?(hoi(?:-trainer)? .*)', line):
                yield shlex.split(match[1], comments=True)


@pytest.mark.parametrize('page', [page for page in PAGES if any(_command_lines(page))],
                         ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_and_options_in_the_documentation_exist(page):
    pytest.importorskip('hoi_trainer', reason='the trainer is not installed')
    from hoi_perception.cli import app as hoi
    from hoi_trainer.cli import app as trainer
    import typer
    apps = {name: typer.main.get_command(app) for name, app in
            (('hoi', hoi), ('hoi-trainer', trainer))}
    for name, *words in _command_lines(page):
        command = apps[name]
        while getattr(command, 'commands', None):
            inner = command.commands.get(words[0]) if words else None
            if inner is None and 'run' in command.commands:
                inner, words = command.commands['run'], ['run', *words]  # hoi replay BAG
            assert inner is not None, f'{name} {" ".join(words)}'
            command, words = inner, words[1:]
        known = {option for item in command.params for option in (*item.opts,
                                                                  *item.secondary_opts)}
        used = {word.split('=')[0] for word in words if word.startswith('--')}
        unknown = used - known - {'--help'}
        free = command.context_settings.get('ignore_unknown_options')  # `fit` passes them on
        assert free or not unknown, f'{name} {command.name}: {unknown}'
