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
Every command in the README and the quick start is run as it stands, in order, in one directory.

A block that cannot be run here says so in its first line, for readers too: `# Not run by the
tests: ` and the reason. What a reader has of their own (a photo, a video, a bag, a bundle for
photographs) is put there before; two pages that share a command share its run.
"""

from importlib.util import find_spec
import os
from pathlib import Path
import re
import shlex
import subprocess
from typing import List, NamedTuple

from bags import demo_bag
from bundles import tiny_bundle
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ('README.md', 'docs/quick_start.md')
MARK = '# Not run by the tests: '
# What the checkout brings to the directory; results stay out of it.
NOT_OURS = {'out', 'build', 'install', 'log', 'runs', 'data'}
# `make setup` was run by whoever made the environment that this test runs in.
PRELUDE = 'set -euo pipefail; make() { command make --old-file .venv/.hoi-setup "$@"; }\n'

pytestmark = [pytest.mark.xdist_group('commands'), pytest.mark.timeout(600)]


class Block(NamedTuple):
    """A fenced block of a page: the line it begins at and its commands, continued lines joined."""

    page: str
    line: int
    commands: List[str]

    @property
    def reason(self) -> str:
        """Return why it is not run, '' where it has to be."""
        return self.commands[0][len(MARK):] if self.commands[0].startswith(MARK) else ''


def blocks(page: str, text: str) -> List[Block]:
    """Return every fenced block; those with a language that is no shell hold no commands."""
    found = []
    for match in re.finditer(r'^ *```(\w*)[^\n]*\n(.*?)^ *```$', text, re.S | re.M):
        if match[1] in ('', 'bash', 'sh', 'shell', 'console'):
            lines = match[2].replace('\\\n', ' ').splitlines()
            found.append(Block(page, text[:match.start()].count('\n') + 2,
                               [' '.join(line.split()) for line in lines if line.strip()]))
    return found


ALL = [block for page in PAGES for block in blocks(page, (ROOT / page).read_text())]
RUN = [block for block in ALL if not block.reason]


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A checkout with a reader's own files in it; links, so that results stay here."""
    cv2 = pytest.importorskip('cv2', reason='videos need OpenCV')
    from hoi_perception.replay.sample_frames import sample_frames
    directory = tmp_path_factory.mktemp('clone')
    for entry in ROOT.iterdir():
        if entry.name not in NOT_OURS:
            (directory / entry.name).symlink_to(entry)
    frames = sample_frames(count=4)
    height, width = frames[0].shape[:2]
    cv2.imwrite(str(directory / 'photo.jpg'), frames[0][:, :, ::-1])
    video = cv2.VideoWriter(str(directory / 'my_video.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 5,
                            (width, height))
    for frame in frames:
        video.write(frame[:, :, ::-1])
    video.release()
    demo_bag(directory / 'my_bag', frames=6)
    (directory / 'truth.json').write_text(
        '{"format": "hoi_truth", "version": 1, "frames": [{"stamp": "100.0", "interactions": '
        '[{"human": [10, 20, 60, 90], "verb": "ride", "object_class": "bicycle", '
        '"object": [12, 50, 70, 95]}]}]}')
    tiny_bundle(directory / 'bundles' / 'real')
    return directory


@pytest.fixture(scope='module')
def done():
    """Return the commands that were run already, as words."""
    return set()


def _run(command, place):
    # The tests that `make test` runs here are a few small ones: it is this test that runs in it.
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith('PYTEST_')}
    environment.update(OMP_NUM_THREADS='1', WORKERS='0',
                       PYTEST_ARGS='-q -p no:cacheprovider test/core/test_pairs_and_boxes.py')
    return subprocess.run(['bash', '-c', PRELUDE + command], cwd=place, env=environment, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)


@pytest.mark.parametrize('block', RUN, ids=lambda block: f'{Path(block.page).stem}-{block.line}')
def test_commands_of_a_page_run_as_they_stand(block, place, done):
    for command in block.commands:
        needs_ros = re.search(r'\b(?:demo|doctor)\b', command)
        if needs_ros and (find_spec('rclpy') is None or find_spec('hoi_msgs') is None):
            pytest.skip('rclpy or hoi_msgs is not installed')
        words = tuple(shlex.split(command, comments=True))
        if words in done:
            continue
        ran = _run(command, place)
        assert ran.returncode == 0, f'{command}\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}'
        done.add(words)
        for out in re.findall(r'--out (\S+)', command):
            assert any((place / out).iterdir()), f'{command} left nothing in {out}'


@pytest.mark.parametrize('page', PAGES)
def test_what_is_not_run_has_a_reason_and_most_is_run(page):
    here = [block for block in ALL if block.page == page]
    assert all(len(block.reason.split()) >= 3 for block in here if block.reason)
    assert sum(not block.reason for block in here) >= 3


def test_every_fence_of_the_pages_is_seen():
    for page in PAGES:
        fences = re.findall(r'^\s*(?:```|~~~)', (ROOT / page).read_text(), re.M)
        assert len(fences) == 2 * sum(block.page == page for block in ALL), page


@pytest.mark.parametrize(('text', 'commands', 'reason'), [
    ('```\nhoi a \\\n    --b   # why\n\nhoi c\n```\n', ['hoi a --b # why', 'hoi c'], ''),
    ('```bash\n# Not run by the tests: needs a robot.\nros2 x\n```\n',
     ['# Not run by the tests: needs a robot.', 'ros2 x'], 'needs a robot.'),
    ('```\nros2 x   # Not run by the tests: too late\n```\n',
     ['ros2 x # Not run by the tests: too late'], '')])
def test_a_block_is_read_with_its_mark(text, commands, reason):
    block, = blocks('page.md', text)
    assert (block.commands, block.reason, block.line) == (commands, reason, 2)


def test_a_block_of_another_language_holds_no_commands():
    assert blocks('page.md', '```yaml\na: 1\n```\n') == []
