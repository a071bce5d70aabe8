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

"""`hoi engine ...`: compiled engines of a bundle's networks."""

from contextlib import contextmanager
import json
from pathlib import Path
import tempfile
from typing import Iterator, Optional, Tuple, TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from hoi_perception.runtime.bundle import Bundle
    from hoi_perception.runtime.engines.coverage import CoverageRow

engine_app = typer.Typer(no_args_is_help=True, help='Compiled engines: build, check, list, prune.')


@engine_app.command()
def build(
        bundle: Optional[Path] = typer.Argument(None, help='Bundle directory (the shipped one).'),
        backend: str = typer.Option(
            'auto', help='auto (the first that is good enough), all (try every one, so that auto '
                         'takes the fastest), aoti, openvino or tensorrt.'),
        precision: str = typer.Option('auto', help='auto, fp32, bf16 or fp16.'),
        head: Optional[str] = typer.Option(None, help='Interaction head (the first).'),
        batch: int = typer.Option(1, min=1, max=32, help='Images per call: cameras of a node.'),
        device: str = typer.Option('auto', help='cpu, cuda, cuda:1, ...'),
        every_bucket: bool = typer.Option(
            False, help="All sizes of prompt rows, not only that of the bundle's own verbs."),
        frames: Optional[Path] = typer.Option(
            None, help='Image, directory, video or bag whose frames engines must decide like '
                       'eager on (frames of the shipped bag).'),
        out: Optional[Path] = typer.Option(
            None, help='Where to keep engines (in the bundle, or in ~/.cache where that is '
                       'read-only).')) -> None:
    """
    Compile a bundle's networks for this machine and compare them with eager.

    Exit code 0: every network has an engine, or runs best without; 1: some engine could not be
    built or does not decide as eager does; 2: bad input.
    """
    from hoi_perception.runtime.bundle import Bundle, default_bundle_path
    from hoi_perception.runtime.engines.provide import engine_store, EngineMaker, own_rows
    from hoi_perception.runtime.loading import choose_device
    opened = Bundle.open(bundle or default_bundle_path())
    head = head or next(iter(opened.spec.heads))
    maker = EngineMaker(opened, head, choose_device(device), engine_store(opened, out), batch,
                        lambda: _recorded(opened, head, device, batch, frames), typer.echo)
    failed = False
    for _, choice in maker.provide(backend, precision,
                                   None if every_bucket else [own_rows(opened)]):
        for warning in choice.warnings:
            typer.echo(f'hoi: {warning}', err=True)
        typer.echo(choice.reason)
        failed |= choice.backend == 'eager' and bool(choice.warnings)
    if failed:
        raise typer.Exit(1)


def _recorded(bundle: 'Bundle', head: str, device: str, batch: int, source: Optional[Path]):
    """Return what the networks are given on real frames."""
    from hoi_perception.replay.sample_frames import COUNT, sample_frames
    from hoi_perception.runtime.engines.recorded import record
    from hoi_perception.runtime.pipeline import HoiPipeline
    frames = sample_frames(source, max(COUNT, batch))
    typer.echo(f'Engines are compared with eager on {len(frames)} frames of '
               f'{source or "the shipped bag"}.')
    pipeline = HoiPipeline(bundle, device, head, engines=None)
    return record(pipeline, frames, batch)


@engine_app.command()
def check(
        bundle: Optional[Path] = typer.Argument(None, help='Bundle directory (the shipped one).'),
        backend: str = typer.Option('tensorrt', help='The backend to ask: tensorrt.'),
        head: Optional[str] = typer.Option(None, help='Interaction head (each of the bundle).'),
        configuration: Optional[str] = typer.Option(
            None, help='Instead of a bundle: DETECTOR+CLIP+HEAD of '
                       'config/ready_configurations.yaml, with random weights.'),
        precision: str = typer.Option('fp32', help='fp32, bf16 or fp16.'),
        every_bucket: bool = typer.Option(
            False, help='All sizes of instances and prompt rows, not only all sizes of pairs.'),
        as_json: bool = typer.Option(False, '--json', help='Print one JSON object.')) -> None:
    """
    Say which operators TensorRT would take, without GPU and without TensorRT.

    Exit code 0: every graph is convertible as one engine; 1: some graph is not; 2: it could not
    be checked (bad input, torch_tensorrt absent or of another version).
    """
    from hoi_perception.core.errors import HoiError
    from hoi_perception.runtime.engines.coverage import check_coverage, VERDICT
    if backend != 'tensorrt':
        raise HoiError(f'--backend {backend!r} cannot be checked: tensorrt is the one that may '
                       'refuse an operator; try the others with `hoi engine build`.')
    if bundle and configuration:
        raise HoiError('give a bundle or --configuration, not both.')
    rows = []
    with _opened(bundle, configuration) as opened:
        for row in check_coverage(opened, head, precision, every_bucket):
            rows.append(row)
            if not as_json:
                _print_row(row, first=len(rows) == 1)
    full = sum(row.full for row in rows)
    if as_json:
        typer.echo(json.dumps({'verdict': VERDICT, 'precision': precision, 'full': full,
                               'graphs': [row.as_dict() for row in rows]}, indent=1))
    else:
        typer.echo(f'{full} of {len(rows)} graphs are {VERDICT} ({precision}).')
    if not rows or full < len(rows):
        raise typer.Exit(1)


