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

"""`hoi replay ...`: bags to a results bag and a report; two replays compared; frames exported."""

import json
from pathlib import Path
import signal
import sys
from typing import Any, List, Optional

from hoi_perception.fleet_cli import fleet
import typer
from typer.core import TyperGroup


class _RunByDefault(TyperGroup):
    """`hoi replay BAG` means `hoi replay run BAG`."""

    def parse_args(self, ctx: Any, args: List[str]) -> List[str]:
        """Put the command's name where the user left it out."""
        if args and args[0] not in self.commands and args[0] not in ('--help', '-h'):
            args = ['run', *args]
        return super().parse_args(ctx, args)


replay_app = typer.Typer(
    cls=_RunByDefault, no_args_is_help=True,
    help='Replay bags: `hoi replay BAG...` is short for `hoi replay run BAG...`.')


@replay_app.command()
def run(
        bags: List[Path] = typer.Argument(
            ..., help='rosbag2 directories, .mcap or .db3 files, or directories of bags.'),
        ground_truth: Optional[str] = typer.Option(
            None, help='Topic of HoiDetections, or file: JSON, CSV, HICO-DET, V-COCO [a topic '
                       'of ground truth in the bag].'),
        bundle: Optional[Path] = typer.Option(None, help='Bundle directory [shipped one].'),
        head: Optional[str] = typer.Option(None, help='Interaction head [the first].'),
        verbs: Optional[List[str]] = typer.Option(
            None, help="Verb to look for, repeatable: --verbs ride --verbs 'push: cart'."),
        template: str = typer.Option('', help="Prompt sentence [the bundle's]."),
        image_topic: Optional[str] = typer.Option(None, help='Topic [the one with most frames].'),
        start: float = typer.Option(0.0, help="Seconds after each bag's first frame."),
        end: Optional[float] = typer.Option(None, help="Seconds after each bag's first frame."),
        stride: int = typer.Option(1, help='Take every so many-th frame.'),
        mode: str = typer.Option(
            'every-frame', help='every-frame (how good), or real-time (how good where latency '
                                'decides which frames are dropped).'),
        latency_profile: Optional[Path] = typer.Option(
            None, help='For real-time: a bag with the topic latency of the node on the robot, or '
                       'JSON with milliseconds per frame [measured here].'),
        instances: Optional[str] = typer.Option(
            None, help='Topic or JSON file with boxes of another detector, instead of the own '
                       'one.'),
        engine: str = typer.Option(
            'eager', help='eager (always the same results), auto (the fastest that was built), '
                          'aoti, openvino, tensorrt.'),
        device: str = typer.Option('auto', help='cpu, cuda, cuda:1, ...'),
        out: Path = typer.Option(Path('out/replay'), help='Results bag, records and report.'),
        live: bool = typer.Option(
            False, help='Also play the bag through the real node over DDS, and check that both '
                        'agree on the frames it does not drop.'),
        restart: bool = typer.Option(False, help='Throw away an interrupted replay in --out.'),
        report: bool = typer.Option(True, help='Judge the results and write the report.'),
        as_json: bool = typer.Option(False, '--json', help='Print one JSON object.')) -> None:
    """
    Replay bags through the networks, without ROS: a results bag, records and a report.

    Ctrl-C keeps what was done, and the same command goes on from there. Exit code 0: every bag was
    read; 1: the node, played live, says something else; 2: bad input, or a bag that is damaged or
    has no images (what can be read of it, and the other bags, are replayed first).
    """
    from hoi_perception.replay.inputs import Selection
    from hoi_perception.replay.options import ReplayOptions
    from hoi_perception.replay.run import replay
    options = ReplayOptions(
        tuple(bags), out, bundle, head, tuple(verbs or ()), template,
        Selection(image_topic, start, end, stride), mode, latency_profile, engine, device,
        instances, ground_truth, restart, report)
    if live:
        from hoi_perception.ros.live_replay import check_live
        check_live(options)
    from hoi_perception.replay.watch import ProgressBar
    before = signal.signal(signal.SIGTERM, _interrupt)
    watch = ProgressBar()
    try:
        with watch:
            finished = replay(options, watch)
    except KeyboardInterrupt:
        kept = f'after {watch.frames} frames, which are kept in {out}: the same command goes on ' \
               'from there' if watch.frames else 'before the first frame'
        typer.echo(f'hoi: interrupted {kept}.', err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    if as_json:
        typer.echo(json.dumps({
            'out': str(out), 'frames': finished.counts, 'complete': finished.info.complete,
            'wall_seconds': finished.info.wall_seconds, 'troubles': finished.troubles,
            'report': finished.report}))
    else:
        _print(finished, out)
    for sentence in finished.troubles:
        typer.echo(f'hoi: {sentence}', err=True)
    if finished.troubles:
        raise typer.Exit(2)
    if live:
        _play_live(options, as_json)


def _play_live(options: Any, quiet: bool) -> None:
    from hoi_perception.ros.demo import DemoFailed
    from hoi_perception.ros.live_replay import play_live
    try:
        found = play_live(options)
    except DemoFailed as error:
        typer.echo(f'hoi: {error}', err=True)
        raise typer.Exit(1) from error
    typer.echo(str(found), err=quiet)
    if not found.ok:
        raise typer.Exit(1)


def _print(finished: Any, out: Path) -> None:
    counts, info = finished.counts, finished.info
    typer.echo(f'{sum(counts.values())} frames: {counts["answered"]} answered, '
               f'{counts["dropped"]} dropped, {counts["bad"]} bad; {info.wall_seconds:.1f} s with '
               f'{info.model_id}, {info.mode}.')
    for reason in finished.bad_reasons:
        typer.echo(f'  bad: {reason}')
    typer.echo(f'{out / "results"}: results bag; {out / "frames.jsonl"}: what became of each '
               'frame.')
    if finished.report is not None:
        from hoi_perception.replay.report.figures import Figure, said
        for name, shown in finished.report['accuracy']['rows']:
            typer.echo(f'{name}: {said(Figure(**shown))}')
        typer.echo(f'{out / "report.html"}: report.')


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@replay_app.command()
def compare(
        first: Path = typer.Argument(..., help='Output directory of a replay.'),
        second: Path = typer.Argument(..., help='Output directory of another one.'),
        html: Optional[Path] = typer.Option(None, help='Write a page with everything here.'),
        as_json: bool = typer.Option(False, '--json', help='Print one JSON object.')) -> None:
    """Say what changed from one replay to another, and whether it is more than noise."""
    from hoi_perception.replay.report import compare as compare_replays
    comparison = compare_replays(first, second)
    if html is not None:
        html.write_text(comparison.html(), encoding='utf-8')
    typer.echo(json.dumps(comparison.as_dict()) if as_json else str(comparison))


@replay_app.command()
def export(
        directory: Path = typer.Argument(..., help='Output directory of a replay.'),
        out: Path = typer.Argument(..., help='New directory for images and COCO files.'),
        bag: Optional[List[Path]] = typer.Option(
            None, help='The bags that were replayed [where they were then].'),
        least_score: float = typer.Option(0.0, help='Leave out interactions below.')) -> None:
    """Write frames with predictions as COCO files, to be corrected in an annotation tool."""
    from hoi_perception.replay.annotations import export_bags
    from hoi_perception.replay.records import BAGS, read_run
    bags = bag or [Path(path) for path in read_run(directory).options[BAGS]]
    typer.echo(str(export_bags(directory, out, bags, least_score)))


replay_app.command()(fleet)

if __name__ == '__main__':
    sys.exit(replay_app())
