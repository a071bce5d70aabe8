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

"""
Play a bag through the real perception node: three processes on real DDS, watched by this one.

A player publishes the camera frames, the node answers, a recorder writes the answers down. They
run in a ROS domain of their own on this machine, and never outlive this process.
"""

from dataclasses import dataclass, field
import importlib.util
import json
from pathlib import Path
import signal
import time
from typing import List, Mapping, Optional

from hoi_perception.core.errors import HoiError
from hoi_perception.replay.bag_reader import BagReader, frame_key, Topic
from hoi_perception.replay.message_types import COMPRESSED_IMAGE
from hoi_perception.replay.summary import lines_of, summarize
from hoi_perception.ros.demo_processes import Children, free_domain
from hoi_perception.ros.demo_view import View

NAMESPACE = '/hoi'
NODE = 'hoi_node'
SETTLE_S = 5.0
"""How long after the last frame its answer may take when nothing at all arrives."""


@dataclass(frozen=True)
class DemoOptions:
    """
    What to play and where to write.

    bag: rosbag2 with camera images. bundle: model bundle directory, None = the shipped one.
    image_topic: None = the topic with most frames. rate: times the bag's own speed. realtime: do
    not wait for answers between frames, so that a slow machine drops frames as on a robot.
    domain: ROS_DOMAIN_ID, None = a random one. patience_s: how long loading may take. show: change
    the verbs half way, and record overlays. parameters: of the node, by name, beside the bundle.
    """

    bag: Path
    out: Path
    bundle: Optional[Path] = None
    image_topic: Optional[str] = None
    rate: float = 1.0
    realtime: bool = False
    domain: Optional[int] = None
    patience_s: float = 180.0
    show: bool = True
    parameters: Mapping[str, object] = field(default_factory=dict)


class DemoFailed(RuntimeError):
    """A process of the demo ended or fell silent; the text says which and shows its last words."""


def run_demo(options: DemoOptions) -> dict:
    """
    Run the demo and return its summary, which is also written to `out/summary.json`.

    Writes `out/results/` (mcap: detections, masks, events, latency, vocabulary),
    `out/overlay.gif` and `out/logs/`. Raises `HoiError` for input that cannot be played,
    `DemoFailed` when a process fails or no frame is answered, KeyboardInterrupt on SIGINT or
    SIGTERM; no child process survives any of them.
    """
    _require_ros()
    if not options.rate > 0:
        raise HoiError(f'rate {options.rate} cannot be played: give a number above 0.')
    if options.bundle is not None and not (options.bundle / 'bundle.yaml').is_file():
        raise HoiError(f'{options.bundle} is not a model bundle: it has no bundle.yaml.')
    with BagReader(options.bag) as reader:
        topic = reader.choose_image_topic(options.image_topic)
        truth = reader.ground_truth()
        _check_first_frame(reader, topic)
    out = _prepare(options.out)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    view = View(options.bag, topic)
    try:
        with Children(out / 'logs', _domain(options)) as children, view:
            published = _run(children, options, topic, out, view)
    finally:
        signal.signal(signal.SIGTERM, previous)
    summary = {'bag': options.bag.name, 'image_topic': topic.name,
               'pacing': {'rate': options.rate, 'waits_for_answers': not options.realtime},
               **summarize(out / 'results', published, truth), 'verb_changes': view.verb_changes}
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    view.report(lines_of(summary), out)
    if not summary['frames_out']:
        raise DemoFailed(f'the node answered none of the {len(published)} frames. '
                         f'{_end_of(out / "logs" / "node.log")}')
    return summary


def _check_first_frame(reader: BagReader, topic: Topic) -> None:
    """Refuse a damaged bag before anything is started."""
    first = next(reader.frames(topic), None)
    if first is None:
        raise HoiError(f'bag {reader.path} announces images on {topic.name} but holds none.')
    frame_key(first.message.header)


