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
Leave the nodes alone for an hour with everything that can go wrong, and count.

    python -m benchmarks.soak [--minutes 60] [--out benchmarks/results/soak.json]

Two real nodes on real DDS, one that detects on three cameras and one that is given boxes; cameras,
changes and checks are processes of their own. The report is written every minute; a run that was
killed goes on with the minutes that are left. Exit code 1 where something was lost, mislabelled or
crashed, 2 where the soak itself failed.
"""

import argparse
from pathlib import Path
import sys
import tempfile
import time
from typing import Any, Dict, List

from benchmarks.machine import machine
from benchmarks.soak_report import build_report, read_sessions, Session, write_report
from benchmarks.soak_world import DETECTING, GIVEN, node_arguments
from hoi_perception.ros.demo_processes import Child, Children, free_domain

RESULTS = Path(__file__).resolve().parent / 'results'
READY_S = 900.0
SETTLE_S = 3.0
WRITE_S = 60.0
MEMORY_S = 5.0


class SoakFailed(RuntimeError):
    """One of the soak's own processes failed: there is no verdict about the node."""


class Run:
    """One session: starts everything, watches it, and ends it in order."""

    def __init__(self, children: Children, options: argparse.Namespace, seed: int) -> None:
        self._children, self._options, self._seed = children, options, seed
        self.session = Session()
        self._nodes: Dict[str, Child] = {}
        self._ready, self._finished = set(), set()

    def start(self) -> None:
        """Start the nodes, then what watches them, then the load; returns when all are there."""
        options = self._options
        for number, name in enumerate((DETECTING, GIVEN)):
            self._nodes[name] = self._children.start(
                f'node{number}', 'hoi_perception.ros.main',
                node_arguments(name, options.bundle, options.engine))
        self._own = [self._children.start('checks', 'benchmarks.soak_checks',
                                          ['--bundle', options.bundle])]
        self._wait(lambda: 'checks' in self._ready and all(
            'waiting for images' in node.log.read_text(errors='replace')
            for node in self._nodes.values()))
        more = ['--seed', str(self._seed)]
        self._own.append(self._children.start('load', 'benchmarks.soak_load', [
            *more, '--rate', str(options.rate), '--malformed-rate', str(options.malformed_rate),
            '--stay', *(['3', '8'] if options.minutes < 5 else ['15', '60'])]))
        self._own.append(self._children.start('changes', 'benchmarks.soak_director', [
            *more, '--lifecycle-every', '20' if options.minutes < 5 else '60']))
        self._wait(lambda: {'load', 'changes'} <= self._ready)

    def _wait(self, condition, patience_s: float = READY_S) -> None:
        end = time.monotonic() + patience_s
        while not condition():
            self._serve(0.2)
            if self._crashed() or time.monotonic() > end:
                raise SoakFailed('the soak could not start or end. ' + '\n'.join(
                    child.last_words() for child in self._children.children))

    def _serve(self, seconds: float) -> None:
        """Take what the processes say; raises `SoakFailed` where one of ours has ended."""
        event = self._children.next_event(seconds)
        while event is not None:
            kind, who = event.pop('event'), event.pop('process')
            if kind == 'ready':
                self._ready.add(who)
            elif kind == 'finished':
                self._finished.add(who)
            elif kind in ('sent', 'changed', 'checked'):
                getattr(self.session, f'take_{kind}')(event)
            event = self._children.next_event(0.001)
        for child in self._own:
            if child.process.poll() is not None:
                raise SoakFailed(child.last_words())

    def _crashed(self) -> List[Child]:
        return [node for node in self._nodes.values() if node.process.poll() is not None]

    def watch(self, seconds: float, write) -> None:
        """Watch for that long, or until a node has crashed; call `write` every minute."""
        started = now = time.monotonic()
        written, sampled = now, 0.0
        while now - started < seconds:
            self._serve(0.5)
            now = time.monotonic()
            self.session.seconds = min(now - started, seconds)
            if now - sampled > MEMORY_S:
                sampled = now
                self._sample(now - started)
            if self._note_crash():
                return
            if now - written > WRITE_S:
                written = now
                write()
        try:
            self._end()
        except SoakFailed:
            if not self._note_crash():
                raise

    def _note_crash(self) -> bool:
        dead = self._crashed()
        if dead:
            self.session.crashes += len(dead)
            self.session.ending = 'crash'
            self.session.examples += [node.last_words() for node in dead]
        return bool(dead)

    def _sample(self, at: float) -> None:
        for name, node in self._nodes.items():
            self.session.memory.setdefault(name, []).append(
                (round(at, 1), *memory_mib(node.process.pid)))

    def _end(self) -> None:
        """Let every frame come to its end, read the last counters, and stop the nodes."""
        for name in ('load', 'changes'):
            child = next(child for child in self._own if child.name == name)
            child.tell('finish')
            self._wait(lambda name=name: name in self._finished)
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end:
            self._serve(0.2)
        self._own[0].tell('finish')
        self._wait(lambda: 'checks' in self._finished)
        self.session.ending = 'as planned'
        for node in self._nodes.values():
            code = node.stop()
            if code != 0:
                self.session.crashes += 1
                self.session.examples.append(f'exit code {code}: {node.last_words()}')


