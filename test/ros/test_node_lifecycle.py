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

"""Start, transitions and end of the process."""

import os
import signal
import threading
import time

from hoi_msgs.msg import HoiDetections
import pytest
from ros_graph import image, NodeProcess
from sensor_msgs.msg import Image

pytestmark = pytest.mark.xdist_group('ros_lifecycle')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['SIGINT', 'SIGTERM'])
def test_a_signal_under_load_ends_the_node_quietly_within_two_seconds(graph, number):
    node, peer = graph.node(), graph.peer()
    peer.listen(HoiDetections, 'detections')
    publisher = peer.publisher(Image, 'image')
    assert peer.answer(image(1)) is not None
    going = threading.Event()

    def flood():
        count = 10
        while not going.is_set():
            publisher.publish(image(count))
            count += 1
            time.sleep(0.002)
    thread = threading.Thread(target=flood)
    thread.start()
    time.sleep(0.5)
    code, seconds = node.end(number)
    going.set()
    thread.join()
    assert (code, seconds < 2.0) == (0, True), f'{seconds:.2f} s\n{node.log}'
    assert 'Traceback' not in node.log and 'rror' not in node.log, node.log


def test_a_second_signal_changes_nothing(graph):
    node = graph.node()
    node.process.send_signal(signal.SIGINT)
    node.process.send_signal(signal.SIGINT)
    code, seconds = node.end(signal.SIGTERM)
    assert code == 0 and seconds < 2.0
    assert 'Traceback' not in node.log


def test_a_signal_while_the_model_loads_ends_the_node(graph):
    node = graph.node(ready='')
    time.sleep(2.0)
    code, seconds = node.end(signal.SIGTERM)
    assert code == 0 and seconds < 2.0
    assert 'Traceback' not in node.log


def test_lifecycle_services_walk_through_all_states_and_back(graph):
    graph.node('autostart:=false', ready='')
    peer = graph.peer()
    assert peer.state() == 'unconfigured'
    assert not peer.change_state('activate'), 'an impossible transition is refused'
    assert peer.state() == 'unconfigured'
    assert peer.change_state('configure')
    assert peer.state() == 'inactive'
    results = peer.listen(HoiDetections, 'detections')
    for round_ in range(2):
        assert peer.change_state('activate')
        assert peer.state() == 'active'
        peer._publishers.clear()
        assert peer.answer(image(10 + round_)) is not None, graph.process.log
        assert peer.change_state('deactivate')
        assert peer.state() == 'inactive'
        count = len(results)
        publisher = next(iter(peer._publishers.values()))
        assert peer.spin(lambda: publisher.get_subscription_count() == 0)
        publisher.publish(image(20 + round_))
        peer.spin(lambda: False, 0.5)
        assert len(results) == count
    assert peer.change_state('cleanup')
    assert peer.state() == 'unconfigured'
    assert peer.change_state('configure') and peer.change_state('activate')
    assert peer.change_state('shutdown')
    assert peer.state() == 'finalized'
    code, _ = graph.process.end(signal.SIGINT)
    assert code == 0 and 'Traceback' not in graph.process.log


def test_verbs_set_before_configure_hold_from_the_first_frame(graph):
    graph.node('autostart:=false', ready='')
    peer = graph.peer()
    assert peer.set_parameters(verbs=['juggle'])[0].successful
    assert peer.change_state('configure') and peer.change_state('activate')
    peer.listen(HoiDetections, 'detections')
    answer = peer.answer(image(1))
    assert answer.triplets and {t.verb_name for t in answer.triplets} == {'juggle'}


@pytest.mark.parametrize('parameters, arguments, code, sentence', [
    (['bundle:=/no/such/place'], [], 1, '/no/such/place'),
    (['verb:=x'], [], 1, "did you mean 'verbs'"),
    (['verbs:=[ride,ride]'], [], 1, 'twice'),
    (['image_transport:=theora'], [], 1, 'raw, compressed'),
    (["cameras:=['/front']"], [], 1, 'relative'),
    (['max_triplets:=many'], [], 1, 'max_triplets'),
    ([], ['--fast'], 2, "'--fast' is not known"),
])
def test_a_node_that_cannot_start_says_why_in_one_sentence(
        tmp_path, graph, parameters, arguments, code, sentence):
    node = graph.node(*parameters, arguments=arguments, ready='',
                      bundle=not any('bundle' in p for p in parameters))
    assert node.process.wait(60) == code, node.log
    errors = [line for line in node.log.splitlines() if 'loading' not in line]
    assert len(errors) == 1 and sentence in errors[0], node.log
    assert 'Traceback' not in node.log


def test_a_failed_configure_leaves_a_node_that_can_be_mended(graph):
    graph.node('autostart:=false', 'bundle:=/no/such/place', ready='', bundle=False)
    peer = graph.peer()
    assert not peer.change_state('configure')
    assert peer.state() == 'unconfigured'
    assert '/no/such/place' in graph.process.log


def test_without_built_messages_the_node_names_the_command(tmp_path):
    (tmp_path / 'hoi_msgs').mkdir()
    (tmp_path / 'hoi_msgs' / '__init__.py').write_text('')
    before = os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = str(tmp_path)
    try:
        node = NodeProcess(77, tmp_path)
    finally:
        if before is None:
            del os.environ['PYTHONPATH']
        else:
            os.environ['PYTHONPATH'] = before
    # The working directory comes first on the path of `python -m`, so shadowing needs this check.
    assert node.process.wait(60) == 1, node.log
    assert 'colcon build --base-paths' in node.log and 'Traceback' not in node.log
