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

"""What a person sees of the running demo: progress, a live table, and the report."""

from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from hoi_perception.replay.bag_reader import Topic
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


class View:
    """Shows events of the demo; on a terminal live, elsewhere as a few plain lines."""

    def __init__(self, bag: Path, topic: Topic) -> None:
        self.console = Console()
        self.total = topic.count
        self.verb_changes: List[dict] = []
        self._latest: Tuple[str, ...] = ()
        self._published = self._answered = self._version = 0
        self._latency: Dict[str, float] = {}
        self._progress = Progress(TextColumn('{task.description}'), BarColumn(),
                                  MofNCompleteColumn(), TimeElapsedColumn(), console=self.console)
        self._task = self._progress.add_task('starting the node', total=topic.count)
        self._live = Live(console=self.console, get_renderable=self._render, transient=True,
                          refresh_per_second=5)
        self.console.print(f'{bag}: {topic.count} frames on {topic.name}', highlight=False)

    def __enter__(self) -> 'View':
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_) -> None:
        self._live.stop()

    def show(self, event: dict) -> None:
        """Take note of what a process said."""
        kind = event['event']
        if kind == 'published':
            self._published += 1
        elif kind == 'result':
            self._take_result(event)
        elif kind == 'latency':
            self._latency = {**event['stages'], 'total': event['total']}
        elif kind == 'verbs':
            self.verb_changes.append({k: event[k] for k in ('accepted', 'reason', 'verbs',
                                                            'version') if k in event})
            self.console.print(self._verb_line(event), highlight=False)
        elif kind == 'warning':
            self.console.print(event['text'], highlight=False)

    @staticmethod
    def _verb_line(event: dict) -> str:
        if not event['accepted']:
            return f'verbs not changed: {event["reason"]}'
        names = 'all of the bundle' if event['verbs'] == [''] else ', '.join(event['verbs'])
        return f'verbs changed while running, prompt version {event["version"]}: {names}'

    def _take_result(self, event: dict) -> None:
        self._answered += 1
        self._version = event['version']
        self._latest = tuple(f'{phrase} {score:.2f}' for phrase, score in event['triplets'])
        self._progress.update(self._task, completed=self._answered, description='frames answered')
        if not self.console.is_terminal and self._answered % max(1, self.total // 10) == 0:
            self.console.print(f'{self._answered} of {self.total} frames answered; '
                               f'{", ".join(self._latest[:2])}', highlight=False)

    def _render(self) -> Group:
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_row('frames', f'{self._published} published, {self._answered} answered')
        table.add_row('prompt version', str(self._version))
        table.add_row('latency', '  '.join(f'{name} {value:.0f}' for name, value
                                           in self._latency.items()) + ' ms')
        for row, phrase in enumerate(self._latest or ('',)):
            table.add_row('seen' if row == 0 else '', phrase)
        return Group(self._progress, table)

    def report(self, rows: Sequence[Tuple[str, str]], out: Path) -> None:
        """Print the summary."""
        table = Table(show_header=False, box=None, pad_edge=False)
        for what, value in rows:
            table.add_row(what, value)
        self.console.print(table)
        self.console.print(f'written to {out}: {", ".join(sorted(p.name for p in out.iterdir()))}',
                           highlight=False)
