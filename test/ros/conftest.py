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

"""Nodes and peers for the tests of this folder; each file shares one running node."""

import importlib.util

from bundles import tiny_bundle
import pytest

# Without ROS 2 the tests that need a graph cannot even be imported.
if any(importlib.util.find_spec(name) is None for name in ('rclpy', 'hoi_msgs')):
    collect_ignore_glob = ['test_node_*.py']


@pytest.fixture(scope='session')
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')


@pytest.fixture
def graph(bundle, tmp_path):
    """Start nodes and peers on a domain of their own; all of them end with the test."""
    started = Graph(bundle, tmp_path)
    yield started
    started.close()


@pytest.fixture(scope='module')
def running(bundle, tmp_path_factory):
    """One active node with default parameters and a peer that listens to its detections."""
    from hoi_msgs.msg import HoiDetections
    started = Graph(bundle, tmp_path_factory.mktemp('running'))
    started.node()
    started.peer().listen(HoiDetections, 'detections')
    yield started
    started.close()


@pytest.fixture
def bench():
    """Cameras in this process and a peer; see `camera_bench.Bench`."""
    from camera_bench import Bench
    made = Bench()
    yield made
    made.close()


@pytest.fixture(scope='module')
def open_graph(bundle, tmp_path_factory):
    """Return what opens a graph for the tests of a module, to start nodes of its own kind in."""
    opened = []

    def open_one():
        opened.append(Graph(bundle, tmp_path_factory.mktemp('graph')))
        return opened[-1]
    yield open_one
    for graph in opened:
        graph.close()


class Graph:
    def __init__(self, bundle, directory):
        from ros_graph import free_domain
        self._bundle, self._directory = bundle, directory
        self._domain = free_domain()
        self._nodes, self._peer = [], None

    def node(self, *parameters, arguments=(), ready='waiting for images', bundle=True, **rest):
        """Start a node with parameters such as 'overlay:=false' and wait for a log line."""
        from ros_graph import NodeProcess
        given = [f'bundle:={self._bundle.path}'] if bundle else []
        node = NodeProcess(self._domain, self._directory, [*given, *parameters], arguments, **rest)
        self._nodes.append(node)
        if ready:
            node.wait_for_log(ready)
        return node

    def peer(self):
        from ros_graph import Peer
        if self._peer is None:
            self._peer = Peer(self._domain)
        return self._peer

    @property
    def process(self):
        return self._nodes[0]

    def close(self):
        if self._peer is not None:
            self._peer.close()
        for node in self._nodes:
            node.end()
