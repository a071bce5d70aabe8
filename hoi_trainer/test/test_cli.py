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

"""The command line `hoi-trainer`."""

from hoi_trainer.cli import app
import pytest
import typer


def _commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, 'commands'):
            yield from _commands(command, (*path, name))
        elif command.context_settings.get('help_option_names') != []:  # else LightningCLI's
            yield (*path, name), command


@pytest.mark.parametrize('path, command', [
    pytest.param(path, command, id=' '.join(path))
    for path, command in _commands(typer.main.get_command(app))])
def test_help_shows_all_of_every_option(capsys, path, command):
    with pytest.raises(SystemExit) as left:
        app([*path, '--help'])
    shown = ''.join(capsys.readouterr().out.split())
    assert left.value.code == 0
    for option in command.params:
        assert ''.join((getattr(option, 'help', '') or '').split()) in shown, option.name