def _end_of(log: Path) -> str:
    lines = log.read_text(errors='replace').strip().splitlines()
    return f'End of {log}:\n' + '\n'.join(lines[-4:])


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _require_ros() -> None:
    for module, help_ in (('rclpy', 'source a ROS 2 install, or run `make setup`'),
                          ('hoi_msgs', 'build it with `colcon build --base-paths . hoi_msgs` and '
                                       'source install/setup.bash, or run `make setup`')):
        if importlib.util.find_spec(module) is None:
            raise HoiError(f'the demo needs {module}, which is not installed: {help_}.')


def _domain(options: DemoOptions) -> int:
    return free_domain() if options.domain is None else options.domain


def _prepare(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ('summary.json', 'overlay.gif'):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise HoiError(f'cannot write to {out}: {error.strerror or error}.') from error
    return out.resolve()


def node_arguments(options: DemoOptions, topic: Topic) -> List[str]:
    """Return the ROS arguments of the node for this camera topic."""
    compressed = topic.type == COMPRESSED_IMAGE
    base = topic.name.removesuffix('/compressed') if compressed else topic.name
    listened = f'{base}/compressed' if compressed else base
    arguments = ['--ros-args', '-r', f'__ns:={NAMESPACE}', '-r', f'image:={base}',
                 '-p', f'image_transport:={"compressed" if compressed else "raw"}',
                 # A camera is best effort; here no frame shall be lost on its way to the node.
                 '-p', f'qos_overrides.{listened}.subscription.reliability:=reliable']
    if options.bundle is not None:
        arguments += ['-p', f'bundle:={options.bundle.resolve()}']
    for name, value in options.parameters.items():  # JSON is YAML
        arguments += ['-p', f'{name}:={json.dumps(value)}']
    return arguments


def _run(children: Children, options: DemoOptions, topic: Topic, out: Path,
         view: View) -> List[tuple]:
    """Start everything, pass words between the processes, return the published frames' headers."""
    node = children.start('node', 'hoi_perception.ros.main', node_arguments(options, topic))
    recorder = children.start('recorder', 'hoi_perception.ros.recorder', [
        str(out), '--namespace', NAMESPACE, '--frames', str(topic.count if options.show else 0)])
    player_arguments = [str(options.bag), '--topic', topic.name, '--namespace', NAMESPACE,
                        '--node', f'{NAMESPACE}/{NODE}', '--rate', str(options.rate),
                        '--patience', str(options.patience_s)]
    player = children.start('player', 'hoi_perception.ros.player',
                            player_arguments + ['--realtime'] * options.realtime
                            + ['--keep-verbs'] * (not options.show))
    published, answered, played, finishing = [], 0, False, False
    heard, started = time.monotonic(), time.monotonic()
    while True:
        event = children.next_event(0.2)
        if event is not None:
            heard = time.monotonic()
            view.show(event)
            if event['event'] == 'ready':
                player.tell('go')
            elif event['event'] == 'published':
                published.append(tuple(event['key']))
            elif event['event'] == 'result':
                answered += 1
            elif event['event'] == 'done' and event['process'] == 'player':
                played = True
            elif event['event'] == 'done':
                break
        for child in (node, recorder) if played else (node, recorder, player):
            if child is player and child.process.poll() == 2:
                raise HoiError(child.last_line())  # the bag turned out to be bad while playing
            if child.ended_badly():
                raise DemoFailed(child.last_words())
        if not published and time.monotonic() - started > options.patience_s:
            raise DemoFailed(f'nothing could be played within {options.patience_s:.0f} s. '
                             f'{node.last_words()}')
        if played and not finishing and (answered >= len(published) or
                                         time.monotonic() - heard > SETTLE_S):
            recorder.tell('finish')
            finishing = True
    code = node.stop()
    if code != 0:
        raise DemoFailed(f'the node did not end cleanly. {node.last_words()}')
    return published
