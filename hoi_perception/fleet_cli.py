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

"""`hoi replay fleet`: many bags at once, here or on a Ray cluster."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, List, Optional

import typer


def fleet(
        bags: List[Path] = typer.Argument(
            ..., help='rosbag2 directories, .mcap or .db3 files, or directories of bags.'),
        out: Path = typer.Option(Path('out/fleet'), help='A directory per bag, and the table.'),
        workers: int = typer.Option(2, help='Bags at once.'),
        address: Optional[str] = typer.Option(
            None, help='Ray cluster, such as ray://host:10001; bags, bundle and --out must have '
                       'the same paths there [this machine].'),
        retries: int = typer.Option(1, help='How often a bag that failed is tried again.'),
        gpus: float = typer.Option(0.0, help='GPUs of each worker; 0.5 = two share one.'),
        ground_truth: Optional[str] = typer.Option(
            None, help='Topic or file, as for `hoi replay` [a topic of ground truth in the bag].'),
        bundle: Optional[Path] = typer.Option(None, help='Bundle directory [shipped one].'),
        head: Optional[str] = typer.Option(None, help='Interaction head [the first].'),
        verbs: Optional[List[str]] = typer.Option(None, help='Verb to look for, repeatable.'),
        image_topic: Optional[str] = typer.Option(None, help='Topic [the one with most frames].'),
        stride: int = typer.Option(1, help='Take every so many-th frame.'),
        mode: str = typer.Option('every-frame', help='every-frame or real-time.'),
        latency_profile: Optional[Path] = typer.Option(None, help='For real-time.'),
        instances: Optional[str] = typer.Option(None, help='Topic with boxes.'),
        engine: str = typer.Option('eager', help='As for `hoi replay`.'),
        device: str = typer.Option('auto', help='cpu, cuda, cuda:1, ...')) -> None:
    """
    Replay many bags at once, each as `hoi replay` does, and write one table.

    Exit code 0: every bag was replayed; 1: some failed, which the table and fleet.json name; 2:
    bad input. A bag that was replayed already is replayed again; one that was interrupted goes on.
    """
    from hoi_perception.replay.fleet import FleetOptions, run_fleet, TABLE
    from hoi_perception.replay.inputs import bags_in, Selection
    from hoi_perception.replay.options import ReplayOptions
    sharing = FleetOptions(workers, address, retries, gpus)
    every = [bag for path in bags for bag in bags_in(path.expanduser())]
    options = ReplayOptions(
        tuple(every), out, _absolute(bundle), head, tuple(verbs or ()), '',
        Selection(image_topic, 0.0, None, stride), mode, _absolute(latency_profile), engine,
        device, instances, _truth(ground_truth))
    rows = run_fleet(every, out, partial(replay_bag, options), sharing, typer.echo)
    failed = [row for row in rows if not row.ok]
    typer.echo(f'{len(rows) - len(failed)} of {len(rows)} bags replayed; table: {out / TABLE}')
    if failed:
        raise typer.Exit(1)


def replay_bag(options: Any, bag: Path, out: Path) -> None:
    """Replay one bag; a bag that is damaged is a `HoiError`, after what can be read of it."""
    from hoi_perception.core.errors import HoiError
    from hoi_perception.replay.run import replay
    finished = replay(replace(options, bags=(bag,), out=out))
    if finished.troubles:
        raise HoiError(' '.join(finished.troubles))


def _absolute(path: Optional[Path]) -> Optional[Path]:
    return None if path is None else path.expanduser().absolute()


def _truth(given: Optional[str]) -> Optional[str]:
    """Return a file by its whole path, because workers start elsewhere; topics as they are."""
    if given is None or not Path(given).expanduser().is_file():
        return given
    return str(Path(given).expanduser().absolute())
