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

"""`hoi-trainer compare-...`: grids of runs that answer the questions of a paper; resumable."""

# typer reads its options from default values.
# ruff: noqa: B008

from importlib import import_module
from pathlib import Path
from typing import Callable, Optional

import typer

GRIDS = {
    'compare-heads': ('hoi_trainer.interaction.compare', 'Train and compare interaction heads.'),
    'compare-defr': ('hoi_trainer.image_classification.compare',
                     'Train and compare image classifiers and what is read from them.'),
    'compare-rmlr': ('hoi_trainer.distillation.compare',
                     'Train and compare RmLR with and without re-mining and levels of text.'),
    'compare-cl-hoi': ('hoi_trainer.teaching.compare',
                       'Train and compare CL-HOI by steps, losses and teachers.'),
    'compare-seg2hoi': ('hoi_trainer.set_prediction.compare',
                        'Train and compare Seg2HOI with and without its parts.')}
"""Module with `read_comparison` and `compare`, and what it does, by command."""


def add_grids(app: typer.Typer) -> None:
    """Add a command for every grid."""
    for name, (module, about) in GRIDS.items():
        app.command(name, help=f'{about} Finished runs are not repeated.')(_command(module))


def _command(module: str) -> Callable[..., None]:
    def run(config: Path = typer.Argument(..., help='YAML of the grid'),
            data: Optional[str] = typer.Option(None, help='directory with the splits'),
            runs: Optional[str] = typer.Option(None, help='directory of the runs'),
            cache: Optional[str] = typer.Option(None, help='directory of what is computed once'),
            output: Optional[str] = typer.Option(None, help='JSON of the results')) -> None:
        grid = import_module(module)
        typer.echo(grid.compare(grid.read_comparison(config, data=data, runs=runs, cache=cache,
                                                     output=output)))
    return run
