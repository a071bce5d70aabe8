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

"""Engines as the node's user meets them: parameters, log and diagnostics."""

from bundles import tiny_bundle
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from hoi_msgs.msg import HoiDetections
from hoi_perception.runtime.bundle import Buckets
from hoi_perception.runtime.engines.openvino import OpenVino, WEIGHTS
import pytest
from ros_graph import image
import torch

pytestmark = pytest.mark.xdist_group('ros_engines')
BUILD_S = 300.0


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    """Return a bundle of two graphs: the detector's and one of its head."""
    return tiny_bundle(tmp_path_factory.mktemp('engines') / 'tiny', buckets=Buckets(
        instances=(30,), pairs=(16,), rows=(32,)))


def _engines(peer):
    """Return the newest status about engines and its values."""
    diagnostics = peer.listen(DiagnosticArray, '/diagnostics')
    diagnostics.clear()
    assert peer.spin(lambda: any(s.name.endswith('engines') for m in diagnostics
                                 for s in m.status))
    status = next(s for s in diagnostics[-1].status if s.name.endswith('engines'))
    return status, {v.key: v.value for v in status.values}


def _answer(peer):
    peer.listen(HoiDetections, 'detections')
    return peer.answer(image(1))


@pytest.fixture
def built(bundle, graph):
    """Build in configure what is missing; quick where an earlier test did."""
    if reason := OpenVino().unavailable(torch.device('cpu')):
        pytest.skip(reason)
    node = graph.node('engine:=openvino', 'precision:=fp32', 'engine_build:=true', ready='')
    node.wait_for_log('waiting for images', BUILD_S)
    return node


def test_a_node_builds_what_is_missing_says_so_and_answers_frames(built, graph, bundle):
    assert 'detector batch1-64x96 with openvino fp32: compiling' in built.log
    assert 'networks run with: detector with openvino fp32' in built.log
    assert len(list((bundle.path / 'engines').glob('*/engine.json'))) == 2
    peer = graph.peer()
    assert _answer(peer).triplets
    status, values = _engines(peer)
    assert status.level == DiagnosticStatus.OK and 'openvino' in status.message
    assert values['detector.batch1-64x96'] == 'openvino fp32'
    assert 'with the same decisions' in values['detector.batch1-64x96.reason']
    assert values['detector.eager_calls'] == values['interaction/defr.eager_calls'] == '0'


def test_a_damaged_engine_is_a_warning_and_a_running_node(built, graph, bundle):
    built.end()
    for weights in bundle.path.glob(f'engines/detector-*/{WEIGHTS}'):
        weights.write_bytes(weights.read_bytes()[:-1])
    node = graph.node('engine:=openvino', 'precision:=fp32')
    assert node.log.count('damaged') == 1 and 'Traceback' not in node.log
    peer = graph.peer()
    assert _answer(peer) is not None
    status, values = _engines(peer)
    assert status.level == DiagnosticStatus.WARN and 'damaged' in status.message
    assert values['detector.batch1-64x96'] == 'eager fp32'
    assert [value for key, value in values.items() if key.endswith('objects16')] == [
        'openvino fp32']
    assert int(values['detector.eager_calls']) > 0


@pytest.mark.parametrize(('parameters', 'words'), [
    (['engine:=onnx'], 'auto, eager, aoti, openvino, tensorrt'),
    (['engine:=openvino', 'precision:=fp16'], 'has no precision')])
def test_what_no_engine_can_be_is_a_sentence_and_no_node(parameters, words, graph):
    node = graph.node(*parameters, ready='')
    assert node.process.wait(60) == 1
    assert words in node.log and 'Traceback' not in node.log
