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

"""`hoi doctor`: whether the node can start here, and what is missing."""

import json

import typer


def doctor(
        as_json: bool = typer.Option(False, '--json', help='One JSON object for programs.'),
        cameras: float = typer.Option(
            2.0, min=0, max=600, help='Seconds to look for cameras on ROS 2; 0 = none.')) -> None:
    """
    Look at this machine, its ROS 2, libraries, bundles and cameras; name a cure for each trouble.

    Exit code 0: the node can start; 1: it cannot; 2: bad input.
    """
    from hoi_perception.doctor import checks
    findings = checks.examine(cameras)
    if as_json:
        typer.echo(json.dumps(checks.as_json(findings), indent=1))
    else:
        for row in findings:
            typer.echo(f'{row.state:8} {row.what}: {row.found}')
            if row.cure:
                typer.echo(f'{"":8} -> {row.cure}')
        count = [sum(row.state == state for row in findings) for state in ('problem', 'warning')]
        can = 'can' if checks.can_start(findings) else 'cannot'
        typer.echo(f'The node {can} start here: {count[0]} problems, {count[1]} warnings.')
    if not checks.can_start(findings):
        raise typer.Exit(1)
