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

"""What configure loads: from files alone, and warm before it is ready."""

import socket

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')
from hoi_perception.core.errors import HoiError
from hoi_perception.ros.loading import Loading
from hoi_perception.ros.parameters import Settings
from hoi_perception.runtime.pipeline import HoiPipeline


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Count frames; no network, and a cache of its own."""
    counted = []
    run = HoiPipeline.run

    def counting(self, images, instances=None):
        counted.append(instances is not None)
        return run(self, images, instances)

    def refuse(*_args, **_kwargs):
        raise AssertionError('nothing may be downloaded')
    monkeypatch.setattr(HoiPipeline, 'run', counting)
    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return counted


@pytest.mark.parametrize('source, frames', [('detector', [True, False]), ('topic', [True])])
def test_a_model_loads_without_a_network_and_has_seen_a_frame_when_it_is_ready(
        bundle, calls, source, frames):
    said = []
    loading = Loading(Settings(bundle=str(bundle.path), device='cpu', verbs=('juggle',),
                               instances_source=source), said.append, said.append)
    loading.start()
    assert loading.ended.wait(60)
    loaded = loading.result()
    assert calls == frames, 'with given boxes, and detecting where the node will'
    assert loaded.pipeline.vocabulary.verb_names == ('juggle',) == loaded.verbs
    assert loaded.warm_up_ms > 0 and loaded.pipeline.device.type == 'cpu'
    assert any('loading' in sentence for sentence in said)


def test_what_goes_wrong_in_the_thread_is_raised_where_the_result_is_asked_for(tmp_path):
    loading = Loading(Settings(bundle=str(tmp_path)), print, print)
    loading.start()
    assert loading.ended.wait(60)
    with pytest.raises(HoiError, match='bundle.yaml'):
        loading.result()
    assert 'still loading after' in loading.progress