@engine_app.command('list')
def list_engines(
        bundle: Optional[Path] = typer.Argument(
            None, help="Bundle directory (the shipped one, pulled ones and the user's cache)."),
        out: Optional[Path] = typer.Option(
            None, help='Where engines of the bundle are kept, as given to build.')) -> None:
    """
    List the engines on this machine, with their bundle and whether their key still matches.

    kept: it may be loaded; refused: it decides otherwise than eager; stale: it was built for other
    versions, weights or another machine; damaged; unknown: its bundle or backend cannot be asked.
    """
    from hoi_perception.runtime.engines.stock import megabytes, take_stock
    count = size = 0
    for engine in take_stock(_stores(bundle, out)):
        if not count:
            typer.echo(f'{"state":8} {"size":>9} {"eager":>7} {"engine":70} bundle')
        count, size = count + 1, size + engine.size
        speedup = f'{engine.speedup:.2f} x' if engine.speedup else ''
        typer.echo(f'{engine.state:8} {megabytes(engine.size):>9} {speedup:>7} {engine.label:70} '
                   f'{engine.bundle or "?"}')
        if engine.reason:
            typer.echo(f'         {engine.reason}')
    typer.echo(f'Engines: {count}, {megabytes(size)} in all.')


@engine_app.command()
def prune(
        bundle: Optional[Path] = typer.Argument(
            None, help="Bundle directory (the shipped one, pulled ones and the user's cache)."),
        out: Optional[Path] = typer.Option(
            None, help='Where engines of the bundle are kept, as given to build.'),
        dry_run: bool = typer.Option(
            False, '--dry-run', help='Say what would be removed, and remove nothing.')) -> None:
    """
    Remove engines that nothing on this machine will load again: the stale and damaged of the list.

    Exit code 0: all of them are removed; 1: some could not be; 2: bad input.
    """
    from hoi_perception.runtime.engines import stock
    failures = stock.prune(_stores(bundle, out), typer.echo, dry_run)
    for failure in failures:
        typer.echo(f'hoi: {failure}', err=True)
    if failures:
        raise typer.Exit(1)


def _stores(bundle: Optional[Path], out: Optional[Path]) -> Tuple[Path, ...]:
    from hoi_perception.core.errors import HoiError
    from hoi_perception.runtime.bundle import Bundle, default_bundle_path
    from hoi_perception.runtime.engines.stock import known_stores, stores_of
    if bundle is not None:
        return stores_of(Bundle.open(bundle, verify=False), out)
    if out is not None:
        raise HoiError('--out goes with a bundle: say whose engines they are.')
    return known_stores(default_bundle_path())


@contextmanager
def _opened(bundle: Optional[Path], configuration: Optional[str]) -> Iterator['Bundle']:
    from hoi_perception.runtime.bundle import Bundle, default_bundle_path
    if configuration is None:
        yield Bundle.open(bundle or default_bundle_path())
        return
    from hoi_perception.runtime.configurations import random_bundle
    with tempfile.TemporaryDirectory(prefix='hoi-configuration-') as directory:
        yield random_bundle(configuration, Path(directory) / 'bundle')


def _print_row(row: 'CoverageRow', first: bool) -> None:
    if first:
        typer.echo(f'{"graph":18} {"bucket":50} {"operators":>9} {"covered":>7} {"segments":>8} '
                   f'{"torch":>5} {"breaks":>6}')
    typer.echo(f'{row.graph:18} {row.bucket:50} {row.operators:9} {row.covered:7} '
               f'{row.segments:8} {row.torch_segments:5} {len(row.breaks):6}')
    for item in row.breaks:
        typer.echo(f'    {item.operator} x {item.calls} in {item.place}: {item.reason}')
    if row.error:
        typer.echo(f'    not examined: {row.error}')
