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

"""Child processes that speak JSON lines and never outlive their parent."""

import contextlib
import ctypes
import json
import os
from pathlib import Path
import queue
import random
import signal
import subprocess
import sys
import threading
from typing import Dict, List, Optional, Sequence

STOP_S = 5.0
"""How long a child may take to end after SIGINT before it is killed."""

_PR_SET_PDEATHSIG = 1


def free_domain() -> int:
    """Return a random ROS_DOMAIN_ID whose ports are usable on every system (1..101)."""
    return random.SystemRandom().randint(1, 101)


def _die_with_parent() -> None:
    """Ask Linux to end this process when its parent is gone, however it went."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One Python module running as a process of its own, in its own group, with its own log."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Dict[str, str],
                 events: 'queue.Queue') -> None:
        self.name, self.log = name, log
        with log.open('wb') as sink:
            # Its own session: Ctrl-C reaches only the parent, which then ends all in order.
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink,
                env=environment, start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == 'linux' else None)
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def _listen(self, events: 'queue.Queue') -> None:
        with self.log.open('ab') as sink:
            for line in self.process.stdout:
                try:
                    event = json.loads(line)
                    event['process'] = self.name
                except (ValueError, TypeError):
                    sink.write(line)
                    sink.flush()
                    continue
                events.put(event)

    def tell(self, word: str) -> None:
        """Send one line to the child's standard input."""
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(word.encode() + b'\n')
            self.process.stdin.flush()

    def ended_badly(self) -> bool:
        """Return whether the process is gone with another exit code than 0."""
        return self.process.poll() not in (None, 0)

    def last_words(self) -> str:
        """Return how the process ended and the end of its log."""
        text = self.log.read_text(errors='replace').strip().splitlines()[-6:]
        code = self.process.poll()
        state = 'is still running' if code is None else f'ended with exit code {code}'
        return f'The {self.name} {state}; end of {self.log}:\n' + '\n'.join(text)

    def last_line(self) -> str:
        """Return the last line of the child's log."""
        return (self.log.read_text(errors='replace').strip().splitlines() or [''])[-1]

    def stop(self) -> int:
        """End the process with SIGINT, or by force if it takes too long; return its exit code."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Children:
    """
    The processes of one demo; leaving the context ends them all.

    logs: directory for their standard error. domain: their ROS_DOMAIN_ID.
    """

    def __init__(self, logs: Path, domain: int) -> None:
        self.logs = logs
        self.children: List[Child] = []
        self.events: queue.Queue = queue.Queue()
        self.environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain),
                            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                            'ROS_LOG_DIR': str(logs / 'ros'), 'PYTHONUNBUFFERED': '1'}
        if os.environ.get('ROS_DISTRO') == 'humble':
            self.environment['ROS_LOCALHOST_ONLY'] = '1'

    def start(self, name: str, module: str, arguments: Sequence[str]) -> Child:
        """Start `python -m module arguments` as a child."""
        child = Child(name, [sys.executable, '-m', module, *arguments], self.logs / f'{name}.log',
                      self.environment, self.events)
        self.children.append(child)
        return child

    def next_event(self, seconds: float) -> Optional[dict]:
        """Return the next thing a child says, or None when all are silent for that long."""
        try:
            return self.events.get(timeout=seconds)
        except queue.Empty:
            return None

    def __enter__(self) -> 'Children':
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_) -> None:
        # A second Ctrl-C must not leave children behind while the first is being served.
        previous = {number: signal.signal(number, signal.SIG_IGN)
                    for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for child in self.children:
                if child.process.poll() is None:
                    child.process.send_signal(signal.SIGINT)
            for child in self.children:
                child.stop()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
