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

"""kill -9 at any moment: the next start answers again, and nothing on disk is damaged."""

import os
import random
import signal
import time

import pytest

pytest.importorskip('hoi_msgs.msg', reason='no ROS 2 is installed')
from hoi_msgs.msg import HoiDetections
from hoi_perception.runtime.bundle import Bundle
from hoi_perception.runtime.engines.key import EngineKey
from hoi_perception.runtime.engines.store import EngineStore
from hoi_perception.runtime.text_cache import TextCache
from ros_graph import image
from tiny_engines import Fake, tiny_graph
import torch

pytestmark = pytest.mark.xdist_group('ros_restart')

KILLS = 12
MANY_VERBS = [f'verb number {n}' for n in range(300)]


def killed_while(work, seconds):
    """Do the work in a process of its own and kill it after that long."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(1)  # never back into pytest
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def row(number):
    return torch.full((4096,), float(number))


def test_text_that_was_being_kept_is_whole_or_absent(tmp_path):
    moments, said = random.Random(5), []

    def keep():
        cache, number = TextCache(tmp_path, ('weights',), torch.device('cpu'), said.append), 0
        while True:
            cache.store({f'phrase {number % 200}': row(number % 200)})
            number += 1
    for _ in range(KILLS):
        killed_while(keep, moments.uniform(0.01, 0.08))
    cache = TextCache(tmp_path, ('weights',), torch.device('cpu'), said.append)
    phrases = {f'phrase {n}': row(n) for n in range(200)}
    found = cache.load(list(phrases))
    assert found and said == []
    for phrase, kept in found.items():
        assert torch.equal(kept, phrases[phrase]), phrase
    cache.store(phrases)
    assert len(cache.load(list(phrases))) == 200


def test_an_engine_that_was_being_written_is_whole_or_absent(tmp_path):
    moments, key = random.Random(6), EngineKey.of(tiny_graph(), Fake(), 'fp32')
    weights = bytes(range(256)) * 4096

    def write(directory):
        for number in range(8):
            (directory / f'part{number}').write_bytes(weights)
        return {'refused': '', 'latency_ms': {'engine': 1.0, 'eager': 2.0}}
    found = 0
    for _ in range(KILLS):
        store = EngineStore(tmp_path / 'engines')
        killed_while(lambda store=store: store.build(key, write), moments.uniform(0.0, 0.03))
        stored = store.find(key)
        if stored is not None:
            stored.verify()
            found += 1
            for file in sorted(stored.directory.rglob('*'), reverse=True):
                file.unlink()
            stored.directory.rmdir()
    store = EngineStore(tmp_path / 'engines')
    store.build(key, write).verify()
    assert found < KILLS  # some were killed in the middle
    assert [path.name for path in store.directory.iterdir() if path.is_dir()] == [key.directory]


def test_a_killed_node_answers_after_its_next_start_and_left_nothing_damaged(
        graph, bundle, tmp_path):
    node, peer = graph.node(), graph.peer()
    peer.listen(HoiDetections, 'detections')
    assert peer.answer(image(1)) is not None, node.log
    cache = tmp_path / 'cache' / 'hoi_perception' / 'text'
    before = len(list(cache.glob('*/*')))
    assert peer.set_parameters(verbs=MANY_VERBS)[0].successful
    deadline = time.monotonic() + 120
    while len(list(cache.glob('*/*'))) < before + 20:  # it writes one file per phrase
        assert node.process.poll() is None and time.monotonic() < deadline, node.log
        time.sleep(0.001)
    node.process.kill()
    node.process.wait()

    kept = [path for path in cache.glob('*/*') if not path.suffix]
    assert before < len(kept) <= before + len(MANY_VERBS)
    assert len(list(cache.glob('*/*'))) - len(kept) <= 1  # the file that was being written
    Bundle.open(bundle.path)  # compares every hash
    again = graph.node(f'verbs:={MANY_VERBS}')
    answer = peer.answer(image(2))
    assert answer is not None and answer.prompt_version == 2, again.log
    assert 'damaged' not in again.log
    assert len(list(cache.glob('*/*'))) >= before + len(MANY_VERBS)