def memory_mib(pid: int) -> tuple:
    """Return resident memory of a process and its anonymous part."""
    lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    sizes = dict(line.split(':', 1) for line in lines if line.startswith('Rss') or
                 line.startswith('VmRSS'))
    return tuple(round(int(sizes[name].split()[0]) / 1024, 2) for name in ('VmRSS', 'RssAnon'))


def verdict(report: Dict[str, Any]) -> List[str]:
    """Return what is not as it must be."""
    wrong = [f'{report[name]} {name}' for name in (
        'crashes', 'mislabelled', 'unaccounted', 'wrong_answers') if report[name]]
    growth = report['rss_growth_percent']
    if growth is not None and growth >= 2 and report['minutes'] >= 30:
        wrong.append(f'memory grew by {growth} %')
    return wrong


def run(options: argparse.Namespace) -> Dict[str, Any]:
    """Run sessions until the time is over; return the report."""
    conditions = {'machine': machine(), 'engine': options.engine,
                  'bundle': Path(options.bundle).name or 'shipped', 'seed': options.seed}
    sessions = read_sessions(options.out, options.minutes)
    if sessions:
        print(f'going on after {sum(s.seconds for s in sessions) / 60:.1f} minutes.', flush=True)

    def write() -> Dict[str, Any]:
        report = build_report(sessions, options.minutes, conditions)
        write_report(options.out, report)
        short = {name: report[name] for name in (
            'minutes', 'crashes', 'mislabelled', 'frames_in', 'frames_out', 'malformed_sent')}
        print(' '.join(f'{name} {value}' for name, value in short.items()), flush=True)
        return report
    report = write()
    while not report['complete']:
        left = 60 * options.minutes - sum(session.seconds for session in sessions)
        logs = Path(options.logs or tempfile.mkdtemp(prefix='hoi_soak_')) / f'{len(sessions)}'
        with Children(logs, free_domain()) as children:
            children.environment.update(XDG_CACHE_HOME=str(logs / 'cache'),
                                        OMP_NUM_THREADS=str(options.threads))
            one = Run(children, options, options.seed + len(sessions))
            one.start()
            sessions.append(one.session)
            one.watch(left, write)
        report = write()
    return report


def main(argv=None) -> int:
    """Run the soak and write its report."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--minutes', type=float, default=60.0)
    parser.add_argument('--out', type=Path, default=RESULTS / 'soak.json')
    parser.add_argument('--bundle', default='', help='[shipped one]')
    parser.add_argument('--engine', default='auto')
    parser.add_argument('--rate', type=float, default=10.0,
                        help='Frames per second and camera to begin with; it rises by itself.')
    parser.add_argument('--malformed-rate', type=float, default=4.0, help='Messages per second.')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--logs', default='', help='Directory for logs [temporary].')
    options = parser.parse_args(argv)
    try:
        wrong = verdict(run(options))
    except SoakFailed as error:
        print(error, file=sys.stderr)
        return 2
    print('; '.join(wrong) or 'nothing lost, nothing mislabelled, no crash.')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
